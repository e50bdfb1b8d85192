"""The transfer-localization plane."""

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go

from steerlens.plotting.theme import GREY, METHOD_SYMBOLS, colour_of, figure

if TYPE_CHECKING:
    import pandas as pd

_MEAN = "mean"
_LABELS = {"EN": "bottom center", "LOC": "middle left", "explicit prompt": "top right"}
"""Beside a locale's point, to a side of each method's own, so that labels of points that coincide can be read."""
_QUADRANTS = (
    (0.99, 0.99, "both gained", "right", "top"),
    (0.01, 0.99, "localization at the price of transfer", "left", "top"),
    (0.01, 0.01, "both lost", "left", "bottom"),
    (0.99, 0.01, "transfer at the price of localization:<br>cultural erasure", "right", "bottom"),
)


def plane_figure(frame: "pd.DataFrame") -> go.Figure:
    """A cross per method (mean over locales, paired 95% intervals), a small point per locale, an arrow from unsteered."""
    points = _points(frame)
    means = points[points["locale"] == _MEAN]
    n = f"{int(means['n_x'].max())} factual and {int(means['n_y'].max())} cultural concepts"
    locales = [name for name in dict.fromkeys(points["locale"]) if name != _MEAN]
    fig = figure(
        "Transfer-localization plane",
        f"{', '.join(locales)}; {n}; crosses: mean over locales with paired 95% intervals",
        "change of transfer (points)",
        "change of localization (points)",
        width="page",
    )
    order = list(dict.fromkeys(points["method"]))
    for method in order:
        own, colour = points[points["method"] == method], colour_of(method, order)
        symbol = METHOD_SYMBOLS.get(method, "circle")
        _add(fig, own[own["locale"] == _MEAN], method, colour, symbol, large=True)
        _add(fig, own[own["locale"] != _MEAN], method, colour, symbol, large=False)
    _frame(fig, points)
    fig.update_layout(height=560, legend={"orientation": "h", "y": -0.16})
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
    return both[both["method"] != "unsteered"]


def _add(fig: go.Figure, rows: "pd.DataFrame", method: str, colour: str, symbol: str, *, large: bool) -> None:
    bars: dict[str, Any] = {}
    if large:
        for axis in "xy":
            change, low, high = rows[f"change_{axis}"], rows[f"low_{axis}"], rows[f"high_{axis}"]
            bars[f"error_{axis}"] = {
                "type": "data",
                "array": high - change,
                "arrayminus": change - low,
                "thickness": 1.5,
                "width": 5,
            }
            bars[f"error_{axis}"]["color"] = colour
        for row in rows.itertuples():
            start: dict[str, Any] = {"ax": 0, "ay": 0, "axref": "x", "ayref": "y", "showarrow": True, "arrowhead": 2, "text": ""}
            fig.add_annotation(x=row.change_x, y=row.change_y, arrowcolor=colour, arrowwidth=1.5, opacity=0.5, **start)
    hover = [
        f"<b>{r.method}</b>, {r.locale}<br>transfer {r.change_x:+.1f} [{r.low_x:+.1f}, {r.high_x:+.1f}]"
        f"<br>localization {r.change_y:+.1f} [{r.low_y:+.1f}, {r.high_y:+.1f}]<br>n = {r.n_y:g} cultural concepts"
        for r in rows.itertuples()
    ]
    fig.add_scatter(
        x=rows["change_x"],
        y=rows["change_y"],
        mode="markers" if large else "markers+text",
        text=None if large else rows["locale"],
        textposition=_LABELS.get(method, "middle right"),
        textfont={"size": 10, "color": colour},
        marker={"color": colour, "symbol": symbol, "size": 15 if large else 7, "opacity": 1 if large else 0.55},
        name=method,
        legendgroup=method,
        showlegend=large,
        hovertext=hover,
        hoverinfo="text",
        **bars,
    )


def _frame(fig: go.Figure, points: "pd.DataFrame") -> None:
    """Axes through the unsteered model at the origin, quadrants named, room around all intervals."""
    reach = {axis: max(2.0, float(points[[f"low_{axis}", f"high_{axis}"]].abs().max().max())) * 1.15 for axis in "xy"}
    fig.update_xaxes(range=[-reach["x"], reach["x"]], zeroline=True, zerolinecolor=GREY)
    fig.update_yaxes(range=[-reach["y"], reach["y"]], zeroline=True, zerolinecolor=GREY)
    fig.add_scatter(
        x=[0],
        y=[0],
        mode="markers",
        name="unsteered",
        marker={"color": "#111", "symbol": "circle-open", "size": 12},
        hoverinfo="name",
    )
    for x, y, text, xanchor, yanchor in _QUADRANTS:
        font = {"size": 11, "color": GREY}
        fig.add_annotation(
            x=x,
            y=y,
            xref="paper",
            yref="paper",
            text=text,
            showarrow=False,
            font=font,
            xanchor=xanchor,
            yanchor=yanchor,
            align=xanchor,
        )
