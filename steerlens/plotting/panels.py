"""Draws lines with error bars in the panels of a figure."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from steerlens.plotting.figure import Figure
from steerlens.plotting.theme import symbol_of

if TYPE_CHECKING:
    import pandas as pd


def panel_line(
    fig: Figure,
    panel: tuple[int, int],
    x: "pd.Series",
    y: "pd.Series",
    name: str,
    look: Mapping[str, Any],
    *,
    legend: bool = True,
    **more: Any,
) -> None:
    """Adds a line with markers to one panel of a figure.

    Args:
        fig: the figure.
        panel: the panel's row and column, from 1.
        x, y: the coordinates of the line.
        name: the name of the line in the legend. Lines with the same name are shown and hidden together.
        look: plotly's ``line`` with a colour. The colour also decides the marker.
        legend: whether the legend contains the line. Set ``legend`` in one panel only.
        more: other properties of the trace, such as ``error_y``.
    """
    common = {"mode": "lines+markers", "line": dict(look), "name": name, "legendgroup": name, "showlegend": legend, **more}
    fig.add_scatter(x=x, y=y, row=panel[0], col=panel[1], marker={"symbol": symbol_of(look["color"])}, **common)


def error_bars(rows: "pd.DataFrame", value: str) -> dict[str, Any]:
    """Returns plotly's error bars for a column of a table with columns low and high.

    Args:
        rows: the table.
        value: the column with the value inside the interval.
    """
    high, low = rows["high"] - rows[value], rows[value] - rows["low"]
    return {"type": "data", "array": high.clip(lower=0), "arrayminus": low.clip(lower=0), "thickness": 1.5, "width": 3}
