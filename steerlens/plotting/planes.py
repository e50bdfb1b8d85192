"""The transfer-localization plane: a large panel with the means over locales, and a small one per method with its locales."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import Figure
from steerlens.plotting.labels import beside
from steerlens.plotting.theme import GREY, HALO, INK, SOFT, colour_of, figure, symbol_of

if TYPE_CHECKING:
    import pandas as pd

_MEAN, _UNSTEERED = "mean", "unsteered"
_CONTROL_SYMBOLS = ("square-open", "x-thin-open", "diamond-open")
_AXES = ("change of transfer (points)", "change of localization (points)")
_QUADRANTS = (
    (1, 1, "both gained", "right", "top"),
    (0, 1, "localization at the price<br>of transfer", "left", "top"),
    (0, 0, "both lost", "left", "bottom"),
    (1, 0, "transfer at the price of localization:<br>cultural erasure", "right", "bottom"),
)


def plane_figure(frame: "pd.DataFrame", front: Sequence[str] = (), *, by_locale: bool = True) -> Figure:
    """Draws the change of transfer against that of localization, both in points, with the unsteered model at the origin.

    The large panel has each method's mean over locales with its paired 95% intervals, an arrow from the origin, the Pareto front
    of the means, and the controls in grey, whose crosses are the spread of their draws. Where there are several locales, a small
    panel per method has each locale with its intervals.

    Args:
        frame: the table of ``Plane``.
        front: methods on the Pareto front, by ascending transfer; none for ``()``.
        by_locale: whether to draw the small panels.
    """
    parts = _Parts(frame)
    locales = list(dict.fromkeys(parts.locales["locale"]))
    several = parts.panels() if by_locale else []
    columns = 2 if len(several) in (2, 4) else min(3, len(several)) or 1
    fig = _panels(parts.means, locales, several, columns)
    _frame(fig, parts.every_mean, 1, 1, main=True)
    _quadrants(fig)
    for method in parts.order:
        _mean(fig, parts.means, method, parts.colour(method), 1, 1, main=True)
    _controls(fig, parts.controls)
    _front(fig, parts.means, front)
    for at, method in enumerate(several):
        _panel(fig, parts, method, 2 + at // columns, 1 + at % columns)
    return fig


def plane_panels(frame: "pd.DataFrame") -> list[Figure]:
    """Draws the small panels of ``plane_figure`` as figures of their own, for pages that set them side by side as they have room.

    Args:
        frame: the table of ``Plane``.
    """
    parts = _Parts(frame)
    figures = []
    for method in parts.panels():
        n = f"n = {parts.means['n_x'].max():.0f} factual and {parts.means['n_y'].max():.0f} cultural concepts"
        fig = figure(f"{method}, by locale", f"{n}; crosses: paired 95% intervals; large: mean", *_AXES)
        fig.set_subplots(rows=1, cols=1)
        fig.update_layout(showlegend=False)
        _panel(fig, parts, method, 1, 1)
        figures.append(fig)
    return figures


class _Parts:
    """The rows of a plane in points: methods' means, their locales, and the controls' means."""

    def __init__(self, frame: "pd.DataFrame") -> None:
        points = _points(frame)
        own, mean = points["control"] == "", points["locale"] == _MEAN
        self.every_mean, self.means, self.controls = points[mean], points[own & mean], points[~own & mean]
        self.locales = points[own & ~mean]
        self.order = list(dict.fromkeys(self.means["method"]))

    def panels(self) -> list[str]:
        """Methods that have both scores, where there are several locales to tell apart."""
        several = self.locales["locale"].nunique() > 1
        return [
            method for method in self.order if several and self.locales[self.locales["method"] == method]["n_x"].notna().all()
        ]

    def colour(self, method: str) -> str:
        """A method's own."""
        return colour_of(method, self.order)


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


def _panels(means: "pd.DataFrame", locales: Sequence[str], several: Sequence[str], columns: int) -> Figure:
    n = f"{int(means['n_x'].max())} factual and {int(means['n_y'].max())} cultural concepts"
    crosses = "crosses: paired 95% intervals over concepts; of controls: 95% of the draws"
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
    fig.update_xaxes(title=_AXES[0], row=1, col=1)
    fig.update_yaxes(title=_AXES[1], row=1, col=1)
    legend = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "xanchor": "left"}
    top = fig.layout.margin.t + 30  # the legend's line
    for column in range(1, columns + 1) if several else ():
        fig.update_xaxes(title="transfer (points)", title_font_size=12, row=1 + rows, col=column)
    for row in range(2, 2 + rows):
        fig.update_yaxes(title="localization (points)", title_font_size=12, title_standoff=4, row=row, col=1)
    fig.update_layout(height=top + 60 + sum(heights) + 20 * rows, margin={"t": top}, legend=legend)
    return fig


def _panel(fig: Figure, parts: _Parts, method: str, row: int, column: int) -> None:
    """One method with its locales, on the axes that all methods' panels have."""
    shown, means = parts.panels(), parts.means[parts.means["method"] == method]
    mean = float(means["change_x"].iloc[0]), float(means["change_y"].iloc[0])
    _frame(fig, parts.locales[parts.locales["method"].isin(shown)], row, column)
    _mean(fig, parts.means, method, parts.colour(method), row, column)
    _locales(fig, parts.locales[parts.locales["method"] == method], mean, parts.colour(method), row, column)


def _mean(fig: Figure, means: "pd.DataFrame", method: str, colour: str, row: int, column: int, *, main: bool = False) -> None:
    """An arrow from the origin to the mean over locales, and in the large panel its cross."""
    rows = means[means["method"] == method]
    shared = {"legendgroup": method, "row": row, "col": column}
    arrow = {"symbol": ["circle", "arrow"], "size": [0, 12], "angleref": "previous", "standoff": 8, "color": colour}
    for point in rows.itertuples():
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
        marker={"color": colour, "symbol": symbol_of(colour), "size": 15 if main else 11, "line": outline},
        name=method,
        showlegend=main,
        hovertext=_hover(rows),
        hoverinfo="text",
        **shared,
        **(_crosses(rows, colour, 2.0, 5) if main else {}),
    )


def _locales(fig: Figure, rows: "pd.DataFrame", mean: tuple[float, float], colour: str, row: int, column: int) -> None:
    """A small point per locale with a thin cross, its name clear of the others, of the origin and of the mean."""
    names = rows["locale"].str.split("-").str[0]  # the language alone has room; the hover has the whole
    fig.add_scatter(
        x=rows["change_x"],
        y=rows["change_y"],
        mode="markers+text",
        text=names,
        textposition=beside(rows["change_x"], rows["change_y"], names, _scale(fig, row, column), [(0.0, 0.0), mean]),
        textfont={"size": 12, "color": INK, "shadow": HALO},
        marker={"color": colour, "symbol": symbol_of(colour), "size": 7, "opacity": 0.7},
        legendgroup=rows["method"].iloc[0],
        showlegend=False,
        hovertext=_hover(rows),
        hoverinfo="text",
        row=row,
        col=column,
        **_crosses(rows, _pale(colour), 1.0, 0),
    )


def _scale(fig: Figure, row: int, column: int) -> tuple[float, float]:
    """Pixels in a unit of each axis, at the size that the figure was laid out for."""
    axes, margin = fig.get_subplot(row, column), fig.layout.margin
    sizes = fig.natural_width - margin.l - margin.r, fig.layout.height - margin.t - margin.b
    scales = []
    for axis, size in zip((axes.xaxis, axes.yaxis), sizes, strict=True):
        (start, end), (low, high) = axis.domain or (0, 1), axis.range
        scales.append(size * (end - start) / (high - low))
    return scales[0], scales[1]


def _controls(fig: Figure, rows: "pd.DataFrame") -> None:
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


def _front(fig: Figure, means: "pd.DataFrame", front: Sequence[str]) -> None:
    """A dotted line through the means that none other beats on both axes."""
    at = {row.method: (row.change_x, row.change_y) for row in means.itertuples()} | {_UNSTEERED: (0.0, 0.0)}
    if len(front) > 1:
        x, y = zip(*(at[method] for method in front), strict=True)
        line = {"color": INK, "width": 1.5, "dash": "dot"}
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


def _frame(fig: Figure, points: "pd.DataFrame", row: int, column: int, *, main: bool = False) -> None:
    """Axes through the unsteered model at the origin, with room around all intervals and something of each quadrant."""
    for axis, update in (("x", fig.update_xaxes), ("y", fig.update_yaxes)):
        low, high = min(-1.0, float(points[f"low_{axis}"].min())), max(1.0, float(points[f"high_{axis}"].max()))
        room = 0.3 * max(-low, high)
        span = [min(low, -room) - 0.25 * room, max(high, room) + 0.25 * room]
        update(range=span, zeroline=True, zerolinecolor=GREY, zerolinewidth=1.5, row=row, col=column)
    look = {"color": INK, "symbol": "circle-open", "size": 12 if main else 8}
    fig.add_scatter(
        x=[0], y=[0], mode="markers", name=_UNSTEERED, marker=look, hoverinfo="name", showlegend=main, row=row, col=column
    )


def _quadrants(fig: Figure) -> None:
    for x, y, text, xanchor, yanchor in _QUADRANTS:
        place = {"x": x, "y": y, "xref": "x domain", "yref": "y domain", "xanchor": xanchor, "yanchor": yanchor, "align": xanchor}
        fig.add_annotation(text=text, showarrow=False, font={"size": 12, "color": SOFT}, **place)
