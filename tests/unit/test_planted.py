"""A few seeds of the experiment with planted truth: probing, the search and the plane find it, and claim nothing without it."""

import pytest

from experiments.planted import run
from steerlens.testbed import planted


@pytest.fixture(autouse=True)
def _few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(run.CONFIG, "permutations", 200)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_planted_is_found(seed: int) -> None:
    row, layers = run.judged(planted(seed, locales=("es-ES",), concepts=60))
    assert row["probing_found"]
    assert row["search_found"]
    assert row["plane_found"]
    assert len(layers) == 8


def test_nothing_is_claimed_where_nothing_is() -> None:
    row, _ = run.judged(planted(0, nothing=True, locales=("es-ES",), concepts=60))
    assert [row[f"{name}_claims"] for name in ("probing", "search", "plane")] == ["", "", ""]
    assert row["search_found"] is None
