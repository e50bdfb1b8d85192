"""The frontier: paths give the plane's numbers, shares of resamples find planted points, what cannot be a path is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError, UnknownNameError, VectorError
from steerlens.evaluation import Answers, Frontier, frontier, plane, strengths
from steerlens.evaluation.frontiers import front_shares, frontier_of
from steerlens.statistics import bootstrap_means
from steerlens.steering import SteeringPlan, SteeringVector
from tests.unit.longform import item_rows

Plans = dict[str, SteeringPlan]
NAN = float("nan")
AXES = ("transfer", "localization")


@pytest.fixture(scope="module")
def plans(llama: sl.LensModel) -> Plans:
    directions = torch.randn(4, llama.d_model, generator=torch.Generator().manual_seed(0))
    vector = SteeringVector(directions, (0, 1, 2, 3), llama.fingerprint, name="EN")
    return {"es-ES": vector.at(1, 2.0), "ko-KR": vector.at(2, 2.0)}


@pytest.fixture(scope="module")
def found(llama: sl.LensModel, items: Items, plans: Plans) -> Frontier:
    """A path of strengths, given in no order, and a path of one point."""
    return frontier(llama, items, {"EN": strengths(plans, (2, 0, 0.5)), "back": {c: -p for c, p in plans.items()}}, draws=200)


def test_a_path_of_strengths_gives_the_planes_numbers(llama: sl.LensModel, items: Items, plans: Plans, found: Frontier) -> None:
    scaled = {f"{at}": {code: at * plan for code, plan in plans.items()} for at in (0.5, 2)}
    expected = plane(llama, items, {**scaled, "back": {code: -plan for code, plan in plans.items()}}).frame
    shown = ["locale", "score", "n", "value", "change", "low", "high"]
    for point, name in ((("EN", 0.5), "0.5"), (("EN", 2.0), "2"), (("back", 1.0), "back"), (("unsteered", 0.0), "unsteered")):
        own = found.frame[(found.frame["method"] == point[0]) & (found.frame["at"] == point[1])]
        both = [
            rows[shown].sort_values(["score", "locale"], ignore_index=True)
            for rows in (own, expected[expected["method"] == name])
        ]
        pd.testing.assert_frame_equal(*both)
        assert set(own["locale"]) == {"es-ES", "ko-KR", "mean"}
    assert found.frame["change"].abs().max() > 0.1, "the plans do something"
    assert list(found.frame[["method", "at"]].drop_duplicates().itertuples(index=False, name=None)) == [
        ("unsteered", 0.0), ("EN", 0.0), ("EN", 0.5), ("EN", 2.0), ("back", 1.0),
    ]  # fmt: skip


def test_strength_zero_lies_where_the_unsteered_model_does(found: Frontier) -> None:
    still = found.frame[(found.frame["method"] == "EN") & (found.frame["at"] == 0)]
    assert (still[["change", "low", "high"]] == 0).all(axis=None)
    shares = found.frame.dropna(subset=["on_front"]).set_index(["method", "at", "score"])["on_front"]
    assert shares["EN", 0.0, "transfer"] == shares["unsteered", 0.0, "transfer"]


def test_the_share_stands_at_the_means_of_the_axes_alone(found: Frontier) -> None:
    there = found.frame["on_front"].notna()
    pd.testing.assert_series_equal(there, (found.frame["locale"] == "mean") & found.frame["score"].isin(AXES), check_names=False)
    by_axis = found.frame[there].pivot(index=["method", "at"], columns="score", values="on_front")
    assert (by_axis["transfer"] == by_axis["localization"]).all()
    assert by_axis.max(axis=None) > 0
    assert found.meta["axes"] == list(AXES)
    assert (found.meta["draws"], found.meta["seed"]) == (200, 0)


def _answers(points: Mapping[str, tuple[float, float]], english_centric: float = 0.0) -> Answers:
    """100 concepts of each kind in two locales; a method raises so many points of transfer and localization exactly."""
    rows = []
    for method, gains in {"unsteered": (0.0, 0.0), **points}.items():
        label: dict[str, Any] = {"method": method, "of": "", "control": "", "draw": 0}
        for locale in ("es-ES", "ko-KR"):
            for kind, gain in zip(("factual", "cultural"), gains, strict=True):
                others = {} if kind == "factual" else {"english_centric": english_centric * (method != "unsteered")}
                for i in range(100):
                    rows.extend(item_rows(label, locale, kind, f"{kind}{i}", i < 40 + gain, **others))
    return Answers(pd.DataFrame(rows))


def _planted(points: Mapping[tuple[str, float], tuple[float, float]], axes: tuple[str, str] = AXES, **more: float) -> Frontier:
    named = {f"{path}/{at}": (path, at) for path, at in points}
    return frontier_of(_answers(dict(zip(named, points.values(), strict=True)), **more), named, axes, 500, 0)


def _shares(table: Frontier) -> dict[tuple[str, float], float]:
    rows = table.frame.dropna(subset=["on_front"])
    return {(row.method, row.at): row.on_front for row in rows.itertuples()}


def test_a_dominated_point_is_never_on_the_front_and_a_dominating_one_always() -> None:
    table = _planted({("a", 1.0): (30.0, 30.0), ("a", 2.0): (10.0, 10.0), ("b", 1.0): (-20.0, -20.0), ("b", 2.0): (29.0, 30.0)})
    shares = _shares(table)
    assert shares["a", 1.0] == 1
    assert shares["a", 2.0] == shares["b", 1.0] == shares["unsteered", 0.0] == 0
    assert 0.2 < shares["b", 2.0] < 0.6, "one concept of a hundred tells it from the best: not drawn in 37% of resamples"
    assert table.front() == (("a", 1.0),)


def test_points_that_trade_share_the_front_and_unsteered_is_a_candidate() -> None:
    table = _planted({("up", 1.0): (-30.0, 30.0), ("right", 1.0): (30.0, -30.0), ("down", 1.0): (-30.0, -30.0)})
    shares = _shares(table)
    assert shares["up", 1.0] == shares["right", 1.0] == shares["unsteered", 0.0] == 1
    assert shares["down", 1.0] == 0
    assert table.front() == table.front("ko-KR") == (("up", 1.0), ("unsteered", 0.0), ("right", 1.0))
    with pytest.raises(UnknownNameError, match="locale"):
        table.front("es-EX")


def test_less_of_a_score_may_be_better() -> None:
    table = _planted({("a", 1.0): (20.0, 0.0)}, ("transfer", "english_centric"), english_centric=1.0)
    assert _shares(table) == {("unsteered", 0.0): 1, ("a", 1.0): 1}
    assert table.front() == (("unsteered", 0.0), ("a", 1.0))
    better = _planted({("a", 1.0): (20.0, 0.0)}, ("transfer", "english_centric"), english_centric=-1.0)
    assert _shares(better) == {("unsteered", 0.0): 0, ("a", 1.0): 1}


def _gains(names: str, seed: int = 0) -> pd.DataFrame:
    """Two points, of which one is the other's opposite, on twenty concepts."""
    values = np.random.default_rng(seed).normal(size=20)
    return pd.DataFrame({"one": values, "other": -values}, index=[f"{names}{at}" for at in range(20)])


def test_shares_are_those_of_the_bootstrap() -> None:
    """With the other axis alike for both points, the better one on the first axis is on the front alone."""
    first, level = _gains("factual"), pd.DataFrame({"one": [0.0], "other": [0.0]}, index=["cultural"])
    means = bootstrap_means(first.to_numpy(), draws=1000, seed=(3, 0))
    shares = front_shares(first, level, draws=1000, seed=3)
    assert shares["one"] == pytest.approx((means[:, 0] > means[:, 1]).mean())
    assert shares.sum() == pytest.approx(1)
    assert 0.05 < shares["one"] < 0.95


def test_concepts_of_both_axes_are_drawn_for_both_at_once() -> None:
    """On axes that are the same numbers one of two points beats the other, unless their concepts are drawn apart."""
    assert front_shares(_gains("c"), _gains("c")).sum() == pytest.approx(1)
    assert front_shares(_gains("c"), _gains("d")).sum() > 1.2
    partly = _gains("c").rename(index={f"c{at}": f"d{at}" for at in range(10)})
    assert 1 < front_shares(_gains("c"), partly).sum() < front_shares(_gains("c"), _gains("d")).sum()


def test_axes_without_concepts_are_refused() -> None:
    with pytest.raises(SettingsError, match="20 concepts of the first axis and 0 of the second axis"):
        front_shares(_gains("c"), _gains("c")[:0])
    with pytest.raises(SettingsError, match="0 draws"):
        front_shares(_gains("c"), _gains("c"), draws=0)
    answers = _answers({"a": (1.0, 1.0)})
    hidden = answers.frame.assign(
        value=answers.frame["value"].where((answers.frame["method"] != "unsteered") | (answers.frame["score"] != "transfer"))
    )
    with pytest.raises(SettingsError, match="'transfer' can be measured for the unsteered model"):
        frontier_of(Answers(hidden), {"a": ("a", 1.0)}, AXES, 10, 0)


class _Aligned:
    """What an aligned model is to the frontier: it knows its checkpoints by step."""

    def __init__(self, points: Any) -> None:
        self._points = points

    def points(self) -> Any:
        return self._points


def test_a_path_may_be_what_has_points_and_a_point_whatever_is_a_method(
    llama: sl.LensModel, items: Items, plans: Plans, tmp_path: Path
) -> None:
    paths = {"aligned": _Aligned({np.int64(200): llama, 100: plans}), "itself": llama, "one": plans["es-ES"]}
    table = frontier(llama, items, paths, scores=["transfer"], locales=["es-ES"], draws=20, resume=tmp_path / "kept")
    points = table.frame[["method", "at"]].drop_duplicates()
    assert [tuple(point) for point in points.to_numpy()] == [
        ("unsteered", 0.0), ("aligned", 100.0), ("aligned", 200.0), ("itself", 1.0), ("one", 1.0),
    ]  # fmt: skip
    assert set(table.frame["score"]) == set(AXES), "the axes are measured too"
    changes = table.frame.set_index(["method", "at", "locale", "score"])["change"].sort_index()
    assert (changes["aligned", 200.0] == 0).all()
    assert (changes["aligned", 100.0] == changes["one", 1.0]).all()
    assert any((tmp_path / "kept").iterdir())


def test_strengths_are_the_plan_scaled(llama: sl.LensModel, plans: Plans) -> None:
    for factor, method in strengths(plans, (0.5, np.float32(3))).items():
        for code, plan in plans.items():
            assert method.prepared(llama, code).plan.digest() == (factor * plan).digest()
    (single,) = strengths(plans["es-ES"], [2]).values()
    assert single.prepared(llama, "ko-KR").plan.digest() == (2 * plans["es-ES"]).digest()
    with pytest.raises(SettingsError, match="no factors"):
        strengths(plans, ())
    with pytest.raises(VectorError, match="factor nan"):
        strengths(plans, (1, NAN))
    with pytest.raises(SettingsError, match="LensModel given to strengths"):
        strengths(llama, (1, 2))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({}, "no paths given"),
        (None, "no paths given"),
        ([("EN", 1)], "list as paths given"),
        ({"EN": {}}, "path 'EN' has no points"),
        ({"EN": _Aligned({})}, "path 'EN' has no points"),
        ({"EN": _Aligned([1, 2])}, "path 'EN' has no points"),
        ({"EN": {"1": "plan"}}, "at '1': expected a finite number"),
        ({"EN": {NAN: "plan"}}, "at nan: expected a finite number"),
        ({"EN": {1: "plan", "es-ES": "plan"}}, "at 'es-ES': expected a finite number"),
        ({"EN": {True: "plan"}}, "at True: expected a finite number"),
        ({"EN": {torch.tensor(1.0): "plan", 1: "plan"}}, "path 'EN' has two points at 1"),
        ({0.5: {1: "plan"}}, "a path called 0.5 given"),
        ({"unsteered": {1: "plan"}}, "a path called 'unsteered' given"),
        ({"explicit prompt": {1: "plan"}}, "a path called 'explicit prompt' given"),
        ({"EN": {1: "nonsense"}}, "str given as method 'EN at 1'"),
    ],
)
def test_what_is_no_path_is_refused(llama: sl.LensModel, items: Items, plans: Plans, paths: Any, message: str) -> None:
    for own in (paths or {}).values() if isinstance(paths, dict) else ():
        if isinstance(own, dict):
            own.update({key: plans for key, value in own.items() if value == "plan"})
    with pytest.raises(SettingsError, match=message):
        frontier(llama, items, paths)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"draws": 0}, "draws=0"),
        ({"draws": NAN}, "draws=nan"),
        ({"axes": ("transfer", "transfer")}, "two different scores"),
        ({"axes": ("transfer",)}, "two different scores"),
        ({"scores": "transfer"}, "expected a list"),
        ({"axes": ("transfer", "nonsense")}, "unknown score 'nonsense'"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(
    llama: sl.LensModel, items: Items, plans: Plans, settings: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steerlens.evaluation.frontiers.answered", lambda *_, **__: pytest.fail("something ran"))
    with pytest.raises((SettingsError, UnknownNameError), match=message):
        frontier(llama, items, {"EN": plans}, **settings)
    with pytest.raises(SettingsError, match="contain no cultural items"):
        frontier(llama, items.of(kind="factual"), {"EN": plans})


def test_a_table_from_a_file_says_and_draws_the_same(found: Frontier, tmp_path: Path) -> None:
    back = Frontier.load(found.save(tmp_path / "frontier.parquet"))
    assert (back.front(), back.meta, back.axes) == (found.front(), found.meta, AXES)
    pd.testing.assert_frame_equal(back.summary(), found.summary())
    assert back.plot().to_json() == found.plot().to_json()


def test_summary_has_a_row_for_each_point(found: Frontier) -> None:
    table = found.summary()
    assert list(zip(table["method"], table["at"], strict=True))[:2] == [("unsteered", 0.0), ("EN", 0.0)]
    assert {"transfer", "localization", "english-centric", "on front"} <= set(table.columns)
    assert table["on front"].str.fullmatch(r"[01]\.\d\d").all()
    assert "[" in table["transfer"].iloc[3]
    assert "on front" not in found.summary("es-ES")
    with pytest.raises(UnknownNameError, match="locale"):
        found.summary("es-EX")


def test_figure_draws_paths_through_unsteered_and_crosses_at_their_ends() -> None:
    points = {("a", -1.0): (-5.0, 2.0), ("a", 1.0): (5.0, -2.0), ("a", 2.0): (8.0, -4.0), ("b", 1000000.0): (6.0, 20.0)}
    table = _planted(points)
    figure = table.plot()
    lines = [trace for trace in figure.data if trace.mode == "lines" and trace.name is None]
    assert [tuple(line.x) for line in lines] == [(-5, 0, 5, 8), (0, 6)]
    (front,) = (trace for trace in figure.data if trace.name == "Pareto front of the means")
    assert (tuple(front.x), tuple(front.y)) == ((6, 8), (20, -4))
    a, b = (trace for trace in figure.data if trace.mode == "markers+text")
    assert (tuple(a.text), tuple(b.text)) == (("-1", "1", "2"), ("",))
    assert a.marker.size[0] == a.marker.size[1] < a.marker.size[2] == b.marker.size[0]
    assert [tuple(axis.array > 0) for axis in (a.error_x, a.error_y, b.error_x)] == [(False, False, True)] * 2 + [(True,)]
    colours = dict(zip(points, [*a.marker.color, *b.marker.color], strict=True))
    hollow = {point for point, colour in colours.items() if colour == "#ffffff"}
    assert hollow == {point for point, share in _shares(table).items() if point in points and share < 0.5}
    assert hollow
    assert "b at 1000000</b>, mean<br>transfer +6.0 [" in b.hovertext[0]
    assert "n = 100 factual concepts" in b.hovertext[0]
    assert "on the Pareto front in 100% of the resamples" in b.hovertext[0]
    assert sum("cultural erasure" in note.text for note in figure.layout.annotations) == 1


def test_figure_of_a_path_with_a_point_at_zero_has_it_once() -> None:
    table = _planted({("a", 0.0): (0.0, 0.0), ("a", 1.0): (5.0, -2.0)})
    (line,) = (trace for trace in table.plot().data if trace.mode == "lines" and trace.name is None)
    assert tuple(line.x) == (0, 5)
