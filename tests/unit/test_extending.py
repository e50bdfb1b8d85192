"""Strengths that extend themselves: where the gain still rises at the largest one, larger ones are run, and nowhere else."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation import Sweep, sweep
from steerlens.evaluation.extending import extended
from steerlens.evaluation.scores import LOCALIZATION, TRANSFER
from steerlens.evaluation.sweeps import CELL
from steerlens.steering import StepSpec, VectorSet, take
from steerlens.testbed import Planted, planted
from tests.unit.longform import cell_rows, item_rows

WEAK, STRONG = [0.125, 0.25], [1.0, 2.0, 4.0, 8.0]
"""Strengths below those at which the planted answers win, and strengths that go beyond them."""
KEYS = [*CELL, "locale", "kind", "concept", "score"]


@pytest.fixture(scope="module")
def bed() -> Planted:
    return planted(3, locales=("es-ES",), concepts=24)


@pytest.fixture(scope="module")
def vectors(bed: Planted) -> VectorSet:
    return take(bed.model, bed.items)


@pytest.fixture(scope="module")
def rising(bed: Planted, vectors: VectorSet) -> Sweep:
    """Strengths so weak that the preference rises over all of them."""
    return sweep(bed.model, bed.items, vectors, strengths=WEAK, extend=8)


def _run(swept: Sweep, vector: str) -> dict[float, set[int]]:
    """The layers that each strength was run at."""
    own = swept.frame[swept.frame["vector"] == vector]
    return {float(strength): set(part["layer"]) for strength, part in own.groupby("strength")}


@pytest.mark.parametrize("vector", ["EN", "LOC"])
def test_a_gain_that_rises_is_followed_until_it_turns(rising: Sweep, bed: Planted, vector: str) -> None:
    run, layers = _run(rising, vector), set(bed.model.layers())
    largest = max(run)
    assert list(run) == [0.125 * 2**power for power in range(len(run))]
    assert largest > 1  # the direction itself
    for strength, at in run.items():
        assert at == layers if strength in WEAK else (len(at) == 3 and bed.truth["es-ES"][vector].layer in at)
    (step,) = rising.choose(limits=None)[vector].steps
    assert step.layer == bed.truth["es-ES"][vector].layer
    assert step.strength == largest / 2  # the one before the last is the best, or does as much


@pytest.mark.parametrize("vector", ["EN", "LOC"])
def test_larger_strengths_are_run_at_the_layers_that_were_best(rising: Sweep, vector: str) -> None:
    score = {"EN": "transfer_preference", "LOC": "localization_preference"}[vector]
    cells = rising.cells(score).query("vector == @vector and strength == 0.25")
    assert _run(rising, vector)[0.5] == set(cells.nlargest(3, "change")["layer"])


def test_a_gain_that_has_turned_is_not_followed(bed: Planted, vectors: VectorSet) -> None:
    given, same = (sweep(bed.model, bed.items, vectors, strengths=STRONG, extend=extend) for extend in (3, 0))
    pd.testing.assert_frame_equal(given.frame, same.frame)
    assert (given.meta["extend"], same.meta["extend"]) == (3, 0)


def test_it_is_doubled_as_often_as_was_said(bed: Planted, vectors: VectorSet, rising: Sweep) -> None:
    once = sweep(bed.model, bed.items, vectors, strengths=WEAK, extend=1)
    assert list(_run(once, "EN")) == [*WEAK, 0.5]
    pd.testing.assert_frame_equal(once.frame, rising.frame.head(len(once.frame)))


def test_the_numbers_are_those_of_a_sweep_with_these_strengths(bed: Planted, vectors: VectorSet, rising: Sweep) -> None:
    every = sweep(bed.model, bed.items, vectors, strengths=sorted(set(rising.frame["strength"]))).frame.set_index(KEYS)
    own = rising.frame.set_index(KEYS)
    assert own.index.is_unique
    assert own["exact"].all()
    same = every.loc[own.index]
    pd.testing.assert_series_equal(own["base"], same["base"], atol=1e-5)
    pd.testing.assert_series_equal(own["value"], same["value"], atol=1e-4)


def test_tables_and_figures_leave_out_what_was_not_run(rising: Sweep, bed: Planted, vectors: VectorSet, tmp_path: Path) -> None:
    rising.save(tmp_path / "sweep.parquet")
    loaded = Sweep.load(tmp_path / "sweep.parquet")
    pd.testing.assert_frame_equal(loaded.frame, rising.frame)
    assert loaded.choose(bed.model, bed.items, vectors)["LOC"].steps == rising.choose()["LOC"].steps
    cells = loaded.cells("transfer").query("vector == 'EN'")
    assert len(cells) == sum(map(len, _run(rising, "EN").values()))
    assert cells["change"].notna().all()
    heatmap = loaded.heatmap("EN", "transfer")
    assert np.isfinite(np.array(heatmap.data[0].z, dtype=float)).sum() == len(cells)
    assert len(heatmap.data) == 1  # neither hatched, as what was predicted, nor marked NaN
    assert "empty: not run" in heatmap.layout.title.text
    assert len(loaded.by_locale("LOC", "localization", strength=0.5).data[0].y) == 3


def test_full_grids_have_no_empty_places(bed: Planted, vectors: VectorSet) -> None:
    full = sweep(bed.model, bed.items, vectors, strengths=WEAK)
    assert "empty" not in full.heatmap("EN", "transfer").layout.title.text


def test_depth_goes_by_the_strengths_of_all_layers(bed: Planted, vectors: VectorSet, rising: Sweep) -> None:
    """A layer that has more strengths to be best at would look better than one with few."""
    plain = sweep(bed.model, bed.items, vectors, strengths=WEAK)
    pd.testing.assert_frame_equal(rising.depth(draws=100).frame, plain.depth(draws=100).frame)
    lines = {line.name: line for line in rising.depth(draws=10).plot(rising).data}
    assert all(list(line.x) == sorted(line.x) for line in lines.values())
    partial = {name for name, line in lines.items() if line.mode == "markers+text"}  # no line between layers that are far apart
    assert partial == {name for name in lines if name.endswith(" (some layers)")} != set()
    assert {name for name in lines if lines[name].mode == "lines+markers"} >= {f"EN, strength {x:g}" for x in WEAK}


def test_a_run_goes_on_from_what_is_kept(
    bed: Planted, vectors: VectorSet, rising: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> Sweep:
        return sweep(bed.model, bed.items, vectors, strengths=WEAK, extend=8, resume=tmp_path)

    pd.testing.assert_frame_equal(run().frame, rising.frame)
    monkeypatch.setattr("steerlens.evaluation.tasks.ScoringTask.run", lambda *_: pytest.fail("the task is run again"))
    pd.testing.assert_frame_equal(run().frame, rising.frame)


Preferred = Callable[[str, int, float], float]
"""From a vector, a layer and a strength to the change of the preference."""


def _frame(cells: list[StepSpec], gain: Preferred) -> pd.DataFrame:
    """Ten items of its kind for each cell, all of the same gain, and no hit more or less."""
    rows = []
    for cell in cells:
        label = {"vector": cell.vector, "layer": cell.layer, "strength": cell.strength, "tokens": cell.tokens, "exact": True}
        kind = "factual" if cell.vector == "EN" else "cultural"
        name = "transfer_preference" if cell.vector == "EN" else "localization_preference"
        for i in range(10):
            value = {name: gain(cell.vector, cell.layer, cell.strength)}
            rows += cell_rows(item_rows(label, "es-ES", kind, f"{kind}{i}", False, **value),
                              item_rows(label, "es-ES", kind, f"{kind}{i}", False, **{name: 0.0}))  # fmt: skip
    frame = pd.DataFrame(rows)
    return frame.assign(valid=frame["value"].notna())


def _extended(gain: Preferred, times: int = 1) -> list[StepSpec]:
    """The cells that are run beside those of two vectors, five layers and strengths 1 and 2."""
    more: list[StepSpec] = []

    def run(cells: list[StepSpec], _title: str) -> pd.DataFrame:
        more.extend(cells)
        return _frame(cells, gain)

    grid = [StepSpec(name, layer, strength) for name in ("EN", "LOC") for layer in range(5) for strength in (1.0, 2.0)]
    extended(_frame(grid, gain), times, {"EN": TRANSFER, "LOC": LOCALIZATION}, run)
    return more


def test_each_vector_goes_by_itself() -> None:
    def gain(vector: str, layer: int, strength: float) -> float:
        best = {"EN": 1.0, "LOC": 5.0}[vector]  # the strength at which the curve turns
        return 0.5 - 0.05 * abs(layer - 3) - 0.1 * abs(strength - best)

    assert _extended(gain, times=5) == [
        *(StepSpec("LOC", layer, 4.0) for layer in (3, 2, 4)),
        *(StepSpec("LOC", layer, 8.0) for layer in (3, 2, 4)),  # worse than 4, so it ends
    ]


def test_strengths_that_do_as_much_are_no_edge() -> None:
    """``choose`` takes the weaker of two cells that differ by less than a tenth of a point, so the curve has turned."""
    assert not _extended(lambda _vector, layer, strength: 0.1 * layer + 0.0005 * (strength == 2))
    assert _extended(lambda _vector, layer, strength: 0.1 * layer + 0.002 * (strength == 2))  # the control


def test_cells_without_finite_scores_are_never_the_best() -> None:
    def gain(_vector: str, layer: int, strength: float) -> float:
        return float("nan") if strength > 2 else strength + 0.1 * layer

    assert {cell.strength for cell in _extended(gain, times=5)} == {4.0}  # once: its scores overflow
    assert not _extended(lambda *_: float("nan"))


def test_a_choice_at_the_edge_names_what_goes_on(
    bed: Planted, vectors: VectorSet, rising: Sweep, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        sweep(bed.model, bed.items, vectors, strengths=WEAK).choose()
    assert "0.25 × EN at layer 2 was chosen at the largest swept strength, so a larger strength may be better." in caplog.text
    assert "sweep(..., mode='exact', extend=2), which doubles" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        rising.choose()
    assert "was chosen at the largest swept strength" not in caplog.text  # each vector by its own strengths


@pytest.mark.parametrize("mode", ["attribution", "screened", "halving"])
def test_only_what_runs_every_cell_is_extended(llama: sl.LensModel, items: Items, mode: str) -> None:
    with pytest.raises(SettingsError, match=f"extend 1 given for mode '{mode}': expected mode 'exact'"):
        sweep(llama, items, take(llama, items), mode=mode, extend=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"extend": -1}, "extend -1 given: expected a whole number"),
        ({"extend": 1.5}, "extend 1.5 given: expected a whole number"),
        ({"extend": True}, "extend True given: expected a whole number"),
        ({"extend": 1, "strengths": [0]}, "expected at least one strength above 0"),
        ({"extend": 1, "strengths": [-2, -1]}, "expected at least one strength above 0"),
    ],
)
def test_doublings_that_cannot_be(llama: sl.LensModel, items: Items, given: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        sweep(llama, items, take(llama, items), **given)
