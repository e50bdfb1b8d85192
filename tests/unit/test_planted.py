"""A few seeds of the experiment with planted truth: probing, the search and the plane find it, and claim nothing without it."""

import runpy
from pathlib import Path

import pytest

from steerlens.testbed import planted

RUN = Path(__file__).parents[2] / "experiments" / "planted" / "run.py"


@pytest.fixture(scope="module")
def experiment() -> dict:
    """What the script defines, with fewer permutations."""
    names = runpy.run_path(str(RUN), run_name="planted")
    names["CONFIG"]["permutations"] = 200
    return names


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_planted_is_found(experiment: dict, seed: int) -> None:
    row, layers = experiment["judged"](planted(seed, locales=("es-ES",), concepts=60))
    assert row["probing_found"]
    assert row["search_found"]
    assert row["plane_found"]
    assert len(layers) == 8


def test_nothing_is_claimed_where_nothing_is(experiment: dict) -> None:
    row, _ = experiment["judged"](planted(0, nothing=True, locales=("es-ES",), concepts=60))
    assert [row[f"{name}_claims"] for name in ("probing", "search", "plane")] == ["", "", ""]
    assert row["search_found"] is None
