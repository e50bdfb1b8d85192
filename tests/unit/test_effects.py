"""Effects item by item and strength-response curves, against hand-made cases and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation import Answers, Effects, Scorer, answered, effects, response
from steerlens.steering import SteeringVector, random_vectors
from tests.unit.longform import item_rows


def _rows(method: str, correct: list[int], margins: list[float], locale: str = "es-ES", **label: object) -> list[dict]:
    own = {"method": method, "of": "", "control": "", "draw": 0, **label}
    each = enumerate(zip(correct, margins, strict=True))
    return [row for i, (right, margin) in each for row in item_rows(own, locale, "factual", str(i), bool(right), margin)]


def test_counts_of_a_hand_made_case() -> None:
    """Of four items one is gained, two are lost, and three move the wrong way; in another locale nothing moves."""
    rows = _rows("unsteered", [1, 1, 1, 0], [0.3, 0.2, 0.1, -0.4]) + _rows("EN", [0, 0, 1, 1], [-0.1, -0.2, 0.05, 0.4])
    rows += _rows("unsteered", [1, 0], [0.1, -0.1], locale="ko-KR") + _rows("EN", [1, 0], [0.1, -0.1], locale="ko-KR")
    table = effects(Answers(pd.DataFrame(rows))).frame.set_index(["method", "locale"])
    own = table.loc[("EN", "es-ES")]
    assert (own["n"], own["gained"], own["lost"], own["against"]) == (4, 1, 2, 0.75)
    assert own["margin"] == pytest.approx((-0.4 - 0.4 - 0.05 + 0.8) / 4)
    assert table.loc[("EN", "ko-KR"), ["gained", "lost", "against"]].tolist() == [0, 0, 0]
    assert table.loc[("EN", "mean"), ["n", "gained", "lost"]].tolist() == [6, 1, 2]
    assert "unsteered" not in table.index.get_level_values("method")


def test_draws_of_a_control_are_averaged() -> None:
    rows = _rows("unsteered", [0, 0], [0.0, 0.0])
    for draw, correct in enumerate(([1, 0], [1, 1])):
        rows += _rows("EN: random direction", correct, [0.1, -0.1], of="EN", control="random direction", draw=draw)
    row = effects(Answers(pd.DataFrame(rows))).frame.query("locale == 'mean'").iloc[0]
    assert (row["n"], row["gained"], row["lost"], row["against"]) == (2, 1.5, 0, 0.5)


@pytest.fixture(scope="module")
def planted(llama: sl.LensModel, items: Items) -> dict[str, SteeringVector]:
    """In each locale the direction in which the answers' margins grow fastest."""
    found = {}
    for code in ("es-ES", "ko-KR"):
        gradient = Scorer(llama, items.of(kind="factual", locale=code)).gradients(range(4), "all").mean(dim=1)
        found[code] = SteeringVector(
            5 * torch.nn.functional.normalize(gradient, dim=1), (0, 1, 2, 3), llama.fingerprint, name="EN", locale=code
        )
    return found


def test_effects_of_a_model_agree_with_its_answers(llama: sl.LensModel, items: Items, planted: dict, tmp_path) -> None:  # type: ignore[no-untyped-def]
    given = answered(llama, items, {"EN": {code: vector.at(2, tokens="all") for code, vector in planted.items()}})
    table = effects(given)
    row = table.frame.query("method == 'EN' and kind == 'factual' and locale == 'mean'").iloc[0]
    correct = given.frame[given.frame["score"] == "transfer"].groupby("method")["value"].sum()
    assert row["gained"] - row["lost"] == correct["EN"] - correct["unsteered"]
    assert row["margin"] > 0
    figure = Effects.load(table.save(tmp_path / "effects.parquet")).plot()
    assert {trace.name for trace in figure.data} == {"gained", "lost"}


def test_many_scores_are_drawn_two_beside_each_other(llama: sl.LensModel, items: Items, planted: dict) -> None:
    """Four panels in one row are so narrow that their titles lie over each other."""
    given = answered(llama, items, {"EN": {code: vector.at(2) for code, vector in planted.items()}})
    layout = effects(given).plot().layout
    assert len(layout.annotations) == len(given.scores) == 4
    assert len({(note.x, note.y) for note in layout.annotations}) == 4
    assert len({note.x for note in layout.annotations}) == 2
    both = effects(given, scores=["transfer", "localization"]).plot().layout
    assert len({note.y for note in both.annotations}) == 1


def test_slopes_are_those_of_least_squares(llama: sl.LensModel, items: Items, planted: dict) -> None:
    found = response(llama, items, planted.values(), 2, (-1.0, 0.5, 2.0), scores=["transfer"], tokens="all")
    slopes = found.slopes()
    first = slopes.iloc[0]
    rows = found.frame[(found.frame["concept"] == first["concept"]) & (found.frame["locale"] == first["locale"])]
    rows = rows[rows["score"] == "transfer_margin"]
    x = np.array([0.0, *rows["strength"]])[:, None]
    y = np.array([rows["base"].iloc[0], *rows["value"]])
    assert first["slope"] == pytest.approx(LinearRegression().fit(x, y).coef_[0])
    assert len(slopes) == len(items.of(kind="factual", locale="es-ES")) + len(items.of(kind="factual", locale="ko-KR"))


def test_a_planted_direction_is_steerable_and_a_random_one_is_not(llama: sl.LensModel, items: Items, planted: dict) -> None:
    noise = [random_vectors(vector, 1)[0] for vector in planted.values()]
    strengths = (-0.2, 0.2)  # where the model is still linear
    mean, random = (
        response(llama, items, vectors, 2, strengths, scores=["transfer"], tokens="all")
        .summary()
        .query("locale == 'mean'")
        .iloc[0]
        for vectors in (planted.values(), [SteeringVector(v.directions, v.layers, v.fingerprint, "R", v.locale) for v in noise])
    )
    assert mean["low"] > 0
    assert mean["slope"] > 3 * abs(random["slope"])
    assert mean["against"] < random["against"]


def test_curve_passes_through_the_unsteered_model(llama: sl.LensModel, items: Items, planted: dict) -> None:
    found = response(llama, items, planted["es-ES"], 2, (-1.0, 1.0), tokens="all")
    curve = found.curve()
    still = curve[curve["strength"] == 0]
    assert (still[["margin", "low", "high", "change"]] == 0).all(axis=None)
    assert set(curve["locale"]) == {"es-ES", "mean"}
    assert list(curve[(curve["kind"] == "factual") & (curve["locale"] == "mean")]["strength"]) == [-1, 0, 1]
    assert {trace.name for trace in found.plot().data} >= {"es-ES"}
    with pytest.raises(SettingsError, match="two or more"):
        response(llama, items, planted["es-ES"], 2, (0.0, 1.0))
