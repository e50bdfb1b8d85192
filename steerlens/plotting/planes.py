"""The transfer-localization plane: a large panel with the means over locales, and a small one per method with its locales."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from steerlens.plotting.theme import GREY, METHOD_SYMBOLS, colour_of, figure

if TYPE_CHECKING:
    import pandas as pd

_MEAN, _UNSTEERED = "mean", "unsteered"
_CONTROL_SYMBOLS = ("square-open", "x-thin-open", "diamond-open")
_QUADRANTS = (
    (1, 1, "both gained", "right", "top"),
    (0, 1, "localization at the price of transfer", "left", "top"),
    (0, 0, "both lost", "left", "bottom"),
    (1, 0, "transfer at the price of localization:<br>cultural erasure", "right", "bottom"),
)
_SIDES = ("top center", "bottom center", "middle right", "middle left", "top right", "bottom left")
"""Where locales are written beside their points, in turn, so that neighbours can be read."""


def plane_figure(frame: "pd.DataFrame", front: Sequence[str] = (), *, by_locale: bool = True) -> go.Figure:
    """Change of transfer against change of localization, both in points, the unsteered model at the origin.

    The large panel has each method's mean over locales with its paired 95% intervals, an arrow from the origin, the Pareto front
    of the means, and the controls in grey, whose crosses are the spread of their draws. Where there are several locales, a
    small panel per method has each locale with its intervals.

    Args:
        frame: the plane's rows.
        front: methods on the Pareto front, by ascending transfer.
        by_locale: whether to draw the small panels.
    """
    points = _points(frame)
    locales = [name for name in dict.fromkeys(points["locale"]) if name != _MEAN]
    own, controls = (points[(points["control"] != "") == flag] for flag in (False, True))
    means, order = own[own["locale"] == _MEAN], list(dict.fromkeys(own["method"]))
    several = [m for m in order if own[own["method"] == m]["n_x"].notna().all()] if by_locale and len(locales) > 1 else []
    columns = 2 if len(several) in (2, 4) else min(3, len(several)) or 1
    fig = _panels(points[points["locale"] == _MEAN], locales, several, columns)
    _frame(fig, points[points["locale"] == _MEAN], 1, 1)
    _quadrants(fig)
    for method in order:
        _mean(fig, means[means["method"] == method], colour_of(method, order), METHOD_SYMBOLS.get(method, "circle"), 1, 1)
    _controls(fig, controls[controls["locale"] == _MEAN])
    _front(fig, means, front)
    for at, method in enumerate(several):
        row, column = 2 + at // columns, 1 + at % columns
        colour, symbol = colour_of(method, order), METHOD_SYMBOLS.get(method, "circle")
        _frame(fig, own[own["n_x"].notna()], row, column)
        _mean(fig, means[means["method"] == method], colour, symbol, row, column)
        _locales(fig, own[(own["method"] == method) & (own["locale"] != _MEAN)], colour, symbol, row, column)
    return fig


def _points(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Both changes of a method and locale in one row, in points. A method with one score only has no transfer to change."""
    columns = ["method", "locale", "change", "low", "high", "n"]
    x = frame[frame["score"] == "transfer"][columns]
    y = frame[frame["score"] == "localization"][columns]
    both = x.merge(y, on=["method", "locale"], how="right", suffixes=("_x", "_y"), sort=False)
    both = both.fillna(dict.fromkeys(("change_x", "low_x", "high_x"), 0.0))
    for name in both.columns:
        if name.startswith(("change", "low", "high")):
            both[name] *= 100
    kinds = dict(zip(frame["method"], frame["control"], strict=True)) if "control" in frame else {}
    return both[both["method"] != _UNSTEERED].assign(control=both["method"].map(lambda name: kinds.get(name, "")))


def _panels(means: "pd.DataFrame", locales: Sequence[str], several: Sequence[str], columns: int) -> go.Figure:
    n = f"{int(means['n_x'].max())} factual and {int(means['n_y'].max())} cultural concepts"
    crosses = "crosses: paired 95% intervals over concepts; of controls: 95% of the draws"
    x, y = "change of transfer (points)", "change of localization (points)"
    fig = figure("Transfer-localization plane", f"{', '.join(locales)}; {n}; {crosses}", "", "", width="page")
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
    fig.update_xaxes(title=x, row=1, col=1)
    fig.update_yaxes(title=y, row=1, col=1)
    legend = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left"}
    top = fig.layout.margin.t + 56  # the legend's two lines
    fig.update_layout(height=top + 60 + sum(heights) + 20 * rows, margin={"t": top}, legend=legend)
    return fig


def _mean(fig: go.Figure, rows: "pd.DataFrame", colour: str, symbol: str, row: int, column: int) -> None:
    """An arrow from the origin to the mean over locales, and in the large panel its cross."""
    for point in rows.itertuples():
        fig.add_scatter(
            x=[0, point.change_x],
            y=[0, point.change_y],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"symbol": ["circle", "arrow"], "size": [0, 12], "angleref": "previous", "standoff": 8, "color": colour},
            opacity=0.6,
            legendgroup=point.method,
            showlegend=False,
            hoverinfo="skip",
            row=row,
            col=column,
        )
    main = row == 1
    fig.add_scatter(
        x=rows["change_x"],
        y=rows["change_y"],
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": 15 if main else 11, "line": {"color": "white", "width": 1.5}},
        name=rows["method"].iloc[0] if len(rows) else "",
        legendgroup=rows["method"].iloc[0] if len(rows) else "",
        showlegend=main,
        hovertext=_hover(rows),
        hoverinfo="text",
        row=row,
        col=column,
        **(_crosses(rows, colour, 2.0, 5) if main else {}),
    )


def _locales(fig: go.Figure, rows: "pd.DataFrame", colour: str, symbol: str, row: int, column: int) -> None:
    """A small point per locale with a thin cross."""
    sides = {place: _SIDES[at % len(_SIDES)] for at, place in enumerate(rows.sort_values("change_x")["locale"])}
    fig.add_scatter(
        x=rows["change_x"],
        y=rows["change_y"],
        mode="markers+text",
        text=rows["locale"].str.split("-").str[0],  # the language alone has room; the hover has the whole
        textposition=[sides[place] for place in rows["locale"]],
        textfont={"size": 11, "color": "#111"},
        marker={"color": colour, "symbol": symbol, "size": 7, "opacity": 0.7},
        legendgroup=rows["method"].iloc[0],
        showlegend=False,
        hovertext=_hover(rows),
        hoverinfo="text",
        row=row,
        col=column,
        **_crosses(rows, _pale(colour), 1.0, 0),
    )


def _controls(fig: go.Figure, rows: "pd.DataFrame") -> None:
    """Controls of all methods in grey, one entry of the legend for each kind."""
    for (kind, part), symbol in zip(rows.groupby("control", sort=False), _CONTROL_SYMBOLS, strict=False):
        fig.add_scatter(
            x=part["change_x"],
            y=part["change_y"],
            mode="markers",
            marker={"color": GREY, "symbol": symbol, "size": 9, "line": {"width": 1.5}},
            name=f"control: {kind}",
            hovertext=_hover(part),
            hoverinfo="text",
            row=1,
            col=1,
            **_crosses(part, GREY, 1.0, 3),
        )


def _front(fig: go.Figure, means: "pd.DataFrame", front: Sequence[str]) -> None:
    """A dotted line through the means that none other beats on both axes."""
    at = {row.method: (row.change_x, row.change_y) for row in means.itertuples()} | {_UNSTEERED: (0.0, 0.0)}
    if len(front) > 1:
        x, y = zip(*(at[method] for method in front), strict=True)
        line = {"color": "#111", "width": 1.5, "dash": "dot"}
        fig.add_scatter(x=x, y=y, mode="lines", line=line, name="Pareto front of the means", hoverinfo="skip", row=1, col=1)


def _crosses(rows: "pd.DataFrame", colour: str, thickness: float, width: float) -> dict[str, Any]:
    """Error bars along both axes."""
    bars = {}
    for axis in "xy":
        change, low, high = rows[f"change_{axis}"], rows[f"low_{axis}"], rows[f"high_{axis}"]
        look = {"thickness": thickness, "width": width, "color": colour}
        bars[f"error_{axis}"] = {"type": "data", "array": high - change, "arrayminus": change - low, **look}
    return bars


def _hover(rows: "pd.DataFrame") -> list[str]:
    return [
        f"<b>{r.method}</b>, {r.locale}<br>transfer {r.change_x:+.1f} [{r.low_x:+.1f}, {r.high_x:+.1f}], "
        f"n = {r.n_x:g} factual concepts<br>localization {r.change_y:+.1f} [{r.low_y:+.1f}, {r.high_y:+.1f}], "
        f"n = {r.n_y:g} cultural concepts"
        for r in rows.fillna({"n_x": 0}).itertuples()
    ]


def _pale(colour: str) -> str:
    """A colour of which much can lie over each other without hiding anything."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.35)"


def _frame(fig: go.Figure, points: "pd.DataFrame", row: int, column: int) -> None:
    """Axes through the unsteered model at the origin, with room around all intervals and something of each quadrant."""
    for axis, update in (("x", fig.update_xaxes), ("y", fig.update_yaxes)):
        low, high = min(-1.0, float(points[f"low_{axis}"].min())), max(1.0, float(points[f"high_{axis}"].max()))
        room = 0.3 * max(-low, high)
        span = [min(low, -room) - 0.25 * room, max(high, room) + 0.25 * room]
        update(range=span, zeroline=True, zerolinecolor=GREY, zerolinewidth=1.5, row=row, col=column)
    look = {"color": "#111", "symbol": "circle-open", "size": 12 if row == 1 else 8}
    fig.add_scatter(
        x=[0], y=[0], mode="markers", name=_UNSTEERED, marker=look, hoverinfo="name", showlegend=row == 1, row=row, col=column
    )


def _quadrants(fig: go.Figure) -> None:
    for x, y, text, xanchor, yanchor in _QUADRANTS:
        place = {"x": x, "y": y, "xref": "x domain", "yref": "y domain", "xanchor": xanchor, "yanchor": yanchor, "align": xanchor}
        fig.add_annotation(text=text, showarrow=False, font={"size": 12, "color": GREY}, **place)
