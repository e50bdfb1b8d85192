"""Judges on a few planted models: probing, the search and the plane find what is planted, and claim nothing without it."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pandas as pd
import pytest

from experiments.planted.run import by_distance, by_model
from experiments.planted.run import rates as as_markdown
from steerlens.testbed import JUDGES, Judgement, Planted, Rates, by_plane, by_probing, planted, rates

_FEW = {**JUDGES, "probing": partial(by_probing, draws=200)}


@pytest.fixture(scope="module")
def found() -> Rates:
    return rates([2], _FEW, concepts=60)


def test_what_is_planted_is_found_and_nothing_else_claimed(found: Rates) -> None:
    assert found.summary().to_dict("records") == [
        {"judge": judge, "found": 1, "planted": 1, "silent": 1, "nothing": 1} for judge in ("probing", "search", "plane")
    ]
    bed = planted(2, locales=("es-ES",), concepts=60)
    own = found.frame[(found.frame["seed"] == 2) & (found.frame["model"] == "planted")]
    assert set(own["en_layer"]) | set(own["loc_layer"]) == set(bed.layers)
    assert own.set_index("judge")["claims"]["plane"].count("; ") == 1
    assert found.frame[found.frame["model"] == "nothing planted"]["found"].isna().all()


def test_what_was_seen_peaks_where_it_is_planted(found: Rates) -> None:
    seen = found.seen[found.seen["model"] == "planted"]
    for measure, layer in (("transfer", "en_layer"), ("localization", "loc_layer")):
        for _, own in seen[seen["measure"] == measure].groupby("seed"):
            assert own.loc[own["value"].idxmax(), "layer"] == own[layer].iloc[0]


def test_the_experiment_writes_a_row_a_model_and_means_by_distance(found: Rates) -> None:
    wide = by_model(found.frame)
    assert len(wide) == 2
    assert list(wide.columns[-2:]) == ["plane_claims", "plane_found"]
    means = by_distance(found.seen)
    at = means[(means["model"] == "planted") & (means["seen"] == "change of transfer under EN")].set_index("distance")
    assert at["mean"].idxmax() == 0
    assert at["seeds"].max() == 1
    assert as_markdown(found).splitlines()[-1] == "| plane | 1 of 1 | 1 of 1 |"


def test_a_judge_that_claims_what_is_not_there_is_caught() -> None:
    """The twins are what says so: on planted models alone, one who always claims looks perfect."""

    def always(bed: Planted) -> Judgement:
        return Judgement(("something",), True if bed.truth else None)

    assert rates([0, 1], {"always": always}, concepts=12).summary().to_dict("records") == [
        {"judge": "always", "found": 2, "planted": 2, "silent": 0, "nothing": 2}
    ]


def _most(bed: Planted) -> Judgement:
    return Judgement((f"{len(bed.items)} items",), True if bed.truth else None, {"layer": [float(x) for x in bed.model.layers()]})


def test_workers_judge_the_same() -> None:
    here = rates([1, 2], {"most": _most}, concepts=12)
    with ThreadPoolExecutor(1) as workers:
        there = rates([1, 2], {"most": _most}, concepts=12, executor=workers)
    pd.testing.assert_frame_equal(here.frame, there.frame)
    pd.testing.assert_frame_equal(here.seen, there.seen)
    assert here.meta == there.meta


def test_the_judged_locale_can_be_said() -> None:
    bed = planted(2, locales=("es-ES", "ko-KR"), concepts=12)
    claims = {code: by_plane(bed, locale=code).seen["localization"] for code in ("es-ES", "ko-KR")}
    assert by_plane(bed).seen["localization"] == claims["es-ES"]
