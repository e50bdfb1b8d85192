"""Scores that are NaN or infinite are never answers: errors for single plans, marked gaps in sweeps, and never chosen."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from places import DEVICE, HERE

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import ModelError, SettingsError, VectorError
from steerlens.evaluation import (
    Outcome,
    Scorer,
    SearchSettings,
    Sweep,
    item_choices,
    plane,
    response,
    search,
    side_effects,
    sweep,
)
from steerlens.evaluation.scores import SWEPT
from steerlens.evaluation.texts import nats_per_token
from steerlens.steering import SteeringVector, VectorSet, take

HUGE = 1e39
"""A strength that takes float32 out of its numbers."""
LAYERS = [0, 1, 3]


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items)


@pytest.fixture(scope="module")
def broken(model_folders: dict[str, Path]) -> sl.LensModel:
    """A model whose weights give NaN unsteered."""
    model = sl.load(model_folders["llama"], **HERE)
    model.check_unembedding()  # of a short text, which does not overflow
    with torch.no_grad():
        next(model.tl.original_model.model.layers[2].mlp.parameters()).fill_(math.inf)
    return model


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(3))
def test_such_an_outcome_is_no_answer(items: Items, bad: float, place: int) -> None:
    for item in (item for item in items if len(item.choices) >= 3):
        scores = [-1.0 - at for at in range(len(item.choices))]
        scores[place] = bad
        outcome = Outcome(item, tuple(scores))
        assert (outcome.valid, outcome.predicted, outcome.correct, outcome.english_centric) == (False, None, False, False)
        assert math.isnan(outcome.margin)
    whole = Outcome(item, tuple(-1.0 - at for at in range(len(item.choices))))
    assert (whole.valid, whole.predicted) == (True, 0)


def test_a_plan_that_overflows_is_an_error_that_names_it(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    some, plan = items.of(locale="es-ES"), vectors["EN", "es-ES"].at(1, HUGE)
    outcomes = Scorer(llama, some).score(plan)
    assert not any(outcome.valid or outcome.correct or outcome.english_centric for outcome in outcomes)
    expected = (
        r"plan 1e\+39 × EN es-ES at layer 1 gives NaN or infinite scores for \d+ of \d+ items in float32: lower the strength"
    )
    with pytest.raises(VectorError, match=expected):
        plane(llama, some, {"EN": {"es-ES": plan}})
    with pytest.raises(VectorError, match=expected):
        item_choices(llama, some[0], plan)
    with pytest.raises(VectorError, match="texts in float32"):
        nats_per_token(llama, ["Hello there, you"], plan)
    with pytest.raises(VectorError, match="texts in float32"):
        side_effects(llama, some, {"EN": {"es-ES": plan}}, max_new_tokens=2)
    with pytest.raises(VectorError, match=r"at the strengths \[1e\+39\]"):
        response(llama, some, vectors["EN", "es-ES"], 1, [1.0, 2.0, HUGE])


def test_half_precision_is_told_what_is_wider(model_folders: dict[str, Path], items: Items) -> None:
    model = sl.load(model_folders["llama"], DEVICE, torch.float16)
    vector = SteeringVector(torch.ones(4, model.d_model), (0, 1, 2, 3), model.fingerprint, "EN", "es-ES")
    some = items.of(locale="es-ES")
    with pytest.raises(VectorError, match="in float16: lower the strength, or load the model in bfloat16 or float32"):
        plane(model, some, {"EN": {"es-ES": vector.at(1, 1e6)}})
    assert all(outcome.valid for outcome in Scorer(model, some).score(vector.at(1, 1.0)))


def test_an_unsteered_model_that_overflows_is_an_error(broken: sl.LensModel, items: Items) -> None:
    some = items.of(locale="es-ES")
    vector = SteeringVector(torch.ones(4, broken.d_model), (0, 1, 2, 3), broken.fingerprint, "EN", "es-ES")
    for mode in ("exact", "attribution", "screened"):
        with pytest.raises(ModelError, match=r"the unsteered model .* NaN or infinite scores for \d+ of \d+ items in float32"):
            sweep(broken, some, [vector], [0, 1], [1.0, 2.0], mode=mode)
    with pytest.raises(ModelError, match="the unsteered model"):
        plane(broken, some, {"EN": {"es-ES": vector.at(1)}})
    with pytest.raises(ModelError, match="the unsteered model"):
        item_choices(broken, some[0])


@pytest.mark.parametrize("mode", ["exact", "screened"])
def test_a_sweep_counts_them_and_leaves_the_others_as_they_are(
    llama: sl.LensModel, items: Items, vectors: VectorSet, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="steerlens"):
        swept = sweep(llama, items, vectors, LAYERS, [1.0, 2.0, HUGE], scores=SWEPT, mode=mode)
    (said,) = [record.getMessage() for record in caplog.records if "NaN" in record.getMessage()]
    huge = swept.frame["strength"] == HUGE
    run = swept.frame[swept.frame["exact"]]
    bad = run["value"].isna()
    assert f" of {len(LAYERS) * 2 * 3} cells give NaN or infinite scores in float32" in said
    assert bad.sum() == (run["strength"] == HUGE).sum()
    assert (bad == ~run["valid"]).all()
    assert run["base"].notna().all()
    for score in ("transfer", "localization", "english_centric"):
        cells = swept.cells(score)
        gaps = cells["invalid"] > 0
        assert (cells.loc[gaps, "strength"] == HUGE).all()
        assert (cells.loc[gaps, "invalid"] == 1).all()
        assert cells.loc[gaps, ["value", "change", "margin"]].isna().all(axis=None)
        finer = [] if score == "english_centric" else ["margin"]  # which has no companion
        assert cells.loc[~gaps, ["value", "change", *finer, "base"]].notna().all(axis=None)
    if mode == "exact":
        fine = sweep(llama, items, vectors, LAYERS, [1.0, 2.0], scores=SWEPT).frame
        pd.testing.assert_frame_equal(swept.frame[~huge].reset_index(drop=True), fine)  # bit for bit


def test_figures_draw_gaps_with_words(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    swept = sweep(llama, items, vectors, LAYERS, [1.0, HUGE])
    fine = sweep(llama, items, vectors, LAYERS, [1.0, 2.0])
    for figure, n in ((swept.heatmap(), 3), (swept.by_locale(strength=HUGE), 6)):
        (gaps,) = [trace for trace in figure.data if trace.text is not None and trace.type == "scatter"]
        assert list(gaps.text) == ["NaN"] * n
        assert all("NaN or infinite scores" in text for text in gaps.hovertext)
        assert "NaN" in figure.layout.title.text
    assert np.isnan(np.array(swept.heatmap().data[0].z, dtype=float)).sum() == 3
    for figure in (fine.heatmap(), fine.by_locale()):
        assert not [trace for trace in figure.data if trace.text is not None and trace.type == "scatter"]
    only = Sweep(swept.frame[swept.frame["strength"] == HUGE])
    assert not only.heatmap().layout.shapes  # nothing is the best


def test_one_bad_item_makes_its_cell_a_gap(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    swept = sweep(llama, items, vectors, LAYERS, [1.0])
    rows = swept.frame.copy()
    factual = rows[(rows["vector"] == "EN") & (rows["layer"] == 1) & (rows["score"] == "transfer")]
    first = factual.iloc[0]
    same = (rows["concept"] == first["concept"]) & (rows["locale"] == first["locale"])
    rows.loc[same & (rows["vector"] == "EN") & (rows["layer"] == 1), ["value", "valid"]] = math.nan, False
    cells = Sweep(rows).cells("transfer").set_index(["vector", "layer"])
    assert cells.loc[("EN", 1), "invalid"] == pytest.approx(1 / len(factual))
    assert math.isnan(cells.loc[("EN", 1), "value"])
    assert cells["value"].isna().sum() == 1
    assert Sweep(rows).by_locale().data[0].z.shape == (3, 2)
    assert np.isnan(np.array(Sweep(rows).by_locale().data[0].z, dtype=float)).sum() == 1


def test_they_are_never_chosen(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    swept = sweep(llama, items, vectors, LAYERS, [1.0, HUGE])
    tempting = swept.frame.copy()
    right = tempting["score"].isin(["transfer", "localization"])
    tempting.loc[tempting["value"].isna() & right, "value"] = 1.0  # as argmax of NaN would have it
    chosen = Sweep(tempting).choose(llama, items, vectors)
    steps = [step for one in chosen.values() for step in one.steps]
    assert {step.strength for step in steps} == {1.0}
    without = Sweep(swept.frame[swept.frame["strength"] == 1.0]).choose(llama, items, vectors)
    assert dict(chosen) == dict(without) == dict(swept.choose())
    assert chosen.tried.frame["value"].notna().all()
    with pytest.raises(SettingsError, match="0 EN and 0 LOC cells that were run and have finite scores"):
        Sweep(swept.frame[swept.frame["strength"] == HUGE]).choose(llama, items, vectors)


def test_a_search_does_not_choose_them(llama: sl.LensModel, items: Items) -> None:
    settings = SearchSettings(strengths=(1.0, HUGE, 2.0), layers=(0, 1, 3), first_layers=2, singles=4, combinations=4, n_folds=2)
    found = search(llama, items, ["es-ES"], settings=settings)
    tried = found.tried.frame
    bad = tried["plan"].str.contains("e\\+39")
    assert bad.any()
    assert not tried.loc[bad, ["allowed", "front"]].to_numpy().any()
    assert tried.loc[bad, ["transfer", "localization", "objective"]].isna().any(axis=1).all()
    assert tried.loc[~bad, ["transfer", "localization", "objective"]].notna().all(axis=None)
    assert "e+39" not in "".join(str(choice) for choice in found.choices["es-ES"].values())


def test_p_of_changes_that_are_not_finite_is_none() -> None:
    assert math.isnan(sl.statistics.sign_flip_p(np.array([1.0, math.nan, 1.0])))


def test_a_vector_may_be_used_up_to_the_edge(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    """Large, not too large: the outcomes are valid and counted."""
    vector = vectors["EN", "es-ES"]
    unit = replace(vector, directions=vector.directions / vector.directions.norm(dim=1, keepdim=True), positive=None)
    assert all(outcome.valid for outcome in Scorer(llama, items.of(locale="es-ES")).score(unit.at(3, 1e10)))
