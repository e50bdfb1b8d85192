"""Alignment of languages, certainty of vectors, and the logit lens, against known answers."""

from pathlib import Path

import numpy as np
import pytest
import torch

import steerlens as sl
from steerlens.data import ENGLISH, Item, Prompt
from steerlens.errors import DataError, FingerprintError, PromptError, UnknownNameError
from steerlens.fingerprint import Fingerprint
from steerlens.probing import Geometry, LogitLens, geometry, logit_lens
from steerlens.probing.similarity import centred_cosines, linear_cka, retrieved

D, LOCALE = 32, "es-ES"


def _noise(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _stack(alike: float, *, n: int = 40, noise: float = 1.0, seed: int = 0) -> sl.ResidualStack:
    """One layer. Factual concepts are alike in both languages, by ``alike`` times the noise; cultural ones are not. English has
    an offset of its own, so the EN vector is along axis 0; the country named moves prompts along axis 1."""
    prompts, rows = [], []
    shared, seed = alike * _noise(n, D, seed=100 * seed), 100 * seed + 1
    for code in (ENGLISH, LOCALE):
        for kind in ("factual", "cultural"):
            for form in ("implicit", "explicit") if kind == "cultural" else ("implicit",):
                own = noise * _noise(n, D, seed=seed) + (shared if kind == "factual" else 0)
                own[:, 0] += 3.0 * (code == ENGLISH)
                own[:, 1] += 3.0 * (form == "explicit")
                prompts += [Prompt(f"{code} {kind} {form} {i}", f"{kind}-{i}", code, kind, form) for i in range(n)]
                rows.append(own)
                seed += 1
    return sl.ResidualStack(
        torch.cat(rows)[None], (0,), tuple(prompts), "last", Fingerprint("", "", "float32", "none", 1, D, (), None, None, "x")
    )


def _value(table: Geometry, measure: str, of: str) -> dict[str, float]:
    (row,) = table.frame.query("measure == @measure and of == @of").to_dict("records")
    return row


def test_what_is_alike_is_found_alike() -> None:
    table = geometry(_stack(3.0))
    for measure in ("centred cosine", "retrieval at 1", "linear CKA"):
        assert _value(table, measure, "factual")["value"] > 0.8
        assert _value(table, measure, "cultural")["value"] < 0.2
        gap = _value(table, measure, "gap")
        assert gap["low"] > 0.4
        assert gap["low"] < gap["value"] < gap["high"]
        assert gap["n"] == 40


def test_intervals_of_noise_hold_zero() -> None:
    """About 19 in 20 of them do (cosine; the others more often), so that fewer than 33 of 40 would be a wonder."""
    tables = [geometry(_stack(0.0, seed=seed), draws=200) for seed in range(40)]
    for measure in ("centred cosine", "retrieval at 1", "linear CKA"):
        gaps = [_value(table, measure, "gap") for table in tables]
        assert sum(gap["low"] <= 0 <= gap["high"] for gap in gaps) >= 33


def test_vectors_are_as_sure_as_the_noise_lets_them() -> None:
    table = geometry(_stack(0.0))
    assert abs(_value(table, "cosine", "EN-LOC")["value"]) < 0.4  # planted along two axes
    sure, unsure = (_value(geometry(_stack(0.0, noise=noise)), "reliability", "EN")["value"] for noise in (0.3, 8.0))
    assert sure > 0.95
    assert unsure < 0.6
    whole = geometry(_stack(0.0, noise=1e-3))
    assert _value(whole, "split-half cosine", "LOC")["value"] == pytest.approx(1, abs=1e-3)
    assert _value(whole, "ceiling", "EN-LOC")["value"] == pytest.approx(1, abs=1e-3)
    stack = _stack(0.0)
    vector = sl.steering.difference_of_means(stack, sl.data.english_pairs(stack.prompts, LOCALE)).direction(0)
    own = stack.where(lambda p: p.locale == LOCALE and p.form == "implicit").residuals[0].norm(dim=1).mean()
    assert _value(table, "relative norm", "EN")["value"] == pytest.approx((vector.norm() / own).item(), abs=1e-5)


def test_similarities_equal_their_definitions() -> None:
    a, b = _noise(2, 12, 6, seed=0), _noise(2, 12, 9, seed=1)
    c = a @ _noise(6, 6, seed=2) + 0.5 * _noise(2, 12, 6, seed=3)
    centred = [side[0] - side[0].mean(0) for side in (a, c)]
    cosines = centred[0] @ centred[1].T / (centred[0].norm(dim=1)[:, None] * centred[1].norm(dim=1))
    torch.testing.assert_close(centred_cosines(a, c)[0], cosines.diagonal())
    hits = [(np.argmax(m, axis=1) == np.arange(12)).astype(float) for m in (cosines.numpy(), cosines.numpy().T)]
    np.testing.assert_allclose(retrieved(a, c)[0], np.mean(hits, axis=0))
    subset = (torch.arange(12) < 7).float()[None]
    for first, second in ((a, b), (a, c)):
        found = linear_cka(first, second, torch.cat([torch.ones(1, 12), subset]))[0]
        for value, n in zip(found, (12, 7), strict=True):
            k, m = ((side[0, :n] @ side[0, :n].T).double().numpy() for side in (first, second))
            assert value.item() == pytest.approx(_hsic(k, m) / np.sqrt(_hsic(k, k) * _hsic(m, m)), abs=1e-5)
    assert linear_cka(a, a @ torch.linalg.qr(_noise(6, 6, seed=5)).Q * 3, torch.ones(1, 12))[0, 0].item() == pytest.approx(1)


def _hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Equation 5 of Song et al. 2012, as it stands there."""
    n, ones = len(k), np.ones(len(k))
    k, m = (x - np.diag(np.diag(x)) for x in (k, m))
    first = np.trace(k @ m) + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (ones @ k @ m @ ones)
    return float(first / (n * (n - 3)))


def test_geometry_is_drawn_and_needs_english(tmp_path: Path) -> None:
    stack = _stack(1.0, n=12)
    table = Geometry.load(geometry(stack, draws=50).save(tmp_path / "table.parquet"))
    assert table.heatmap().data[0].zmin == -table.heatmap().data[0].zmax
    assert {trace.name for trace in table.plot("cosine").data if trace.name} == {"EN-LOC", "noise ceiling"}
    with pytest.raises(UnknownNameError, match="unknown measure"):
        table.plot("CKA")
    with pytest.raises(UnknownNameError, match="gap"):
        table.heatmap("cosine", "gap")
    with pytest.raises(DataError, match="Capture prompts of en-US"):
        geometry(stack.where(lambda p: p.locale == LOCALE and p.form == "implicit"))


def test_lens_ends_in_the_models_own_probabilities(model: sl.LensModel, items: sl.data.Items) -> None:
    asked = _told_apart(model, items.of(locale=LOCALE))
    frame = logit_lens(model, asked).to_frame().query(f"layer == {model.n_layers - 1}").set_index("answer")
    for answer, kind in (("factual", "factual"), ("local", "cultural")):
        own = [item for item in asked if item.kind == kind]
        expected = [_log_probability(model, item, item.choices[item.answer]) for item in own]
        assert frame.loc[answer, "log_probability"] == pytest.approx(np.mean(expected), abs=1e-3)
        assert frame.loc[answer, "probability"] == pytest.approx(np.mean(np.exp(expected)), abs=1e-4)
        assert frame.loc[answer, "n"] == len(own)


def _told_apart(model: sl.LensModel, items: sl.data.Items) -> sl.data.Items:
    def apart(item: Item) -> bool:
        english = item.english_answer
        if item.kind == "factual":
            return True
        return english is not None and _first(model, item, item.choices[english]) != _first(
            model, item, item.choices[item.answer]
        )

    return items.where(apart)


def _first(model: sl.LensModel, item: Item, choice: str) -> int:
    space = sl.data.locale(item.locale).space
    _, choices = model.tokenizer.split(item.prompt().text, [space + other for other in item.choices])
    return choices[item.choices.index(choice)][0]


@torch.no_grad()
def _log_probability(model: sl.LensModel, item: Item, choice: str) -> float:
    space = sl.data.locale(item.locale).space
    ids, _ = model.tokenizer.split(item.prompt().text, [space + other for other in item.choices])
    logits = model.tl.original_model(torch.tensor([ids], device=model.device)).logits[0, -1].float()
    return logits.log_softmax(-1)[_first(model, item, choice)].item()


def test_lens_changes_from_the_steered_layer_on(llama: sl.LensModel, items: sl.data.Items) -> None:
    stack = llama.residuals(items.prompts())
    plan = sl.steering.difference_of_means(stack, items.english_pairs(LOCALE)).at(2, 3.0, "all")
    table = logit_lens(llama, items.of(locale=LOCALE), {LOCALE: plan})
    change = table.frame.query("steering == 'change' and answer == 'factual'").set_index("layer")["log_probability"]
    assert (change[:1] == 0).all()
    assert (change[2:].abs() > 1e-3).all()
    with plan.applied(llama):
        last = [_log_probability(llama, item, item.choices[item.answer]) for item in items.of(locale=LOCALE, kind="factual")]
    steered = table.frame.query("steering == 'steered' and answer == 'factual' and layer == 3")["log_probability"].item()
    assert steered == pytest.approx(np.mean(last), abs=1e-3)
    assert len(table.plot().data) == 2 * len(table.frame[["answer", "steering"]].query("steering != 'change'").drop_duplicates())


def test_lens_says_what_it_cannot_read(llama: sl.LensModel, items: sl.data.Items) -> None:
    with pytest.raises(UnknownNameError, match="Give a plan for every locale"):
        logit_lens(llama, items.of(locale=LOCALE), {})
    with pytest.raises(PromptError, match="begin with different tokens"):
        logit_lens(llama, items.of(locale=ENGLISH, kind="cultural"))
    other = Fingerprint("other", "", "float32", "none", 4, 32, (), None, None)
    plan = sl.steering.SteeringPlan((sl.steering.Step(sl.steering.Add(torch.zeros(32)), 1),), other)
    with pytest.raises(FingerprintError):
        logit_lens(llama, items.of(locale=LOCALE, kind="factual"), plan)
    with pytest.raises(UnknownNameError, match="unknown score"):
        LogitLens(logit_lens(llama, items.of(locale=LOCALE, kind="factual"), layers=1).frame).plot(score="logit")
