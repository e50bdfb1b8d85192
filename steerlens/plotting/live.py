"""Shows figures in a notebook: as plotly's FigureWidget, which can change, and as HTML that needs no kernel."""

import re
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import plotly.io

from steerlens.plotting.figure import OFFLINE

_AXIS = {"tickfont": {"size": 10}, "title": {"font": {"size": 11}, "standoff": 3}}
_LEGEND = {
    **{"orientation": "h", "font": {"size": 10}},
    **{"x": 0, "xref": "paper", "xanchor": "left", "y": 1, "yref": "paper", "yanchor": "bottom"},
}
_COLOUR_BAR = {"thickness": 8, "tickfont": {"size": 9}, "title": {"font": {"size": 9}}}
_NO_ZERO = re.compile(r"^([+−-]?)\.(?=\d)")


class _Whole(go.FigureWidget):  # type: ignore[misc]
    """A figure that the page receives only when the figure is complete. Plotly's own widget is empty at first, and a second
    message fills the widget. A page that is still loading plotly may draw the empty widget, which then stays empty."""

    _made = False

    def open(self) -> None:
        """Does nothing until the figure is complete."""
        if self._made:
            super().open()


def live(fig: go.Figure, width: int, height: int) -> Any:
    """Returns a figure as a widget, drawn small and without its title. ``caption_of`` returns the title, so that the page can
    show it next to the figure.

    Args:
        width: the width in pixels.
        height: the height in pixels.

    Raises:
        ImportError: ipywidgets or anywidget, which plotly's widgets need, is missing.
    """
    shown = _Whole(_small(fig, width, height))
    shown._config = {**shown._config, **OFFLINE, "displayModeBar": False}
    shown._made = True
    shown.open()
    return shown


def caption_of(fig: go.Figure) -> tuple[str, str]:
    """Returns the title and subtitle of a figure, as recorded by ``theme.figure``."""
    meta = fig.layout.meta or {}
    return str(meta.get("title", "")), str(meta.get("subtitle", ""))


def redraw(shown: Any, fig: go.Figure, width: int | None = None) -> None:
    """Makes a figure on the page look like another figure, without changing its size. Traces are kept if possible, so that their
    click handlers stay.

    Each trace is changed in a separate batch. In a batch of several traces, plotly's widget loses a property in the browser if
    the property changes in only some of the traces. The layout is changed in the batch of the last trace.

    Args:
        width: the width in pixels; ``None`` keeps the current width.
    """
    fig = _small(fig, width or shown.layout.width, shown.layout.height)
    if [trace.type for trace in shown.data] != [trace.type for trace in fig.data]:
        shown.data = []
        shown.add_traces(fig.data)
    for at, (old, new) in enumerate(zip(shown.data, fig.data, strict=True), 1):
        with shown.batch_update():
            old.update(new.to_plotly_json(), overwrite=True)
            if at == len(shown.data):
                shown.layout.update(fig.layout.to_plotly_json(), overwrite=True)


def _small(fig: go.Figure, width: int, height: int) -> go.Figure:
    """Returns a figure for a small place: no title, small text, the legend above, and numbers in the page's format (+0.29)."""
    made = go.Figure(fig)
    named = sum(trace.showlegend is not False and trace.type != "heatmap" for trace in made.data) > 1
    made.update_layout(
        title={"text": ""},
        width=width,
        height=height,
        margin={"l": 44, "r": 8, "t": 22 if named else 6, "b": 36},
        legend=_LEGEND,
        font={"size": 11},
        hoverlabel={"font": {"size": 12}},
    )
    made.update_xaxes(_AXIS)
    made.update_yaxes(_AXIS)
    made.update_traces(textfont={"size": 10}, colorbar=_COLOUR_BAR, selector={"type": "heatmap"})
    made.update_traces(textfont={"size": 9}, constraintext="none", textangle=0, selector={"type": "bar"})
    for trace in made.data:
        if trace.type == "heatmap" and trace.text is not None:
            trace.text = [[_NO_ZERO.sub(r"\g<1>0.", str(cell)) for cell in row] for row in trace.text]
    return made


def shows_stills() -> bool:
    """Returns whether plotly is set to show figures as PNG (``PLOTLY_RENDERER=png+…``), which are visible on pages without
    scripts."""
    return "png" in str(plotly.io.renderers.default).split("+")


def still(figures: Sequence[go.Figure]) -> str:
    """Returns figures as HTML that needs no kernel. The HTML loads plotly.js from a content delivery network."""
    first = [True, *[False] * len(figures)]
    parts = [
        fig.to_html(include_plotlyjs="cdn" if load else False, full_html=False, config=OFFLINE)
        for fig, load in zip(figures, first, strict=False)
    ]
    return "\n".join(parts)
