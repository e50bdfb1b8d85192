"""The predicted sweep: derivatives equal finite differences, and what was run is never mixed with what was predicted."""

import warnings

import numpy as np
import pytest
import torch

import steerlens as sl
from steerlens.data import KINDS, Items
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Scorer, Scoring, sweep
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.evaluation.grid import parts_of
from steerlens.evaluation.running import Running
from steerlens.evaluation.scores import SWEPT
from steerlens.evaluation.slopes import SlopePart, slopes_of
from steerlens.steering import STEERED_TOKENS, SteeredTokens, SteeringVector, difference_of_means, take


@pytest.fixture
def vector(model: sl.LensModel) -> SteeringVector:
    directions = torch.randn(model.n_layers, model.d_model, generator=torch.Generator().manual_seed(4))
    return SteeringVector(directions, model.layers(), model.fingerprint, name="EN", locale="es-ES")


@pytest.mark.parametrize("tokens", STEERED_TOKENS)
def test_slope_equals_a_finite_difference(
    model: sl.LensModel, vector: SteeringVector, items: Items, tokens: SteeredTokens
) -> None:
    scorer, step = Scorer(model, items.of(locale="es-ES")), 1e-3
    attribution = attributions(scorer, [(vector, [1, 3])], tokens)["EN"]
    for layer in (1, 3):
        moved = [
            [
                outcome.scores[o.item.answer] - outcome.scores[o.runner_up]
                for outcome, o in zip(outcomes, scorer.base, strict=True)
            ]
            for outcomes in (scorer.score(vector.at(layer, sign * step, tokens)) for sign in (1, -1))
        ]
        slope = (np.array(moved[0]) - np.array(moved[1])) / (2 * step)
        np.testing.assert_allclose(attribution.slopes[layer], slope, atol=2e-2, rtol=2e-2)


def test_gradients_leave_the_model_as_it_was(llama: sl.LensModel, items: Items) -> None:
    asked = {name: parameter.requires_grad for name, parameter in llama.tl.original_model.named_parameters()}
    scorer = Scorer(llama, items.of(locale="es-ES"))
    scorer.gradients([0, 2], "all")
    assert {name: parameter.requires_grad for name, parameter in llama.tl.original_model.named_parameters()} == asked
    assert all(parameter.grad is None for parameter in llama.tl.original_model.parameters())
    for again, base in zip(scorer.score(), scorer.base, strict=True):
        assert again.scores == pytest.approx(base.scores, abs=1e-5)


def test_locales_and_kinds_run_together_with_one_unsteered_pass(
    llama: sl.LensModel, items: Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch runs forward and back once; what comes out is what each part gives alone."""
    own, passes = take(llama, items), []
    final = type(llama.backend).final
    sweep(llama, items, own, [1, 3], [2.0], mode="attribution")  # compares with the plain way at first use
    monkeypatch.setattr(type(llama.backend), "final", lambda *given: passes.append(1) or final(*given))
    frame = sweep(llama, items, own, [1, 3], [2.0], mode="attribution").frame
    asked = Items(tuple(item for code in own.locales for item in items.of(locale=code)))
    assert len(passes) == Scorer(llama, asked).n_batches
    assert len(passes) < sum(Scorer(llama, part).n_batches for part in parts_of(items, own.locales, KINDS).values())
    for code in own.locales:
        alone = sweep(llama, items, own.of(code).values(), [1, 3], [2.0], mode="attribution").frame
        both = alone.merge(frame, on=["vector", "layer", "locale", "concept", "score"], suffixes=("", "_together"))
        assert len(both) == len(alone)
        np.testing.assert_allclose(both["base"], both["base_together"], atol=1e-4)
        margins = both[both["score"].str.endswith("margin")]
        np.testing.assert_allclose(margins["value"], margins["value_together"], atol=1e-3)


def test_parts_are_cut_where_they_are_many(llama: sl.LensModel, items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    own, few = take(llama, items), Scoring(examples=tuple(items.of(locale="es-ES"))[:2])
    parts = {code: SlopePart(tuple(items.of(locale=code)), ((own["EN", code], (1, 3)),)) for code in own.locales}
    whole, shots = (slopes_of(parts, llama, Running(), "all", how) for how in (Scoring(), few))
    monkeypatch.setattr("steerlens.evaluation.slopes._ITEMS", 5)
    for expected, how in ((whole, Scoring()), (shots, few)):
        cut = slopes_of(parts, llama, Running(), "all", how)
        assert cut.keys() == parts.keys()
        for code, slopes in cut.items():
            assert [o.item for o in slopes.base] == list(parts[code].items)
            for layer in (1, 3):
                np.testing.assert_allclose(slopes.of["EN"].slopes[layer], expected[code].of["EN"].slopes[layer], atol=1e-3)


def test_a_short_list_says_what_the_whole_vocabulary_says(
    scored: sl.LensModel, items: Items, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unsteered to rounding, steered nearly."""
    monkeypatch.setattr("steerlens.models.unembedding._LIKELY", 0.01)  # of 600 tokens most have 1e-4 somewhere
    some = items.of(locale="es-ES")
    vector = difference_of_means(scored, items.english_pairs("es-ES"))
    plans = [vector.at(layer, strength) for layer in (1, 2, 3) for strength in (0.0, 0.5, 1.0)]
    whole, short = Scorer(scored, some), Scorer(scored, some, short=True)
    list(whole.sweep(plans))  # what is faster is compared with the plain way at its first use, which is not short
    found = [{i: own for i, own in scorer.sweep(plans) if own is not None} for scorer in (whole, short)]
    changes = []
    for outcomes in found:
        base = np.array([outcome.margin for outcome in whole.base])
        changes.append(np.array([[outcome.margin for outcome in outcomes[i]] - base for i in range(len(plans))]))
    np.testing.assert_allclose(changes[1][::3], changes[0][::3], atol=1e-4)
    assert not np.array_equal(changes[1], changes[0])
    assert np.abs(changes[1] - changes[0]).mean() < 0.2 * np.abs(changes[0]).mean()


def test_an_anchor_is_met_and_the_slope_kept() -> None:
    bent = Attribution({2: np.array([1.0, -1.0])}).anchored(2, 2.0, np.array([0.0, 4.0]))
    np.testing.assert_allclose(bent.predict(2, 2.0), [0.0, 4.0])
    np.testing.assert_allclose(bent.predict(2, 1e-6) / 1e-6, [1.0, -1.0], atol=1e-4)


def test_modes_agree_where_cells_were_run(llama: sl.LensModel, items: Items) -> None:
    vectors = [difference_of_means(llama, pairs("es-ES")) for pairs in (items.english_pairs, items.localized_pairs)]
    some, strengths = items.of(locale="es-ES"), [0.5, 1.0, 2.0]
    exact, predicted, screened = (
        sweep(llama, some, vectors, strengths=strengths, mode=mode).frame for mode in ("exact", "attribution", "screened")
    )
    keys = ["vector", "layer", "strength", "kind", "concept", "score"]
    for frame in (exact, predicted, screened):
        assert len(frame) == len(exact)
        assert not frame.duplicated(keys).any()
    assert exact["exact"].all()
    assert not predicted["exact"].any()
    assert screened["exact"].mean() == 6 / 12
    both = screened[screened["exact"]].merge(exact, on=keys, suffixes=("", "_run"))
    both = both[both["score"].isin(["transfer_margin", "localization_margin"])]
    assert len(both)
    np.testing.assert_allclose(both["value"], both["value_run"], atol=1e-3)


def test_choice_rests_on_cells_that_were_run(llama: sl.LensModel, items: Items) -> None:
    own = take(llama, items, locales=["es-ES"])
    some = items.of(locale="es-ES")
    with pytest.raises(SettingsError, match="only predicted do not count"):
        sweep(llama, some, own, mode="attribution").choose()
    screened = sweep(llama, some, own, mode="screened")
    run = {(r.vector, r.layer, r.strength) for r in screened.frame[screened.frame["exact"]].itertuples()}
    steps = {(s.vector, s.layer, s.strength) for chosen in screened.choose().values() for s in chosen.steps}
    assert steps
    assert steps <= run


def test_predicted_cells_are_hatched(llama: sl.LensModel, items: Items) -> None:
    vector = difference_of_means(llama, items.english_pairs("es-ES"))
    some = items.of(locale="es-ES", kind="factual")
    figure = sweep(llama, some, [vector], mode="screened", scores=["transfer"]).heatmap("EN")
    assert len(figure.data) == 2
    assert "predicted, not run" in figure.layout.title.text
    assert len(sweep(llama, some, [vector], [1], [1.0], scores=["transfer"]).heatmap("EN").data) == 1


def test_a_predicted_loss_can_be_the_english_answers(llama: sl.LensModel, items: Items) -> None:
    """Where a predicted margin turns negative, the best other choice wins: the English one, if that is it."""
    vector = difference_of_means(llama, items.localized_pairs("es-ES"))
    some = items.of(locale="es-ES", kind="cultural")
    frame = sweep(llama, some, [vector], strengths=[-40.0, 40.0], scores=SWEPT, mode="attribution").frame
    wide = frame.pivot_table(index=["strength", "layer", "concept"], columns="score", values=["value", "base"]).reset_index()
    lost = wide[(wide["base", "localization"] == 1) & (wide["value", "localization"] == 0)]
    runner_up = {o.item.concept: o.runner_up == o.item.english_answer for o in Scorer(llama, some).base}
    assert len(lost)
    assert (lost["value", "english_centric"].astype(bool) == lost["concept"].map(runner_up)).all()


def test_vectors_need_not_share_layers_or_kinds(llama: sl.LensModel, items: Items) -> None:
    en = difference_of_means(llama, items.english_pairs("es-ES"), layers=[1])
    loc = difference_of_means(llama, items.localized_pairs("ko-KR"), layers=[2, 3])
    some = Items((*items.of(locale="es-ES", kind="factual"), *items.of(locale="ko-KR", kind="cultural")))
    for mode in ("attribution", "screened"):
        frame = sweep(llama, some, [en, loc], mode=mode).frame
        assert {(r.vector, r.layer, r.kind) for r in frame.itertuples()} == {
            ("EN", 1, "factual"),
            ("LOC", 2, "cultural"),
            ("LOC", 3, "cultural"),
        }


def test_little_memory_changes_no_gradient(llama: sl.LensModel, items: Items) -> None:
    some = items.of(locale="es-ES")
    much, little = (Scorer(llama, some, memory=memory).gradients([1, 2], "all") for memory in (1 << 30, 1))
    torch.testing.assert_close(much, little, atol=1e-4, rtol=1e-3)


def test_bad_grids(llama: sl.LensModel, items: Items) -> None:
    vector = difference_of_means(llama, items.english_pairs("es-ES"))
    with pytest.raises(UnknownNameError, match="Did you mean attribution"):
        sweep(llama, items, [vector], mode="atribution")
    with pytest.raises(SettingsError, match="two vectors called 'EN'"):
        sweep(llama, items, [vector, vector])
    with pytest.raises(SettingsError, match="nothing to score"):
        sweep(llama, items.of(kind="cultural"), [vector], scores=["transfer"])
    only = sweep(llama, items, [vector], [1], [1.0], scores=["transfer"])
    with pytest.raises(UnknownNameError, match="localization"):
        only.heatmap("EN", "localization")
    with pytest.raises(SettingsError, match="only strength 0 given"):
        sweep(llama, items, [vector], strengths=[0.0], mode="screened")


def test_strengths_beyond_the_models_numbers_say_nothing(llama: sl.LensModel, items: Items) -> None:
    """No warning of NumPy's: what is not finite is NaN in the table, and told by the package itself."""
    own = take(llama, items, locales=["es-ES"]).named("EN")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = sweep(llama, items, own, [1, 3], [1.0, 1e39, 1e200], mode="attribution").frame
    margins = frame[frame["score"] == "transfer_margin"]
    assert margins[margins["strength"] > 1]["value"].isna().all()
    assert margins[margins["strength"] == 1]["value"].notna().all()
