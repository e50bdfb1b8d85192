"""Controls say what they are for: what form, length or memory explains is told from what is planted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

import steerlens as sl
from steerlens.data import Prompt
from steerlens.errors import DataError, SettingsError, SteerlensError, UnknownNameError
from steerlens.fingerprint import Fingerprint
from steerlens.probing import (
    Folds,
    Separability,
    erasure,
    permutation_test,
    selectivity,
    separability,
    token_embeddings,
)
from steerlens.probing.erasure import mean_projection
from steerlens.probing.permutation import permuted
from steerlens.statistics import cluster_counts

D, LAYERS = 24, 3
LOCALES = ("es-ES", "ko-KR", "de-DE")


def _prompts(n: int, locales: Sequence[str] = ("es-ES",), topics: int = 4) -> tuple[Prompt, ...]:
    """``n`` concepts of each kind, in every locale, with texts of no meaning."""
    words = np.random.default_rng(0).integers(100, 1000, size=(2 * n, 3))
    return tuple(
        Prompt(
            f"{code} {words[kind * n + i]}",
            f"{kind}-{i}",
            code,
            ("cultural", "factual")[kind],
            "implicit",
            f"t{kind}{i % topics}",
        )
        for code in locales
        for kind in (0, 1)
        for i in range(n)
    )


def _stack(prompts: Sequence[Prompt], *, strength: float = 0.0, at: int = 1, seed: int = 0) -> sl.ResidualStack:
    """Noise in every layer, with one direction for the factual prompts planted in layer ``at``."""
    noise = torch.randn(LAYERS, len(prompts), D, generator=torch.Generator().manual_seed(seed))
    noise[at, :, 3] += strength * torch.tensor([float(prompt.kind == "factual") for prompt in prompts])
    return sl.ResidualStack(noise, tuple(range(LAYERS)), tuple(prompts), "last", _FINGERPRINT)


_FINGERPRINT = Fingerprint("", "", "float32", "none", LAYERS, D, (), None, None, "noise")


def test_above_is_measured_against_the_best_baseline() -> None:
    long = [replace(p, text=p.text + " and so on" * (p.kind == "factual")) for p in _prompts(40)]
    frame = separability(_stack(long, strength=4.0)).to_frame()
    assert frame.query("probe == 'prompt length'")["auroc"].item() == 1.0
    planted = frame.query("probe == 'logistic' and layer == 1")
    assert planted["auroc"].item() > 0.9
    assert planted["above"].item() <= 0  # the length says it all
    honest = separability(_stack(_prompts(40), strength=3.0)).to_frame().query("probe == 'logistic' and layer == 1")
    assert honest["above_low"].item() > 0.1
    assert honest["baseline"].item() in ("surface form", "prompt length", "layer-0 residual")


def test_embeddings_stand_in_for_the_first_layer(llama: sl.LensModel, items: sl.data.Items) -> None:
    prompts = items.of(locale="es-ES").prompts(explicit=False)
    embeddings = token_embeddings(llama, prompts)
    ids = [token for token in llama.tokens(prompts[3]).ids if token != llama.tokenizer.bos_id]
    expected = llama.tl.original_model.get_input_embeddings().weight[ids].mean(dim=0).cpu()
    torch.testing.assert_close(embeddings.residuals[0, 3], expected)
    names = set(separability(llama.residuals(prompts), embeddings=embeddings).frame["probe"])
    assert "token embeddings" in names
    assert "layer-0 residual" not in names


def test_interval_and_peak() -> None:
    table = separability(_stack(_prompts(40), strength=2.0), probes=["difference of means"])
    own = table.frame[table.frame["layer"] >= 0].set_index("layer")
    assert ((own["low"] < own["auroc"]) & (own["auroc"] < own["high"])).all()
    assert own["peak"].sum() == pytest.approx(1)
    (peak,) = table.peaks().to_dict("records")
    assert peak["layer"] == peak["first"] == peak["last"] == 1
    assert peak["share"] > 0.95


def test_resampled_auroc_equals_the_weighted_one_of_scikit_learn() -> None:
    prompts = _prompts(15, LOCALES)
    concepts, labels = [p.concept for p in prompts], [int(p.kind == "factual") for p in prompts]
    folds, generator = Folds.by_concept(labels, concepts), torch.Generator().manual_seed(0)
    scores = torch.randint(9, (2, len(folds), len(prompts)), generator=generator).float()
    counts = cluster_counts(concepts, draws=4, seed=1)
    drawn = folds.resampled_auroc(scores, counts)
    for draw, own in enumerate(counts):
        for layer in range(2):
            each = [
                roc_auc_score(folds.labels[rows], scores[layer, fold, rows], sample_weight=own[rows])
                for fold, rows in enumerate(folds.held_out)
            ]
            assert drawn[draw, layer].item() == pytest.approx(np.mean(each), abs=1e-5)


def test_a_locale_is_new_with_its_concepts() -> None:
    prompts = _prompts(12, LOCALES)
    folds = Folds.across([int(p.kind == "factual") for p in prompts], *_columns(prompts))
    for train, test in zip(folds.train.numpy(), folds.test.numpy(), strict=True):
        seen, asked = ([prompts[i] for i in np.flatnonzero(mask)] for mask in (train, test))
        assert not {p.locale for p in seen} & {p.locale for p in asked}
        assert not {p.concept for p in seen} & {p.concept for p in asked}
    assert folds.test.sum(0).eq(1).all()


def _columns(prompts: Sequence[Prompt]) -> tuple[list[str], list[str]]:
    return [p.concept for p in prompts], [p.locale for p in prompts]


def test_held_out_locales_fail_a_direction_of_one_language() -> None:
    """The planted direction points elsewhere in one locale: probes in it find it, those of other locales do not."""
    prompts = _prompts(40, LOCALES)
    stack = _stack(prompts)
    for row, prompt in enumerate(prompts):
        stack.residuals[1, row, 5 if prompt.locale == "ko-KR" else 3] += 4.0 * (prompt.kind == "factual")
    own, across = (
        separability(stack, hold_out=what, draws=100)
        .frame.query("probe == 'logistic' and layer == 1")
        .set_index("locale")["auroc"]
        for what in ("concept", "locale")
    )
    assert own["ko-KR"] > 0.9
    assert across["ko-KR"] < 0.65
    assert across["es-ES"] > 0.9


def test_topics_held_out_fail_what_is_a_topics_own() -> None:
    prompts = _prompts(60, topics=6)
    stack = _stack(prompts)
    for row, prompt in enumerate(prompts):  # each topic of the factual ones has a direction of its own
        if prompt.kind == "factual":
            stack.residuals[1, row, int(prompt.topic[-1])] += 8.0
            stack.residuals[2, row, 20] += 5.0
    frames = {what: separability(stack, hold_out=what, draws=100).frame for what in ("concept", "topic")}
    auroc = {
        (what, layer): frame.query(f"probe == 'logistic' and layer == {layer}")["auroc"].item()
        for what, frame in frames.items()
        for layer in (1, 2)
    }
    assert auroc["concept", 1] > 0.9
    assert auroc["topic", 1] < 0.75
    assert auroc["topic", 2] > 0.9


def test_what_cannot_be_held_out_is_said() -> None:
    with pytest.raises(UnknownNameError, match="relation"):
        separability(_stack(_prompts(5)), hold_out="relatoin")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="1 locale"):
        separability(_stack(_prompts(5)), hold_out="locale")
    with pytest.raises(DataError, match="have no topic"):
        separability(_stack([replace(p, topic="") for p in _prompts(5)]), hold_out="topic")
    with pytest.raises(UnknownNameError, match="Did you mean logistic"):
        separability(_stack(_prompts(5)), probes=["logistics"])


def test_permutations_are_of_concepts_within_folds() -> None:
    prompts = _prompts(10, LOCALES)
    labels, concepts = [int(p.kind == "factual") for p in prompts], [p.concept for p in prompts]
    folds = Folds.by_concept(labels, concepts)
    drawn = permuted(folds, concepts, 20, seed=0).numpy()
    assert (drawn[0] == folds.positive.numpy()).all()
    assert (drawn[1:] != drawn[0]).any()
    for concept in set(concepts):
        own = drawn[:, [c == concept for c in concepts]]
        assert (own == own[:, :1]).all()
    for test in folds.test.numpy():
        assert (drawn[:, test].sum(1) == drawn[0, test].sum()).all()


def test_permutation_test_finds_the_planted_layer_only() -> None:
    frame = permutation_test(_stack(_prompts(30), strength=2.0), draws=400).to_frame().set_index("layer")
    probed = separability(_stack(_prompts(30), strength=2.0)).frame.query("probe == 'difference of means' and layer >= 0")
    np.testing.assert_allclose(frame["auroc"], probed["auroc"], atol=1e-6)
    assert frame.loc[1, "p_corrected"] < 0.01
    assert frame.drop(1)["p_corrected"].min() > 0.05
    assert (frame["p_corrected"] >= frame["p"]).all()
    assert frame["null_mean"].sub(0.5).abs().max() < 0.03


def test_permutation_test_claims_nothing_of_noise() -> None:
    """Over data sets of noise, the corrected p of the best layer is below 0.2 in about a fifth."""
    best = [permutation_test(_stack(_prompts(12), seed=seed), draws=99).frame["p_corrected"].min() for seed in range(30)]
    assert 1 <= sum(p <= 0.2 for p in best) <= 13


def test_selectivity_unmasks_what_is_learnt_by_heart() -> None:
    """In layer 2 each concept has a direction of its own in all locales; in layer 1 the kind has one."""
    prompts = _prompts(20, LOCALES)
    stack = _stack(prompts, strength=5.0)
    own = torch.randn(40, D, generator=torch.Generator().manual_seed(3))
    number = {concept: i for i, concept in enumerate(dict.fromkeys(p.concept for p in prompts))}
    stack.residuals[2] += 4 * own[[number[p.concept] for p in prompts]]
    frame = (
        selectivity(stack, probes=["logistic"], labellings=4, draws=200).to_frame().query("locale == 'all'").set_index("layer")
    )
    assert frame.loc[2, "auroc"] > 0.8
    assert frame.loc[2, "control"] > 0.8
    assert abs(frame.loc[2, "selectivity"]) < 0.15
    assert frame.loc[1, "low"] > 0.3
    with pytest.raises(SettingsError, match="0 labellings"):
        selectivity(stack, labellings=0)


def test_mean_projection_leaves_equal_means() -> None:
    x, y = torch.randn(2, 50, 8, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 2 == 0
    rows = torch.arange(50) < 40
    left = mean_projection(x, rows, y)
    torch.testing.assert_close(left[:, rows & y].mean(1), left[:, rows & ~y].mean(1), atol=1e-5, rtol=0)


def _two_ways(n: int = 60) -> sl.ResidualStack:
    """Layer 1: the kinds differ along one line. Layer 2: no mean differs, but the spread does, which lines do not see."""
    stack = _stack(_prompts(n), strength=4.0)
    factual = torch.tensor([prompt.kind == "factual" for prompt in stack.prompts])
    stack.residuals[2, factual] *= 4
    return stack


@pytest.mark.parametrize("method", ["means", "LEACE"])
def test_erasing_one_line_leaves_nothing_of_it(method: str) -> None:
    if method == "LEACE":
        pytest.importorskip("concept_erasure")
    table = erasure(_two_ways(), method=method, directions=1, draws=200)
    frame = table.to_frame().set_index(["layer", "erased"])
    assert frame.loc[(1, 0), "auroc"] > 0.95
    assert frame.loc[(1, 1), "auroc"] < 0.75
    assert frame.loc[(1, 1), "control"] > 0.95  # a direction that means nothing takes nothing
    assert len(table.plot().data) == 2 * 2 + 1


def test_leace_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "concept_erasure", None)
    with pytest.raises(SteerlensError, match="steerlens\\[erasure\\]"):
        erasure(_stack(_prompts(5)), method="LEACE")
    with pytest.raises(UnknownNameError, match="LEACE"):
        erasure(_stack(_prompts(5)), method="lace")


def test_results_are_saved_and_drawn(tmp_path: Path) -> None:
    stack = _stack(_prompts(12, LOCALES), strength=3.0)
    table = separability(stack, probes=["LDA"], draws=50)
    loaded = Separability.load(table.save(tmp_path / "table.parquet"))
    assert loaded.frame.equals(table.frame)
    assert loaded.heatmap("above", "LDA").data[0].zmin == -loaded.heatmap("above", "LDA").data[0].zmax
    with pytest.raises(UnknownNameError, match="LDA"):
        loaded.heatmap(probe="logistic")  # not in this table
    assert len(permutation_test(stack, draws=20).plot("ko-KR").data) == 3
    chosen = selectivity(stack, labellings=1, draws=20)
    assert {trace.name for trace in chosen.plot("de-DE").data if trace.name} == {"difference of means", "logistic"}
    for drawn in (permutation_test(stack, draws=20), chosen, table):
        with pytest.raises(UnknownNameError, match="unknown locale"):
            drawn.plot("xx")
