"""Prepares the points of a plane's figure: the changes of the two scores for every method and locale, in the units of the
figure."""

from typing import TYPE_CHECKING, Any

from steerlens.plotting.theme import colour_of
from steerlens.scores import Score, shown_score

if TYPE_CHECKING:
    import pandas as pd

AXES = ("transfer", "localization")
"""The default scores along x and y."""
MEAN, UNSTEERED = "mean", "unsteered"
_EXPLICIT = "explicit prompt"
_ENDS = ["low_x", "high_x", "low_y", "high_y"]


class Parts:
    """The rows of a plane, with shares in percentage points: the methods' means, the methods' values by locale, and the controls'
    means."""

    def __init__(self, frame: "pd.DataFrame", axes: tuple[str, str]) -> None:
        self.x, self.y = map(shown_score, axes)
        points = _points(frame, self.x, self.y)
        own, mean = points["control"] == "", points["locale"] == MEAN
        self.every_mean, self.means, self.controls = points[mean], points[own & mean], points[~own & mean]
        self.locales = points[own & ~mean]
        self.order = list(dict.fromkeys(self.means["method"]))

    def panels(self) -> list[str]:
        """Returns the methods that have a small panel. These methods have both scores, and change an answer in at least one
        locale. If there is only one locale, no method has a small panel."""
        if self.locales["locale"].nunique() < 2:
            return []
        each = {method: self.locales[self.locales["method"] == method] for method in self.order}
        return [method for method, own in each.items() if own["n_x"].notna().all() and own[_ENDS].ne(0).any(axis=None)]

    @property
    def titles(self) -> tuple[str, str]:
        """The names of the two scores, each with the unit of its changes."""
        return f"{self.x.title} ({self.x.change_unit})", f"{self.y.title} ({self.y.change_unit})"

    @property
    def sizes(self) -> str:
        """A text with the largest number of concepts along each axis, and with the kind of the items."""
        return " and ".join(
            f"{self.means[f'n_{axis}'].max():.0f} {'' if score.kind is None else f'{score.kind} '}concepts"
            for axis, score in (("x", self.x), ("y", self.y))
        ).replace("factual concepts and", "factual and")

    def colour(self, method: str) -> str:
        """Returns the colour of a method."""
        return colour_of(method, self.order)


def _points(frame: "pd.DataFrame", x: Score, y: Score) -> "pd.DataFrame":
    """Returns one row for each method and locale, with the changes along x and y. Shares are in percentage points.

    For items without an explicit prompt, the change of the method ``explicit prompt`` is zero. Any other method that lacks a
    score is left out.
    """
    keys = ["method", "locale"]
    both = frame[frame["score"].isin([x.name, y.name])][keys].drop_duplicates()
    for axis, score in (("x", x), ("y", y)):
        numbers = frame[frame["score"] == score.name][[*keys, "change", "low", "high", "n"]]
        points = {f"{name}_{axis}": score.factor * numbers[name] for name in ("change", "low", "high")}
        numbers = numbers[keys].assign(**points, **{f"n_{axis}": numbers["n"], f"least_{axis}": 0.01 * score.factor})
        both = both.merge(numbers, how="left", on=keys)
    still = [f"{name}_{axis}" for axis in "xy" for name in ("change", "low", "high")]
    told = both["method"] == _EXPLICIT
    both.loc[told, still] = both.loc[told, still].fillna(0.0)
    both = both.dropna(subset=["change_x", "change_y"])
    both = both.assign(hover=[_hover(row, x, y) for row in both.fillna({"n_x": 0, "n_y": 0}).itertuples()])
    kinds = dict(zip(frame["method"], frame["control"], strict=True)) if "control" in frame else {}
    return both[both["method"] != UNSTEERED].assign(control=both["method"].map(lambda name: kinds.get(name, "")))


def _hover(row: Any, x: Score, y: Score) -> str:
    def of(score: Score, change: float, low: float, high: float, n: float) -> str:
        digits, kind = 1 if score.factor > 1 else 3, "" if score.kind is None else f"{score.kind} "
        return f"{score.title} {change:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}], n = {n:g} {kind}concepts"

    first = of(x, row.change_x, row.low_x, row.high_x, row.n_x)
    second = of(y, row.change_y, row.low_y, row.high_y, row.n_y)
    return f"<b>{row.method}</b>, {row.locale}<br>{first}<br>{second}"
