"""Draws the transfer-localization plane: a large panel with the means over locales, and a small panel per method with its
locales."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import WIDTHS, Figure
from steerlens.plotting.labels import beside
from steerlens.plotting.plane_points import AXES, UNSTEERED, Parts
from steerlens.plotting.theme import GREY, HALO, INK, SOFT, figure, symbol_of

if TYPE_CHECKING:
    import pandas as pd

_CONTROL_SYMBOLS = ("square-open", "x-thin-open", "diamond-open")
_FRONT = "Pareto front of the means"
_MARKER, _CIRCLE, _RING = 15, 12, 13
"""The sizes in pixels of a method's marker and of the origin's circle. The third number is added to the size of a marker for each
marker that covers it."""
_COVERS = 6
"""The smallest distance in pixels between the centres of two markers at which the markers do not cover each other."""
_QUADRANTS = (
    (1, 1, "both gained", "right", "top"),
    (0, 1, "localization at the price<br>of transfer", "left", "top"),
    (0, 0, "both lost", "left", "bottom"),
    (1, 0, "transfer at the price of localization:<br>cultural erasure", "right", "bottom"),
)


def plane_figure(
    frame: "pd.DataFrame", front: Sequence[str] = (), *, axes: tuple[str, str] = AXES, by_locale: bool = True
) -> Figure:
    """Draws the changes of two scores as a plane (shares in percentage points), with the unsteered model at the origin.

    The large panel shows each method's mean over locales with its paired 95% intervals and an arrow from the origin. The large
    panel also shows the Pareto front of the means, and the controls in grey. The cross of a control shows the spread of its
    draws. If there are several locales, a small panel per method shows each locale with its intervals.

    Args:
        frame: the table of ``Plane``.
        front: methods on the Pareto front, by ascending gain of the first score. With ``()``, no front is drawn.
        axes: the scores that are drawn along x and y.
        by_locale: whether to draw the small panels.
    """
    parts = Parts(frame, axes)
    locales = list(dict.fromkeys(parts.locales["locale"]))
    several = parts.panels() if by_locale else []
    columns = 2 if len(several) in (2, 4) else min(3, len(several)) or 1
    fig = _panels(parts, locales, several, columns)
    around_origin(fig, parts.every_mean, 1, 1, main=True)
    if axes == AXES:
        quadrants(fig)
    sizes = _nested(parts.means, pixels(fig, 1, 1))
    fig.update_traces(marker_size=sizes.pop(UNSTEERED), selector={"name": UNSTEERED, "showlegend": True})
    for method in parts.order:
        _mean(fig, parts.means, method, parts.colour(method), 1, 1, size=sizes[method])
    _controls(fig, parts.controls)
    _front(fig, parts.means, front)
    for at, method in enumerate(several):
        _panel(fig, parts, method, 2 + at // columns, 1 + at % columns)
    return fig


def _legend_rows(names: Sequence[str]) -> int:
    """Estimates the number of lines of a legend with these names above a full-page figure. The estimate is never too small."""
    rows, used = 1, 0
    for name in names:
        wide = 48 + 9 * len(name)
        rows, used = (rows + 1, wide) if used + wide > WIDTHS["page"] else (rows, used + wide)
    return rows


def plane_panels(frame: "pd.DataFrame", axes: tuple[str, str] = AXES) -> list[Figure]:
    """Draws the small panels of ``plane_figure`` as separate figures, for pages that arrange them according to their width.

    Args:
        frame: the table of ``Plane``.
        axes: the scores that are drawn along x and y.
    """
    parts = Parts(frame, axes)
    figures = []
    for method in parts.panels():
        words = f"n = {parts.sizes}; crosses: paired 95% intervals; large: mean"
        fig = figure(f"{method}, by locale", words, *(f"change of {axis}" for axis in parts.titles))
        fig.set_subplots(rows=1, cols=1)
        fig.update_layout(showlegend=False)
        _panel(fig, parts, method, 1, 1)
        figures.append(fig)
    return figures


def _panels(parts: Parts, locales: Sequence[str], several: Sequence[str], columns: int) -> Figure:
    crosses = "crosses: paired 95% intervals over concepts" + ("" if parts.controls.empty else "; of controls: 95% of the draws")
    title = f"{parts.x.title}-{parts.y.title} plane".capitalize()
    fig = figure(title, f"{', '.join(locales) or 'mean over locales'}; {parts.sizes}; {crosses}", "", "", width="page")
    rows = -(-len(several) // columns)
    heights = [560.0, *[300.0] * rows]
    fig.set_subplots(
        rows=1 + rows,
        cols=columns,
        specs=[[{"colspan": columns}, *[None] * (columns - 1)], *[[{}] * columns for _ in range(rows)]],
        row_heights=heights,
        vertical_spacing=85 / sum(heights) if rows else 0,
        horizontal_spacing=0.07,
        subplot_titles=["", *(f"<b>{method}</b>, by locale" for method in several)],
    )
    fig.update_xaxes(title=f"change of {parts.titles[0]}", row=1, col=1)
    fig.update_yaxes(title=f"change of {parts.titles[1]}", row=1, col=1)
    legend = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left", "itemsizing": "constant"}
    names = [UNSTEERED, *parts.means["method"].unique(), _FRONT]
    top = fig.layout.margin.t + 30 * _legend_rows(names)
    for column in range(1, columns + 1) if several else ():
        fig.update_xaxes(title=parts.titles[0], title_font_size=12, row=1 + rows, col=column)
    for row in range(2, 2 + rows):
        fig.update_yaxes(title=parts.titles[1], title_font_size=12, title_standoff=4, row=row, col=1)
    fig.update_layout(height=top + 60 + sum(heights) + 20 * rows, margin={"t": top}, legend=legend)
    return fig


def _panel(fig: Figure, parts: Parts, method: str, row: int, column: int) -> None:
    """Draws one method with its locales. The panels of all methods have the same axes."""
    shown, means = parts.panels(), parts.means[parts.means["method"] == method]
    mean = float(means["change_x"].iloc[0]), float(means["change_y"].iloc[0])
    around_origin(fig, parts.locales[parts.locales["method"].isin(shown)], row, column)
    _mean(fig, parts.means, method, parts.colour(method), row, column)
    _locales(fig, parts.locales[parts.locales["method"] == method], mean, parts.colour(method), row, column)


def _nested(means: "pd.DataFrame", scales: tuple[float, float]) -> dict[str, int]:
    """Returns the size in pixels of every method's marker and of the origin's circle.

    If markers would cover each other, markers that are drawn first are larger, so that all markers are visible.

    Args:
        means: the methods' rows of ``Parts``, in the order in which they are drawn.
        scales: the number of pixels per unit of each axis.
    """
    places = {UNSTEERED: (0.0, 0.0)} | {row.method: (row.change_x, row.change_y) for row in means.itertuples()}
    names, found = list(places), {}
    for at, name in enumerate(names):
        above = sum(
            all(
                abs(mine - other) * scale < _COVERS
                for mine, other, scale in zip(places[name], places[later], scales, strict=True)
            )
            for later in names[at + 1 :]
        )
        found[name] = (_CIRCLE if name == UNSTEERED else _MARKER) + _RING * above
    return found


def _mean(
    fig: Figure, means: "pd.DataFrame", method: str, colour: str, row: int, column: int, *, size: int | None = None
) -> None:
    """Draws an arrow from the origin to the mean over locales. In the large panel, where ``size`` is given, the cross of the mean
    is drawn too."""
    main, rows = size is not None, means[means["method"] == method]
    shared = {"legendgroup": method, "row": row, "col": column}
    arrow = {"symbol": ["circle", "arrow"], "size": [0, 12], "angleref": "previous", "standoff": 8, "color": colour}
    for point in rows[(rows["change_x"] != 0) | (rows["change_y"] != 0)].itertuples():
        fig.add_scatter(
            x=[0, point.change_x],
            y=[0, point.change_y],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker=arrow,
            opacity=0.6,
            showlegend=False,
            hoverinfo="skip",
            **shared,
        )
    outline = {"color": "white", "width": 1.5}
    fig.add_scatter(
        x=rows["change_x"],
        y=rows["change_y"],
        mode="markers",
        marker={"color": colour, "symbol": symbol_of(colour), "size": size or 11, "line": outline},
        name=method,
        showlegend=main,
        hovertext=list(rows["hover"]),
        hoverinfo="text",
        **shared,
        **(cross_bars(rows, colour, 2.0, 5) if main else {}),
    )


def _locales(fig: Figure, rows: "pd.DataFrame", mean: tuple[float, float], colour: str, row: int, column: int) -> None:
    """Draws a small point with a thin cross for each locale. The names of locales do not cover other points, the origin or the
    mean."""
    names = rows["locale"].str.split("-").str[0]  # there is only space for the language; the hover text has the full locale
    fig.add_scatter(
        x=rows["change_x"],
        y=rows["change_y"],
        mode="markers+text",
        text=names,
        textposition=beside(rows["change_x"], rows["change_y"], names, pixels(fig, row, column), [(0.0, 0.0), mean]),
        textfont={"size": 12, "color": INK, "shadow": HALO},
        marker={"color": colour, "symbol": symbol_of(colour), "size": 7, "opacity": 0.7},
        legendgroup=rows["method"].iloc[0],
        showlegend=False,
        hovertext=list(rows["hover"]),
        hoverinfo="text",
        row=row,
        col=column,
        **cross_bars(rows, _pale(colour), 1.0, 0),
    )


def pixels(fig: Figure, row: int, column: int) -> tuple[float, float]:
    """Returns the number of pixels per unit of each axis, at the size for which the figure was laid out.

    Args:
        fig: the figure.
        row, column: the panel's row and column, from 1. The ranges of its axes must be set.
    """
    axes, margin = fig.get_subplot(row, column), fig.layout.margin
    sizes = fig.natural_width - margin.l - margin.r, fig.layout.height - margin.t - margin.b
    scales = []
    for axis, size in zip((axes.xaxis, axes.yaxis), sizes, strict=True):
        (start, end), (low, high) = axis.domain or (0, 1), axis.range
        scales.append(size * (end - start) / (high - low))
    return scales[0], scales[1]


def _controls(fig: Figure, rows: "pd.DataFrame") -> None:
    """Draws the controls of all methods in grey, with one legend entry for each kind."""
    for (kind, part), symbol in zip(rows.groupby("control", sort=False), _CONTROL_SYMBOLS, strict=False):
        fig.add_scatter(
            x=part["change_x"],
            y=part["change_y"],
            mode="markers",
            marker={"color": GREY, "symbol": symbol, "size": 9, "line": {"width": 1.5}},
            name=f"control: {kind}",
            hovertext=list(part["hover"]),
            hoverinfo="text",
            row=1,
            col=1,
            **cross_bars(part, GREY, 1.0, 3),
        )


def _front(fig: Figure, means: "pd.DataFrame", front: Sequence[str]) -> None:
    """Draws a dotted line through the means for which no other mean is better on both axes."""
    at = {row.method: (row.change_x, row.change_y) for row in means.itertuples()} | {UNSTEERED: (0.0, 0.0)}
    if len(front) > 1:
        x, y = zip(*(at[method] for method in front), strict=True)
        line = {"color": INK, "width": 1.5, "dash": "dot"}
        fig.add_scatter(x=x, y=y, mode="lines", line=line, name=_FRONT, hoverinfo="skip", row=1, col=1)


def cross_bars(rows: "pd.DataFrame", colour: str, thickness: float, width: float) -> dict[str, Any]:
    """Returns plotly's error bars along both axes.

    Args:
        rows: the rows of ``Parts`` that are drawn.
        colour: the bars' colour.
        thickness: the thickness of the bars in pixels.
        width: the width in pixels of the strokes at the ends of the bars.
    """
    bars = {}
    for axis in "xy":
        change, low, high = rows[f"change_{axis}"], rows[f"low_{axis}"], rows[f"high_{axis}"]
        look = {"thickness": thickness, "width": width, "color": colour}
        bars[f"error_{axis}"] = {"type": "data", "array": high - change, "arrayminus": change - low, **look}
    return bars


def _pale(colour: str) -> str:
    """Returns a transparent version of a colour, so that overlapping markers do not hide each other."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.35)"


def around_origin(fig: Figure, points: "pd.DataFrame", row: int, column: int, *, main: bool = False) -> None:
    """Draws the unsteered model at the origin, and sets the ranges of the axes so that all intervals and a part of each
    quadrant are visible.

    Args:
        fig: the figure.
        points: the rows of ``Parts`` that are drawn in the panel.
        row, column: the panel, from 1.
        main: whether the panel is the large panel. Only the marker in the large panel has an entry in the legend.
    """
    for axis, update in (("x", fig.update_xaxes), ("y", fig.update_yaxes)):
        least = float(points[f"least_{axis}"].max())
        low, high = min(-least, float(points[f"low_{axis}"].min())), max(least, float(points[f"high_{axis}"].max()))
        room = 0.3 * max(-low, high)
        span = [min(low, -room) - 0.25 * room, max(high, room) + 0.25 * room]
        update(range=span, zeroline=True, zerolinecolor=GREY, zerolinewidth=1.5, row=row, col=column)
    look = {"color": INK, "symbol": "circle-open", "size": _CIRCLE if main else 8}
    fig.add_scatter(
        x=[0], y=[0], mode="markers", name=UNSTEERED, marker=look, hoverinfo="name", showlegend=main, row=row, col=column
    )


def quadrants(fig: Figure) -> None:
    """Writes the meaning of each corner of the plane into the first panel.

    Args:
        fig: the figure, with the change of transfer along x and of localization along y.
    """
    for x, y, text, xanchor, yanchor in _QUADRANTS:
        place = {"x": x, "y": y, "xref": "x domain", "yref": "y domain", "xanchor": xanchor, "yanchor": yanchor, "align": xanchor}
        fig.add_annotation(text=text, showarrow=False, font={"size": 12, "color": SOFT}, **place)
