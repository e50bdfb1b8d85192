"""Draws a frontier: paths of methods that start at the unsteered model, with the Pareto front of their points."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from steerlens.plotting.figure import Figure
from steerlens.plotting.labels import beside
from steerlens.plotting.plane_points import AXES, MEAN, UNSTEERED, Parts
from steerlens.plotting.planes import around_origin, cross_bars, pixels, quadrants
from steerlens.plotting.theme import (
    HALO,
    INK,
    PAPER,
    SOFT,
    below,
    colour_of,
    figure,
    line_of,
    symbol_of,
)

if TYPE_CHECKING:
    import pandas as pd

_SIZES = (7.0, 15.0)
"""The size in pixels of the first and of the last marker of a path."""
_WORDS = (
    "lines: from unsteered, in the order of the number at each point; filled: on the Pareto front in at least half of the "
    "resamples; crosses: paired 95% intervals of the last points"
)


def frontier_figure(frame: "pd.DataFrame", front: Sequence[tuple[str, float]] = (), *, axes: tuple[str, str] = AXES) -> Figure:
    """Draws one line for each path of methods. The axes are the changes of two scores from the unsteered model, which is at the
    origin. Changes of shares are in percentage points.

    Every point is the mean over locales, and its number is written next to the point. Markers grow along the path. A marker is
    filled if its point is on the Pareto front in at least half of the resamples. The last point of each path has a cross, which
    shows its paired 95% intervals. The hover text contains the intervals of every point.

    Args:
        frame: the table of ``Frontier``.
        front: path and number of the points on the Pareto front, by ascending gain of the first score. With ``()``, no front is
            drawn.
        axes: the scores that are drawn along x and y.
    """
    parts, points = _points(frame, axes)
    paths = list(dict.fromkeys(points["path"]))
    title = f"{parts.x.title}-{parts.y.title} frontier".capitalize()
    locales = dict.fromkeys(frame.loc[frame["locale"] != MEAN, "locale"])
    words = f"{', '.join(locales) or 'mean over locales'}; {parts.sizes}; {_WORDS}"
    fig = figure(title, words, *(f"change of {axis}" for axis in parts.titles), width="page")
    fig.set_subplots(rows=1, cols=1)
    fig.update_layout(height=fig.layout.margin.t + 560)
    around_origin(fig, points, 1, 1, main=True)
    if axes == AXES:
        quadrants(fig)
    places = beside(points["change_x"], points["change_y"], points["text"], pixels(fig, 1, 1), [(0.0, 0.0)])
    points = _crosses_at_the_last(points.assign(place=places))
    _front(fig, points, front)
    for path in paths:
        _path(fig, points[points["path"] == path], path, paths)
    _unsteered(fig, frame)
    return below(fig)


def _points(frame: "pd.DataFrame", axes: tuple[str, str]) -> tuple[Parts, "pd.DataFrame"]:
    """Returns the means over locales with path, number, share of resamples on the front, and hover text, by ascending number
    within a path."""
    rows = frame[(frame["locale"] == MEAN) & frame["score"].isin(axes)]
    names = [path if path == UNSTEERED else f"{path} at {at:.15g}" for path, at in zip(rows["method"], rows["at"], strict=True)]
    rows = rows.assign(path=rows["method"], method=names)
    parts = Parts(rows, axes)
    points = parts.means.join(rows.drop_duplicates("method").set_index("method")[["path", "at", "on_front"]], on="method")
    shares = ["" if share != share else f"<br>{_on_front(share)}" for share in points["on_front"]]
    alone = ~points["path"].duplicated(keep=False)  # a single point needs no number
    points = points.assign(hover=points["hover"] + shares, text=points["at"].map("{:.6g}".format).mask(alone, ""))
    order = {path: number for number, path in enumerate(dict.fromkeys(points["path"]))}
    return parts, points.sort_values(["path", "at"], key=lambda own: own.map(order) if own.name == "path" else own)


def _on_front(share: float) -> str:
    return f"on the Pareto front in {share:.0%} of the resamples"


def _crosses_at_the_last(points: "pd.DataFrame") -> "pd.DataFrame":
    """Returns the points, with intervals only for the last point of each path. More crosses would hide the paths."""
    last = ~points["path"].duplicated(keep="last")
    ends = {
        f"{end}_{axis}": points[f"{end}_{axis}"].where(last, points[f"change_{axis}"]) for end in ("low", "high") for axis in "xy"
    }
    return points.assign(**ends)


def _path(fig: Figure, rows: "pd.DataFrame", path: str, paths: Sequence[str]) -> None:
    """Draws the points of a path, and a line through these points and the point of the unsteered model. The number of the
    unsteered model is 0."""
    colour, shared = colour_of(path, paths), {"legendgroup": path, "row": 1, "col": 1}
    line = line_of(path, paths)
    at = int(np.searchsorted(rows["at"], 0.0))
    x, y = (np.insert(rows[f"change_{axis}"].to_numpy(), at, 0.0) for axis in "xy")
    if (rows["at"] == 0).any():
        x, y = rows["change_x"], rows["change_y"]
    fig.add_scatter(x=x, y=y, mode="lines", line=line, opacity=0.6, showlegend=False, hoverinfo="skip", **shared)
    sign = {"color": colour, "symbol": symbol_of(colour), "size": 10}  # the marker in the legend, which is never hollow
    fig.add_scatter(x=[None], y=[None], mode="lines+markers", line=line, marker=sign, name=path, hoverinfo="skip", **shared)
    fig.add_scatter(
        x=rows["change_x"],
        y=rows["change_y"],
        mode="markers+text",
        text=rows["text"],
        textposition=list(rows["place"]),
        textfont={"size": 11, "color": SOFT, "shadow": HALO},
        marker=_markers(rows, colour),
        name=path,
        showlegend=False,
        hovertext=list(rows["hover"]),
        hoverinfo="text",
        **cross_bars(rows, colour, 1.0, 0),
        **shared,
    )


def _markers(rows: "pd.DataFrame", colour: str) -> dict[str, Any]:
    """Returns markers that grow with the absolute value of the point's number. A marker is hollow if its point is on the Pareto
    front in fewer than half of the resamples."""
    ranks = rows["at"].abs().rank(method="dense").to_numpy()
    first, last = _SIZES
    sizes = last - (last - first) * (ranks.max() - ranks) / max(1.0, ranks.max() - 1)
    fill = [PAPER if share < 0.5 else colour for share in rows["on_front"]]
    return {"color": fill, "symbol": symbol_of(colour), "size": sizes, "line": {"color": colour, "width": 1.5}, "opacity": 1}


def _front(fig: Figure, points: "pd.DataFrame", front: Sequence[tuple[str, float]]) -> None:
    """Draws a dotted line through the points for which no other point is better on both axes."""
    known = {(row.path, row.at): (row.change_x, row.change_y) for row in points.itertuples()} | {(UNSTEERED, 0.0): (0.0, 0.0)}
    if len(front) > 1:
        x, y = zip(*(known[point] for point in front), strict=True)
        line = {"color": INK, "width": 1.5, "dash": "dot"}
        shown = {"name": "Pareto front of the means", "legendrank": 2000}  # below the paths, and after the paths in the legend
        fig.add_scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", row=1, col=1, **shown)


def _unsteered(fig: Figure, frame: "pd.DataFrame") -> None:
    """Adds to the unsteered model's hover text the share of resamples in which this model is on the Pareto front."""
    for share in frame.loc[(frame["method"] == UNSTEERED) & frame["on_front"].notna(), "on_front"].head(1):
        hover = {"hovertext": f"<b>{UNSTEERED}</b><br>{_on_front(share)}", "hoverinfo": "text"}
        fig.update_traces(hover, selector={"name": UNSTEERED})
