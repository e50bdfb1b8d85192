"""Successive halving: fewer passes, the same numbers for the cells that are left, and a budget that is kept to."""

import pandas as pd
import pytest

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation import Sweep, sweep
from steerlens.evaluation.sweeps import CELL
from steerlens.numeric import seconds_of
from steerlens.steering import VectorSet, take

KEYS = [*CELL, "locale", "kind", "concept", "score"]


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items)


@pytest.fixture(scope="module")
def grid() -> dict:
    return {"layers": [0, 1, 2, 3], "strengths": [0.5, 1.0, 2.0, 4.0]}


@pytest.fixture(scope="module")
def halved(llama: sl.LensModel, items: Items, vectors: VectorSet, grid: dict) -> Sweep:
    return sweep(llama, items, vectors, mode="halving", **grid)


@pytest.fixture(scope="module")
def exact(llama: sl.LensModel, items: Items, vectors: VectorSet, grid: dict) -> Sweep:
    return sweep(llama, items, vectors, **grid)


def test_what_is_run_has_the_numbers_of_an_exact_sweep(halved: Sweep, exact: Sweep) -> None:
    own, every = (swept.frame.set_index(KEYS) for swept in (halved, exact))
    assert len(own) < 0.7 * len(every)
    same = every.loc[own.index]
    pd.testing.assert_series_equal(own["base"], same["base"], atol=1e-5)
    pd.testing.assert_series_equal(own["value"], same["value"], atol=1e-4)


def test_every_cell_is_tried_and_the_better_ones_on_more(halved: Sweep, items: Items) -> None:
    cells = halved.frame.groupby(CELL)["concept"].nunique()
    assert len(cells) == 2 * 16
    assert cells.min() >= 4
    for name, kind in (("EN", "factual"), ("LOC", "cultural")):
        own = cells[cells.index.get_level_values("vector") == name]
        most = own[own == own.max()]
        assert own.max() == len([c for c in items.of(kind=kind).concepts if c in set(halved.frame["concept"])])
        assert 6 <= len(most) <= 8
        assert most.index.get_level_values("layer").nunique() >= 3
        margins = halved.cells("transfer" if kind == "factual" else "localization").query("vector == @name")
        left, out = (margins[(margins["n"] == own.max()) == kept] for kept in (True, False))
        assert left["margin"].mean() > out["margin"].mean()


def test_it_halves_with_few_concepts_and_many_cells(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    """Where twice as many concepts are still the least number, cells are halved without being run again."""
    few = items.of(kind="cultural").sample(5)
    strengths = [0.25 * step for step in range(1, 13)]
    swept = sweep(llama, few, vectors.named("LOC"), strengths=strengths, mode="halving")
    cells = swept.frame.groupby(CELL)["concept"].nunique()
    assert len(cells) == 4 * 12
    assert set(cells) == {4, 5}
    assert (cells == 5).sum() == 6


def test_each_vector_is_halved_by_its_own_score(llama: sl.LensModel, items: Items, vectors: VectorSet, grid: dict) -> None:
    both, own = (
        sweep(llama, items, vectors, mode="halving", scores=scores, **grid).frame.query(
            "vector == 'LOC' and score == 'localization'"
        )
        for scores in (["transfer", "localization"], None)
    )
    counts = [frame.groupby(CELL)["concept"].nunique() for frame in (both, own)]
    pd.testing.assert_series_equal(*counts)


def test_a_plan_is_chosen_from_those_that_were_run_on_all(halved: Sweep) -> None:
    chosen = halved.choose()
    told = chosen["LOC"].expected
    assert told is not None
    assert told.tried <= 8
    assert chosen.surgical.expected is not None


def test_a_spent_budget_leaves_what_was_run(llama: sl.LensModel, items: Items, vectors: VectorSet, grid: dict) -> None:
    swept = sweep(llama, items, vectors, mode="halving", budget="0.001s", **grid)
    assert swept.frame.groupby(CELL)["concept"].nunique().eq(4).all()
    assert set(swept.choose()) == {"EN", "LOC", "surgical"}
    with pytest.raises(SettingsError, match="only mode 'halving' has a budget"):
        sweep(llama, items, vectors, budget="5m", **grid)


@pytest.mark.parametrize(("given", "seconds"), [("90", 90), ("90s", 90), ("5m", 300), ("1.5h", 5400), (20, 20)])
def test_times(given: str | float, seconds: float) -> None:
    assert seconds_of(given) == seconds


@pytest.mark.parametrize("given", ["five minutes", "0", "-3", "5 d", ""])
def test_no_times(given: str) -> None:
    with pytest.raises(SettingsError, match="expected a number of seconds above 0, or a text such as '90s'"):
        seconds_of(given)
