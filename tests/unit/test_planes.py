"""The plane: RankC by hand, controls that find a planted effect and not noise, the Pareto front, its figure."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import PromptError, UnknownNameError
from steerlens.evaluation import Answers, Plane, Scorer, answered, placed, plane, rank_consistency
from steerlens.evaluation.consistency import consistency
from steerlens.steering import Controls, SteeringVector, random_vectors
from tests.unit.longform import item_rows


def test_rank_consistency_of_a_hand_computed_case() -> None:
    """Orders (0, 1, 2) and (1, 0, 2): P@1 = 0, P@2 = P@3 = 1, weighted e^2, e, 1."""
    weights = np.exp([2.0, 1.0, 0.0])
    assert rank_consistency([3, 2, 1], [2, 3, 1]) == pytest.approx((weights[1] + weights[2]) / weights.sum())
    assert rank_consistency([0.5, 0.1, 0.3], [5, 1, 3]) == 1
    assert rank_consistency([3, 2, 1], [1, 2, 3]) == pytest.approx((0.5 * weights[1] + weights[2]) / weights.sum())


def test_rank_consistency_of_chance_is_what_the_docs_say() -> None:
    values = [rank_consistency(range(4), order) for order in permutations(range(4))]
    assert np.mean(values) == pytest.approx(0.377, abs=1e-3)
    with pytest.raises(PromptError, match="3 candidates and the other has 2"):
        rank_consistency([1, 2, 3], [1, 2])


def test_consistency_needs_the_same_choices(llama: sl.LensModel, items: Items) -> None:
    korean, english = (items.of(kind="factual", locale=code) for code in ("ko-KR", "en-US"))
    (first, *_), (same, other, *_) = (Scorer(llama, part).score() for part in (korean, english))
    assert consistency(first, same) == rank_consistency(first.scores, same.scores)
    assert np.isnan(consistency(first, None))
    if other.item.answer != first.item.answer:
        assert np.isnan(consistency(first, other))


def _answers(effects: dict[str, tuple[float, float]], controls: dict[str, list[float]] | None = None) -> Answers:
    """100 concepts of each kind in two locales; a method raises so many points of transfer and localization exactly."""
    rows = []
    blank = {"of": "", "control": "", "draw": 0}

    def add(method: str, points: tuple[float, float], **label: object) -> None:
        for locale in ("es-ES", "ko-KR"):
            for kind, gain in zip(("factual", "cultural"), points, strict=True):
                others = {"consistency": 0.5} if kind == "factual" else {"english_centric": 0.0}
                for i in range(100):
                    own = {**blank, "method": method, **label}
                    rows.extend(item_rows(own, locale, kind, f"{kind}{i}", i < 40 + gain, **others))

    for method, points in {"unsteered": (0.0, 0.0), **effects}.items():
        add(method, points)
    for control, drawn in (controls or {}).items():
        for draw, gain in enumerate(drawn):
            add(f"EN: {control}", (gain, 0.0), of="EN", control=control, draw=draw)
    return Answers(pd.DataFrame(rows))


def test_controls_are_one_row_with_the_spread_of_their_draws() -> None:
    drawn = [float(x) for x in range(-9, 11)]  # of 20 draws, 3 are 8 points or more from 0: -9, -8, 8, 9, 10 are 5
    given = _answers({"EN": (8.0, 0.0)}, {"random direction": drawn, "another locale": [2.0]})
    table = placed(given).frame.query("score == 'transfer' and locale == 'mean'").set_index("method")
    row = table.loc["EN: random direction"]
    assert (row["of"], row["control"], row["draws"]) == ("EN", "random direction", 20)
    assert row["change"] == pytest.approx(0.005)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(np.array(drawn) / 100, [0.025, 0.975])))
    assert row["p"] == pytest.approx((1 + 5) / 21)
    assert table.loc["EN: another locale", "change"] == pytest.approx(0.02)
    assert np.isnan(table.loc["EN: another locale", "p"])
    assert "p=0.29, 20 draws" in placed(given).summary().set_index("method").loc["EN: random direction", "transfer"]


def test_pareto_front() -> None:
    methods = {"a": (5.0, 1.0), "b": (3.0, 3.0), "c": (2.0, 2.0), "d": (-1.0, 6.0), "e": (5.0, 0.0), "f": (-2.0, 5.0)}
    assert placed(_answers(methods)).front() == ("d", "b", "a")
    assert placed(_answers({"a": (-1.0, 0.0), "b": (0.0, -2.0)})).front() == ("unsteered",)
    assert placed(_answers({"a": (5.0, 1.0), "b": (5.0, 1.0), "c": (-1.0, 2.0)})).front() == ("c", "a", "b")  # a tie
    assert placed(_answers({"a": (-1.0, 1.0)}, {"random direction": [20.0, 21.0]})).front() == ("a", "unsteered")
    with pytest.raises(UnknownNameError, match="locale"):
        placed(_answers(methods)).front("es-EX")


def _vector(model: sl.LensModel, directions: torch.Tensor, locale: str) -> SteeringVector:
    return SteeringVector(directions, tuple(range(model.n_layers)), model.fingerprint, name="EN", locale=locale)


def test_controls_tell_a_planted_direction_from_a_random_one(llama: sl.LensModel, items: Items) -> None:
    """The direction in which the answers' margins grow fastest beats all random ones; a random one is one of them."""
    scorer = Scorer(llama, items.of(kind="factual", locale="es-ES"))
    planted = _vector(llama, 8 * torch.nn.functional.normalize(scorer.gradients(range(4), "all").mean(dim=1), dim=1), "es-ES")
    noise = random_vectors(planted, 1, seed=7)[0]
    for vector, found in ((planted, True), (noise, False)):
        plans = {"EN": {"es-ES": vector.at(2, tokens="all")}}
        given = answered(llama, items.of(kind="factual"), plans, controls=Controls(draws=20)).frame
        margins = given[given["score"] == "transfer_margin"].groupby(["control", "method", "draw"])["value"].mean()
        assert bool((margins["random direction"] < margins["", "EN", 0]).all()) == found


def test_a_table_of_means_alone_is_drawn_as_such() -> None:
    table = placed(_answers({"EN": (10.0, 0.0)}))
    means = Plane(table.frame[table.frame["locale"] == "mean"], table.meta)
    subtitles = [str(own.plot().noted["subtitle"]).partition(";")[0] for own in (table, means)]
    assert subtitles == ["es-ES, ko-KR", "mean over locales"]


def test_plane_with_controls_on_a_model(llama: sl.LensModel, items: Items, tmp_path) -> None:  # type: ignore[no-untyped-def]
    directions = torch.randn(4, llama.d_model, generator=torch.Generator().manual_seed(0))
    plans = {code: _vector(llama, directions, code).at(1, 2.0) for code in ("es-ES", "ko-KR")}
    table = plane(llama, items, {"EN": plans}, controls=Controls(draws=3))
    assert list(table.summary()["method"]) == [
        "unsteered", "explicit prompt", "EN", "EN: random direction", "EN: another locale",
    ]  # fmt: skip
    frame = table.frame.set_index(["method", "locale", "score"]).sort_index()
    assert set(frame.loc[("EN", "mean")].index) == {"transfer", "localization", "english_centric", "consistency"}
    swapped = frame.loc[("EN: another locale", "es-ES"), "change"]
    pd.testing.assert_series_equal(swapped, frame.loc[("EN", "es-ES"), "change"])  # both locales have one vector here
    assert frame.loc[("EN: random direction", "mean", "transfer"), "draws"] == 3
    plain = plane(llama, items, {"EN": plans}).frame.set_index(["method", "locale", "score"]).sort_index()
    pd.testing.assert_frame_equal(plain, frame.loc[["EN", "explicit prompt", "unsteered"]].sort_index())
    figure = Plane.load(table.save(tmp_path / "plane.parquet")).plot()
    assert {trace.name for trace in figure.data} >= {"EN", "control: random direction", "unsteered"}


def test_consistency_with_oneself_is_one(llama: sl.LensModel, items: Items) -> None:
    """Scored in English, the unsteered model agrees with itself, and a plan that breaks it does not."""
    directions = 30 * torch.randn(4, llama.d_model, generator=torch.Generator().manual_seed(0))
    plans = {"en-US": _vector(llama, directions, "en-US").at(1, 2.0)}
    frame = plane(llama, items, {"broken": plans}).frame.query("score == 'consistency'").set_index(["method", "locale"])
    assert frame.loc[("unsteered", "en-US"), "value"] == 1
    assert frame.loc[("broken", "en-US"), "value"] < 0.9


def test_without_english_there_is_no_consistency(llama: sl.LensModel, items: Items) -> None:
    directions = torch.ones(4, llama.d_model)
    own = items.of(locale="es-ES")
    frame = plane(llama, own, {"EN": {"es-ES": _vector(llama, directions, "es-ES").at(1)}}).frame
    assert set(frame["score"]) == {"transfer", "localization", "english_centric"}


def test_figure_has_a_panel_per_method_with_its_locales() -> None:
    table = placed(_answers({"EN": (5.0, -2.0), "surgical": (4.0, 3.0)}, {"random direction": [0.0, 1.0]}))
    figure = table.plot()
    assert [a.text for a in figure.layout.annotations if "by locale" in a.text] == [
        "<b>EN</b>, by locale", "<b>surgical</b>, by locale",
    ]  # fmt: skip
    (front,) = (trace for trace in figure.data if trace.name == "Pareto front of the means")
    assert (tuple(front.x), tuple(front.y)) == ((4.0, 5.0), (3.0, -2.0))
    assert sum("cultural erasure" in a.text for a in figure.layout.annotations) == 1
    hovers = [text for trace in figure.data for text in (trace.hovertext or ())]
    assert any("n = 100 factual concepts" in text and "transfer +5.0 [" in text for text in hovers)
    alone = table.plot(by_locale=False)
    assert not [a.text for a in alone.layout.annotations if "by locale" in a.text]
    old = Plane(table.frame.drop(columns=["of", "control", "draws", "p"]).query("method != 'EN: random direction'"))
    assert old.front() == table.front()  # a plane that an earlier version saved
    assert old.plot().data


def test_methods_at_the_same_place_are_both_seen() -> None:
    """Markers that would be covered are larger, and a method that changes nothing leaves the origin's circle visible."""
    fig = placed(_answers({"EN": (0.0, 0.0), "LOC": (8.0, 5.0), "surgical": (8.0, 5.0)})).plot()
    shown = {trace.name: trace.marker.size for trace in fig.data if trace.showlegend}
    assert shown["LOC"] > shown["surgical"] == shown["EN"]
    assert shown["unsteered"] > shown["EN"]
    assert all(any(trace.x) or any(trace.y) for trace in fig.data if trace.mode == "lines+markers")  # no arrow without a length
