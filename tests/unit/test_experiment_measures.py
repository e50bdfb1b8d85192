"""Statistics of the experiments: what is planted is found, noise is not, and cases done by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import text_costs, unsteered
from experiments.choosing import run as choosing
from experiments.common import block
from experiments.finding.verdicts import NOT, REPLICATED, UNTOLD, verdicts
from experiments.steps import differences
from experiments.words import interval, marked, one, verdict
from steerlens.evaluation import Answers, Sweep
from steerlens.evaluation.depths import changes_by_cell
from steerlens.evaluation.scores import preference
from tests.unit.longform import cell_rows, item_rows


def test_differences_are_by_score_and_pair() -> None:
    scores = {"a": "transfer", "b": "transfer", "c": "localization"}
    rows = [
        {"method": method, "draw": 0, "locale": "es-ES", "concept": concept, "score": score, "value": float(correct)}
        for method, values in (("EN", (1, 1, 0)), ("LOC", (0, 1, 1)), ("surgical", (1, 1, 1)))
        for (concept, score), correct in zip(scores.items(), values, strict=True)
    ]
    pairs = [("surgical", "EN"), ("surgical", "LOC")]
    found = differences(Answers(pd.DataFrame(rows)), pairs, ["localization", "transfer", "consistency"], seed=0)
    assert found["score"].tolist() == ["localization", "localization", "transfer", "transfer"]
    assert found["against"].tolist() == ["EN", "LOC"] * 2
    assert found["change"].tolist() == [1.0, 0.0, 0.0, 0.5]


@pytest.mark.parametrize(("name", "script"), [("unsteered", unsteered), ("text costs", text_costs)])
def test_the_page_has_the_table_of_a_script(name: str, script: Any) -> None:
    """What the script makes of the committed rows with ``--write``."""
    (found,) = block(name).finditer(script.PAGE.read_text(encoding="utf-8"))
    assert found[2] == f"{script.table()}\n"


def test_words() -> None:
    row = {"score": "transfer", "change": 0.034, "low": 0.0, "high": 0.068}
    assert interval(row) == "+3.4 points [+0.0, +6.8]"
    assert interval({**row, "score": "transfer_margin"}) == "+0.034 nats [+0.000, +0.068]"
    assert [verdict({**row, "low": low, "high": high}) for low, high in ((0.1, 1), (-1, -0.1), (0, 1))] == [
        "more",
        "less",
        "not shown",
    ]
    assert marked(row) == interval(row)
    assert marked({**row, "low": 0.01}) == "**+3.4 points [+1.0, +6.8]**"
    assert marked(None) == ""
    with pytest.raises(LookupError, match="0 rows"):
        one(pd.DataFrame({"a": [1]}), a=2)


LOCALES, CELLS = ("es-ES", "id-ID", "ko-KR"), ((1, 1.0), (1, 2.0), (5, 1.0), (5, 2.0), (9, 1.0), (9, 2.0))


def _swept(best: tuple[tuple[int, float], ...], concepts: int = 40) -> Sweep:
    """A sweep of LOC whose margin gains one nat in each locale's best cell, beside noise; some concepts lack a locale."""
    drawn, rows = np.random.default_rng(0), []
    for concept in range(concepts):
        for at, code in enumerate(LOCALES):
            before = drawn.normal() - 0.5
            for cell in CELLS if concept % 10 != at else ():
                label = {"vector": "LOC", "layer": cell[0], "strength": cell[1], "tokens": "last_onward", "exact": True}
                margins = before + (cell == best[at]) + drawn.normal(), before
                both = (
                    item_rows(label, code, "cultural", f"c{concept}", m > 0, m, localization_preference=preference(m))
                    for m in margins
                )
                rows += cell_rows(*both)
    return Sweep(pd.DataFrame(rows))


def _kept(best: tuple[tuple[int, float], ...], concepts: int) -> dict[str, float]:
    """The points that each rule gains on concepts that it did not see."""
    swept, config = _swept(best), {"seed": 0, "choices": 100, "folds": 5}
    rules = choosing._rules(choosing._shape(swept, "LOC"), 5)
    rows = list(
        choosing._kept("LOC", concepts, choosing._located(swept, "LOC"), rules, choosing._strengths(swept, "LOC"), config)
    )
    assert {row["cells"] for row in rows} == {len(CELLS)}
    return {row["rule"]: 100 * row["gain"] for row in rows}


OWN, PULLED = "preference, each locale's own", "preference, locales partly pooled"


def test_changes_of_locales_are_those_of_the_sweep() -> None:
    swept = _swept((CELLS[2],) * 3)
    located = choosing._located(swept, "LOC")
    assert {name: own.shape for name, own in located.items()} == dict.fromkeys(("hits", "margin", "preference"), (40, 3, 6))
    whole = changes_by_cell(swept.frame, "LOC", "localization_margin")[2].reshape(40, 6)
    np.testing.assert_allclose(choosing._over_locales(located)["margin"], whole, atol=1e-12)
    rows = swept.frame.query("locale == 'ko-KR' and concept == 'c7' and score == 'localization_margin'")
    order = sorted({f"c{n}" for n in range(40)}).index("c7")
    np.testing.assert_allclose(located["margin"][order, 2], rows["value"] - rows["base"])
    lacking = [sorted({f"c{n}" for n in range(40)}).index(f"c{n}") for n in (2, 12, 22, 32)]
    assert np.isnan(located["hits"][:, 2]).all(axis=1).nonzero()[0].tolist() == sorted(lacking)


def test_a_cell_for_each_locale_is_judged_as_one_for_all() -> None:
    hits = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 0.0], [np.nan, np.nan]]])
    assert choosing._gain(hits, 0) == 0.25  # (0 + 1) / 2 and 0
    assert choosing._gain(hits, np.array([1, 0])) == 0.5
    assert choosing._gain(hits, np.array([1, 1])) == choosing._gain(hits, 1) == 0.25


def test_a_weaker_strength_is_taken_where_it_does_as_much() -> None:
    strong = np.random.default_rng(0).normal(1.0, 0.5, 30)
    changes = np.stack([strong - 1, strong - 1, strong - 0.02 * np.arange(30) % 0.3, strong + 0.01], axis=1)
    assert choosing._best(changes) == 3
    assert choosing._weakest(changes[:, [0, 1, 3, 3]], (2, 2)) == 2  # the same at half the strength
    assert choosing._weakest(changes[:, [0, 1, 0, 3]], (2, 2)) == 3  # the weaker one loses one point for certain


def test_own_cells_win_where_locales_differ_and_lose_where_they_do_not() -> None:
    apart = _kept((CELLS[1], CELLS[2], CELLS[5]), 20)
    assert apart[OWN] > apart["preference"] + 5
    assert apart[PULLED] > apart["preference"] + 5
    assert apart["the best cell of each locale"] > apart["the best cell"] + 5
    alike = _kept((CELLS[2],) * 3, 5)
    assert alike[OWN] < alike["preference"] - 2
    assert alike[PULLED] > alike[OWN] + 1
    assert alike["the best cell of each locale"] == pytest.approx(alike["the best cell"])


def test_locales_are_pulled_together_as_far_as_they_differ_by_chance() -> None:
    drawn = np.random.default_rng(1)
    noise, own = drawn.normal(size=(400, 3, 50)), drawn.normal(size=(3, 50))
    for size, weight in ((0.0, 0.0), (0.05, 0.5), (1.0, 1.0)):  # 0.05 is the standard error of a locale's mean
        changes = noise + size * own
        means = changes.mean(axis=0)
        centre = means.mean(axis=0)
        np.testing.assert_allclose(choosing._partly_pooled(changes), centre + weight * (means - centre), atol=0.03)
        hard = drawn.normal(scale=9, size=(400, 1, 50))  # hard in all locales: it does not tell them apart
        pulled = choosing._partly_pooled(changes + hard) - hard.mean(axis=0)
        np.testing.assert_allclose(pulled, choosing._partly_pooled(changes), atol=1e-9)
    np.testing.assert_allclose(choosing._partly_pooled(noise[:1]), noise[:1].mean(axis=1).repeat(3, axis=0))  # one concept
    np.testing.assert_allclose(choosing._partly_pooled(noise[:, :1]), noise[:, :1].mean(axis=0))  # one locale


def test_a_locale_without_concepts_takes_the_means_of_the_others() -> None:
    changes = np.random.default_rng(0).normal(size=(4, 3, 5))
    changes[:, 1] = np.nan
    others = np.nanmean(changes, axis=(0, 1))
    np.testing.assert_allclose(choosing._means(changes)[1], others)
    assert np.isfinite(choosing._partly_pooled(changes)).all()


Interval = tuple[float, float]
HIGH, OPEN, SMALL, BELOW = (0.02, 0.06), (-0.02, 0.06), (-0.02, 0.009), (-0.06, -0.02)
"""Intervals above zero; around it; around it without a gain that would matter; below it."""


def _change(interval: Interval, **place: str) -> dict:
    return {"method": "surgical", **place, "change": sum(interval) / 2, "low": interval[0], "high": interval[1]}


def _verdicts(
    deeper: Interval = (1.0, 4.0),
    sizes: tuple[float, ...] = (0.1,) * 20,
    unrelated: float = 0.3,
    gains: tuple[Interval, ...] = (HIGH, HIGH),
    beside: tuple[Interval, ...] = (HIGH, HIGH),
    alone: tuple[Interval, Interval] = (HIGH, HIGH),
    surgical: tuple[str, ...] = ("EN", "LOC"),
) -> list[str]:
    """The verdicts on planted tables; what is not given is as the paper says."""
    places = ({"vector": name, "by": by, "measure": "peak"} for by in ("score", "margin") for name in ("EN", "LOC", "LOC - EN"))
    ranges = [(5, 5), (8, 8), deeper, (9, 9), (1, 1), (-8, -7)]  # the margins do not decide
    depth = [{**p, "layer": low, "low": low, "high": high, "gain": 0.1} for p, (low, high) in zip(places, ranges, strict=True)]
    cosines = [
        {"measure": name, "near": 0.2, "value": value, "low": low, "high": high}
        for at, size in enumerate(sizes)
        for name, value, low, high in (
            ("cosine", size * (-1) ** at, 0.0, 0.0),
            ("shuffled", 0.0, -unrelated, unrelated / 2),
            ("ceiling", 0.99, 0.0, 0.0),
        )
    ]
    plane = [_change(own, score=score) for own, score in zip(gains, ("transfer", "localization"), strict=False)]
    plane += [_change(BELOW, method=name, score="transfer") for name in ("unsteered", "LOC")]
    each = (("EN", "transfer"), ("LOC", "localization"))
    plane += [_change(own, method=name, score=score) for own, (name, score) in zip(alone, each, strict=True)]
    both = (("EN", "localization"), ("LOC", "transfer"), ("EN", "transfer"), ("LOC", "localization"))
    against = [_change(own, against=x, score=score) for own, (x, score) in zip((*beside, BELOW, BELOW), both, strict=True)]
    found = verdicts(*map(pd.DataFrame, (depth, cosines, plane, against)), surgical)
    assert all(said for _, _, said in found)
    return [verdict for _, verdict, _ in found]


def test_what_is_as_the_paper_says_is_replicated() -> None:
    assert _verdicts() == [REPLICATED] * 4


@pytest.mark.parametrize(
    ("deeper", "verdict"),
    [((0.05, 9), REPLICATED), ((0, 9), UNTOLD), ((-4, 9), UNTOLD), ((-4, 0), NOT), ((0, 0), NOT), ((-9, -4), NOT)],
)
def test_deeper_goes_by_the_interval_of_the_best_layers(deeper: Interval, verdict: str) -> None:
    assert _verdicts(deeper=deeper) == [verdict, *[REPLICATED] * 3]
    unshown = verdict if verdict == NOT else UNTOLD  # the best layer of what gains nothing says nothing
    assert _verdicts(deeper=deeper, alone=(OPEN, HIGH))[0] == _verdicts(deeper=deeper, alone=(HIGH, BELOW))[0] == unshown


@pytest.mark.parametrize(
    ("sizes", "unrelated", "verdict"),
    [
        ((0.2,) * 19 + (0.9,), 0.3, REPLICATED),  # 95% within the bound
        ((0.1,) * 18 + (0.9,) * 2, 0.3, UNTOLD),  # 90%, and no larger than those of unrelated directions
        ((0.1,) * 18 + (0.9,) * 2, 0.09, NOT),  # larger than these
        ((0.1,) * 8 + (0.25,) * 12, 0.3, NOT),  # beyond the bound, whatever unrelated directions have
        ((0.1,) * 20, 0.05, REPLICATED),  # larger than those of unrelated directions, and small all the same
    ],
)
def test_perpendicular_goes_by_the_bound_and_by_unrelated_directions(sizes: tuple, unrelated: float, verdict: str) -> None:
    assert _verdicts(sizes=sizes, unrelated=unrelated) == [REPLICATED, verdict, *[REPLICATED] * 2]


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [
        ((HIGH, OPEN), UNTOLD),
        ((OPEN, OPEN), UNTOLD),
        ((HIGH, SMALL), NOT),
        ((BELOW, HIGH), NOT),
        ((OPEN, BELOW), NOT),
        ((HIGH, (float("nan"), float("nan"))), UNTOLD),
    ],
)
def test_both_gains_have_to_be_above_zero(gains: tuple[Interval, Interval], verdict: str) -> None:
    assert _verdicts(gains=gains) == [*[REPLICATED] * 2, verdict, REPLICATED]
    assert _verdicts(beside=gains) == [*[REPLICATED] * 3, verdict]


@pytest.mark.parametrize("surgical", [("LOC",), ("EN",), ()])
def test_a_surgical_plan_without_both_vectors_tells_nothing_of_both(surgical: tuple[str, ...]) -> None:
    assert _verdicts(surgical=surgical) == [REPLICATED, REPLICATED, UNTOLD, UNTOLD]


def test_what_was_not_measured_is_not_told() -> None:
    assert _verdicts(gains=(HIGH,))[2] == UNTOLD
    assert _verdicts(gains=())[2] == UNTOLD
    assert _verdicts(gains=(BELOW,))[2] == NOT
