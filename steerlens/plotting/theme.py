"""One visual language for every figure."""

import textwrap
from typing import Any, Literal

import plotly.graph_objects as go

METHOD_COLOURS = {
    "unsteered": "#5f6b7a",
    "explicit prompt": "#b8860b",
    "EN": "#0072b2",
    "LOC": "#d55e00",
    "surgical": "#009e73",
}
"""Okabe and Ito's palette, which readers with any colour vision can tell apart."""
OTHER_COLOURS = ("#cc79a7", "#56b4e9", "#8a6d00", "#000000")
METHOD_SYMBOLS = {"explicit prompt": "star", "EN": "triangle-right", "LOC": "triangle-up", "surgical": "diamond"}
CHANGE_SCALE = "RdBu"
"""Changes: red below zero, white at zero, blue above."""
LEVEL_SCALE = "Viridis"
GREY = "#8a93a0"

SCORE_WORDS = {
    "transfer": "transfer",
    "localization": "localization",
    "english_centric": "English-centric rate",
}


_LINE = {"half": 56, "page": 112}
"""Characters of a subtitle's line over a figure half as wide as a page, and as wide."""


def figure(title: str, subtitle: str, x: str, y: str, *, width: Literal["half", "page"] = "half", **layout: Any) -> go.Figure:
    """An empty figure with a title that names its subject, what is shown beneath it, and both axes named."""
    fig, lines = go.Figure(), textwrap.wrap(subtitle, _LINE[width])
    fig.update_layout(
        template="plotly_white",
        title={
            "text": f"<b>{title}</b><br><span style='font-size:13px;color:#5f6b7a'>{'<br>'.join(lines)}</span>",
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 46},  # beneath the buttons that a page shows over a figure
        },
        font={"family": "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif", "size": 14},
        xaxis_title=x,
        yaxis_title=y,
        margin={"l": 70, "r": 30, "t": 88 + 20 * len(lines), "b": 60},
        height=454 + 20 * len(lines),
        **layout,
    )
    return fig


def colour_of(method: str, order: list[str]) -> str:
    """A method's colour: its own if it is a known one, else the next free."""
    others = [name for name in order if name not in METHOD_COLOURS]
    return METHOD_COLOURS.get(method) or OTHER_COLOURS[others.index(method) % len(OTHER_COLOURS)]
