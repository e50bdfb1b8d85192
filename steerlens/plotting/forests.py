"""Draws forest plots: changes with their intervals, with one line per method and one panel per score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import GREY, METHOD_COLOURS, OTHER_COLOURS, below, figure, symbol_of
from steerlens.scores import shown_score

if TYPE_CHECKING:
    import pandas as pd

CONTROL = "control"
"""The name of the group of controls. Controls are drawn in grey."""
_LINE = 26
"""The height in pixels of the line of one method."""


def forest_figure(rows: "pd.DataFrame", title: str, subtitle: str, panels: Sequence[str]) -> Figure:
    """Draws changes with their intervals, in percentage points or in the score's unit. A marker is filled if its interval
    excludes zero.

    Args:
        rows: columns method, score, change, low, high, group (which decides colours and markers), and n (number of concepts) if
            it is known.
        title: the title of the figure.
        subtitle: the line below the title. The meaning of filled markers is added to this line.
        panels: the names of the scores. Each score has one panel, from left to right.
    """
    methods, groups = list(dict.fromkeys(rows["method"])), list(dict.fromkeys(rows["group"]))
    own = METHOD_COLOURS | {CONTROL: GREY}
    colours = {group: own.get(group, OTHER_COLOURS[at % len(OTHER_COLOURS)]) for at, group in enumerate(groups)}
    fig = figure(title, f"{subtitle}; filled: interval excludes zero", "", "", width="page")
    titles = [shown_score(score).title for score in panels]
    fig.set_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.04, subplot_titles=titles)
    for column, score in enumerate(panels, 1):
        factor, unit = shown_score(score).factor, shown_score(score).change_unit
        for group, colour in colours.items():
            part = rows[(rows["score"] == score) & (rows["group"] == group)]
            legend = {"name": group, "legendgroup": group, "showlegend": column == 1}
            fig.add_scatter(**_marks(part, factor, unit, colour), **legend, row=1, col=column)
        fig.update_xaxes(title=f"change ({unit})", row=1, col=column)
        fig.add_vline(x=0, line={"color": GREY, "width": 1}, row=1, col=column)
    fig.update_yaxes(categoryorder="array", categoryarray=methods[::-1], automargin=True)
    told = len(groups) == len(methods)  # the names of the lines replace the legend
    fig.update_layout(height=fig.layout.margin.t + 140 + _LINE * len(methods), showlegend=not told)
    return below(fig)


def forest_rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Returns a table of changes as rows for ``forest_figure``. Each method has its own group, and controls are grey.

    Args:
        frame: columns method, score, change, low, high, and control if there are controls. The column control is empty for
            methods that are not controls.
    """
    groups = frame["method"]
    return frame.assign(group=groups.where(frame["control"] == "", CONTROL) if "control" in frame else groups)


def _marks(part: "pd.DataFrame", factor: float, unit: str, colour: str) -> dict[str, Any]:
    change, low, high = (factor * part[name] for name in ("change", "low", "high"))
    sure = (low > 0) | (high < 0)
    fill = [colour if yes else "white" for yes in sure]
    bars = {"array": (high - change).clip(lower=0), "arrayminus": (change - low).clip(lower=0), "thickness": 1.5, "width": 3}
    n = [f"<br>n = {size:.0f} concepts" for size in part["n"]] if "n" in part else [""] * len(part)
    return {
        "x": change,
        "y": part["method"],
        "mode": "markers",
        "error_x": {"type": "data", "color": colour, **bars},
        "marker": {"color": fill, "symbol": symbol_of(colour), "size": 9, "line": {"color": colour, "width": 1.75}},
        "hovertext": [
            f"<b>{name}</b><br>{c:+.2f} [{a:+.2f}, {b:+.2f}] {unit}{size}"
            for name, c, a, b, size in zip(part["method"], change, low, high, n, strict=True)
        ],
        "hoverinfo": "text",
    }
