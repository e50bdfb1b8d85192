"""Figures in a notebook: plotly's FigureWidget, which changes, and HTML that needs no kernel."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import plotly.io

from steerlens.plotting.figure import OFFLINE


def live(fig: go.Figure, width: int) -> Any:
    """A figure as a widget, so many pixels wide.

    Raises:
        ImportError: plotly's widgets need ipywidgets and anywidget.
    """
    shown = go.FigureWidget(fig)
    shown._config = {**shown._config, **OFFLINE}
    shown.update_layout(width=width)
    return shown


def redraw(shown: Any, fig: go.Figure) -> None:
    """Makes a figure that is on the page look like another one. Traces stay themselves where they can, and with them what a click
    on them does.

    Each trace is changed in a batch of its own: in a batch of several, plotly's widget loses in the browser what changes in one
    trace and stays in another. The layout goes with the last one.
    """
    width = shown.layout.width
    if [trace.type for trace in shown.data] != [trace.type for trace in fig.data]:
        shown.data = []
        shown.add_traces(fig.data)
    for at, (old, new) in enumerate(zip(shown.data, fig.data, strict=True), 1):
        with shown.batch_update():
            old.update(new.to_plotly_json(), overwrite=True)
            if at == len(shown.data):
                shown.layout.update({**fig.layout.to_plotly_json(), "width": width}, overwrite=True)


def shows_stills() -> bool:
    """Plotly was told to show figures as PNG (``PLOTLY_RENDERER=png+…``), so that they are seen where no script runs."""
    return "png" in str(plotly.io.renderers.default).split("+")


def still(figures: Sequence[go.Figure]) -> str:
    """Figures as HTML that needs no kernel; plotly.js comes from its content network."""
    first = [True, *[False] * len(figures)]
    parts = [
        fig.to_html(include_plotlyjs="cdn" if load else False, full_html=False, config=OFFLINE)
        for fig, load in zip(figures, first, strict=False)
    ]
    return "\n".join(parts)
