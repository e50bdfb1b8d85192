"""The frontier: the trade-off between transfer and localization along a path of methods. The share of resamples in which a
point is on the Pareto front measures how certain the point's place on the front is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from steerlens.data import Items
from steerlens.data.splits import group_of
from steerlens.errors import SettingsError
from steerlens.evaluation.answering import Answers, answered
from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.item_scores import rows_of_score
from steerlens.evaluation.paths import GivenPath, Point, point_name, points_of
from steerlens.evaluation.planes import Plane, placed
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scores import ANSWERED, AXES, scores_of
from steerlens.models.lens import LensModel
from steerlens.numeric import whole_number
from steerlens.scores import GivenScore, score_of
from steerlens.settings import Scoring
from steerlens.statistics import bootstrap_means, pareto_front
from steerlens.steering import UNSTEERED
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_DECIMALS = 12
"""The number of decimals to which means of resamples are rounded before they are compared. Rounding removes differences from
floating-point summation."""


@dataclass(frozen=True, eq=False)
class Frontier(ResultTable):
    """The results of every point of every path in every locale, and their mean over locales.

    Columns: method (the path), at (the number of the point along the path, such as a training step or a strength), locale
    (``mean``: over locales), score, n (concepts), value, change (against the unsteered model), low and high (the change's
    paired 95% interval over concepts), and on_front. The unsteered model is the point at 0 of the path ``unsteered``.

    The column ``on_front`` contains the share of resamples in which the point is on the Pareto front of the two axes. A
    resample draws concepts with replacement, and the front includes the points of all paths and the unsteered model.
    ``on_front`` is given in the rows of the mean over locales, with the same value for the scores of both axes. In all other
    rows, ``on_front`` is NaN. A share near 1 means that in almost all resamples no other point is better on both axes. A share
    near 0 means that in almost all resamples another point is better on both axes. If points are close together, each of them
    is on the front in only some resamples.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("method", "at", "locale", "score", "n", "value", "change", "low", "high", "on_front"),
    )

    @property
    def axes(self) -> tuple[str, str]:
        """The names of the scores of the two axes."""
        first, second = self.meta.get("axes", AXES)
        return first, second

    def plot(self) -> "Figure":
        """Draws the paths of the means over locales, starting at the unsteered model, with the Pareto front."""
        from steerlens.plotting import frontier_figure

        return frontier_figure(self.frame, self.front(), axes=self.axes)

    def front(self, locale: str | None = None) -> tuple[Point, ...]:
        """Returns the points on the Pareto front (no other point is better on both axes), by ascending gain of the first axis.

        Each point is a pair of its path's name and its number. The unsteered model is ``("unsteered", 0.0)``.

        Args:
            locale: one locale; ``None`` takes the mean over all locales.

        Raises:
            UnknownNameError: there is no such locale.
            SettingsError: the table lacks a score of the axes.
        """
        points = dict(zip(self._names(), self._points(), strict=True))
        return tuple(points[name] for name in self._plane().front(locale, axes=self.axes))

    def summary(self, locale: str | None = None) -> "pd.DataFrame":
        """Returns one row per point, with the value, change and interval of each score as text. For the mean over locales,
        the share of resamples on the front is added.

        Args:
            locale: one locale; ``None`` takes the mean over all locales.

        Raises:
            UnknownNameError: there is no such locale.
        """
        table, known = self._plane().summary(locale), dict(zip(self._names(), self._points(), strict=True))
        points = [known[name] for name in table["method"]]
        table["method"] = [path for path, _ in points]
        table.insert(1, "at", [at for _, at in points])
        if locale in (None, MEAN):
            rows = self.frame[self.frame["on_front"].notna()]
            shares = {(row.method, row.at): f"{row.on_front:.2f}" for row in rows.itertuples()}
            table["on front"] = [shares.get(point, "") for point in points]
        return table

    def _points(self) -> list[Point]:
        """Returns the point (path and number) of each row."""
        return list(zip(self.frame["method"], self.frame["at"], strict=True))

    def _names(self) -> list[str]:
        """Returns for each row the name that its point has on the plane."""
        return [point_name(path, at) for path, at in self._points()]

    def _plane(self) -> Plane:
        """Returns the plane on which every point is a separate method."""
        return Plane(self.frame.assign(method=self._names()), self.meta)


def frontier(
    model: LensModel,
    items: Items,
    paths: Mapping[str, GivenPath],
    *,
    scores: Sequence[GivenScore] = ANSWERED,
    axes: tuple[GivenScore, GivenScore] = AXES,
    locales: Sequence[str] | None = None,
    scoring: Scoring | None = None,
    draws: int = 2000,
    seed: int = 0,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> Frontier:
    """Scores the points of paths on items and finds the Pareto front of two scores.

    All points are scored on the same items, so their changes are paired. The same resamples are used for all points.

    Args:
        model: the base model on which methods are compared.
        items: the items that are scored, usually the test part of a split.
        paths: the paths by name. A path is a mapping from numbers (training steps or strengths) to methods, or an object
            whose ``points()`` returns such a mapping (for example an aligned model). A single method is a path with one point,
            whose number is 1. Methods are given as in ``plane``.
        scores: names of scores, or your own scores. The scores of the axes are measured too.
        axes: the two scores of the Pareto front; transfer and localization by default.
        locales: the locales to score. ``None`` takes the plans' locales or, if there are no plans, all locales of the items
            except English.
        scoring: how choices are presented and scored; ``None`` takes the defaults.
        draws: the number of resamples from which ``on_front`` is computed.
        seed: the seed of the resamples and of the intervals.
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``).

    Returns:
        The frontier, with ``unsteered`` at 0 and the points of each path by ascending number.

    Raises:
        SettingsError: there are no paths; a path has no points, or has the reserved name ``unsteered`` or ``explicit
            prompt``; a point is not a number or occurs twice; both axes are the same score; a score of an axis cannot be
            measured on any of the items; plans are for different locales; or a checkpoint tokenizes text differently.
        UnknownNameError: a score has an unknown name, or a locale has no items.
        FingerprintError: a plan belongs to another model.
        ModelError: scores of an unsteered model are NaN or infinite.
        VectorError: scores under a plan are NaN or infinite.
    """
    points = points_of(paths)
    both = _names_of(axes, items)
    if (whole_number(draws) or 0) < 1:
        raise SettingsError(f"draws={draws!r} given: expected the number of resamples, a whole number of 1 or more.")
    scores_of(scores)  # raises an error if this is not a list of scores
    wanted = dict.fromkeys([*(score_of(score).name for score in scores), *both])
    given = answered(
        model, items, {name: method for name, (_, method) in points.items()}, scores=list(wanted), locales=locales,
        scoring=scoring, explicit=False, batch_size=batch_size, executor=executor, resume=resume,
    )  # fmt: skip
    return frontier_of(given, {name: point for name, (point, _) in points.items()}, both, draws, seed)


def front_shares(first: "pd.DataFrame", second: "pd.DataFrame", *, draws: int = 2000, seed: int = 0) -> "pd.Series":
    """Returns the share of resamples of the concepts in which each point is on the Pareto front of two axes.

    Concepts that are measured on only one axis are resampled separately for each axis. Concepts that are measured on both axes
    are resampled once for both axes. The same resamples are used for all points.

    Args:
        first: the gain of each concept at each point on the first axis, ``[concept, point]``. A larger gain is better.
        second: the gain of each concept at each point on the second axis, ``[concept, point]``. Points that are missing on one
            of the axes are left out.
        draws: the number of resamples.
        seed: the seed of the resamples.

    Raises:
        SettingsError: one of the axes has no concepts, or ``draws`` is less than 1.
    """
    import pandas as pd

    points = [point for point in first.columns if point in second.columns]
    gains, shared = (first[points], second[points]), first.index.isin(second.index)
    apart = first.index[~shared], second.index[~second.index.isin(first.index)]
    if not (len(first) and len(second)):
        raise SettingsError(
            f"{len(first)} concepts of the first axis and {len(second)} of the second axis given: expected at least one of each."
        )
    sums = np.zeros((draws, len(points), 2))
    for at, concepts in enumerate((*apart, first.index[shared])):
        if len(concepts):
            both = np.stack([axis.reindex(concepts, fill_value=0.0).to_numpy(dtype=float) for axis in gains], axis=-1)
            sums += len(concepts) * bootstrap_means(both, draws=draws, seed=(seed, at))
    means = (sums / [len(first), len(second)]).round(_DECIMALS)  # [draw, point, axis]
    return pd.Series(np.mean([pareto_front(drawn) for drawn in means], axis=0), index=points)


def frontier_of(given: Answers, points: Mapping[str, Point], axes: tuple[str, str], draws: int, seed: int) -> Frontier:
    """Computes the frontier from existing answers.

    Args:
        given: the answers of the unsteered model and of the method of each point.
        points: the path and the number of each point, by the method's name.
        axes: the names of the two scores of the Pareto front.
        draws: the number of resamples from which ``on_front`` is computed.
        seed: the seed of the resamples and of the intervals.

    Raises:
        SettingsError: a score of the axes cannot be measured on any item that all points share.
    """
    table, named = placed(given, seed=seed), {**points, UNSTEERED: (UNSTEERED, 0.0)}
    first, second = (_gains(given.frame, axis) for axis in axes)
    shares = front_shares(first, second, draws=draws, seed=seed)
    frame = table.frame
    shown = (frame["locale"] == MEAN) & frame["score"].isin(axes)
    frame = frame.assign(
        on_front=frame["method"].map(shares).where(shown),
        at=[named[name][1] for name in frame["method"]],
        method=[named[name][0] for name in frame["method"]],
    )
    return Frontier(frame[list(Frontier.columns)], {**table.meta, "axes": list(axes), "draws": int(draws)})


def _gains(answers: "pd.DataFrame", axis: str) -> "pd.DataFrame":
    """Returns the gain of each concept at each point on one axis, for the concepts that can be measured at all points.

    Raises:
        SettingsError: no concept can be measured at all points.
    """
    rows = rows_of_score(answers, axis)
    table = rows.pivot_table(index=["concept", "locale"], columns="method", values="value", sort=False)
    changes = table.sub(table[UNSTEERED], axis=0).dropna() if UNSTEERED in table else table[:0]
    if changes.empty:
        raise SettingsError(
            f"there is no item on which {axis!r} can be measured for the unsteered model and for all points. Choose other "
            "axes, or give other items."
        )
    concepts = changes.index.get_level_values("concept").map(group_of)
    return changes.groupby(concepts, sort=False).mean() * (1.0 if score_of(axis).higher_is_better else -1.0)


def _names_of(axes: tuple[GivenScore, GivenScore], items: Items) -> tuple[str, str]:
    """Returns the names of two different scores that can be measured on some of the items.

    Raises:
        SettingsError: the two scores are the same, or one of them cannot be measured on any of the items.
    """
    known = [score_of(axis) for axis in axes]
    if len(known) != 2 or known[0].name == known[1].name:
        raise SettingsError(f"axes={axes!r} given: expected two different scores, for example axes=('transfer', 'localization').")
    for score in known:
        if not any(item.kind in score.kinds for item in items):
            raise SettingsError(
                f"{items!r} contain no {score.kind} items: expected {score.kind} items, because {score.name} is measured on "
                f"{score.kind} items. Give {score.kind} items, or choose other axes."
            )
    return known[0].name, known[1].name
