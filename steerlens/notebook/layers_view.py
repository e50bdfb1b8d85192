"""A score over layers and locales, where a click chooses both."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.evaluation.scores import SWEPT
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import HeatScore, Specimen
from steerlens.notebook.view import View
from steerlens.plotting.live import live, redraw

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_FRAME = {"color": "#d55e00", "width": 3}


class LayersView(View):
    """A heatmap with the chosen cell framed."""

    def __init__(self, specimen: Specimen, selection: Selection, width: int) -> None:
        self._specimen, self._selection = specimen, selection
        self.score = ipywidgets.Dropdown(options=[score.name for score in specimen.scores], description="Colour:")
        self.controls, self._drawn = (self.score,), self._state
        self._shown = live(self._figure(), width)
        self._shown.data[0].on_click(self._clicked)
        self.widget = ipywidgets.VBox([self.score, self._shown])

    def update(self) -> None:
        """Draws it again, if it would look otherwise."""
        if self._drawn != self._state:
            self._drawn = self._state
            redraw(self._shown, self._figure())

    def figures(self) -> "list[Figure]":
        """The heatmap."""
        return [self._figure()]

    def to_frame(self) -> "pd.DataFrame":
        """The table behind the heatmap."""
        of = self._of
        if not of.vector:
            return self._specimen.separated.to_frame()
        frame = self._specimen.swept.to_frame()
        return frame[(frame["vector"] == of.vector) & (frame["score"] == of.score)]

    def as_code(self) -> str:
        """Code that makes the heatmap."""
        own = self._specimen
        if not self._of.vector:
            made = f"stack = model.residuals(dev.prompts(explicit=False), {list(own.layers)})\n"
            made += f'separated = sl.probing.separability(stack, probes=("difference of means",), seed={own.seed})\n'
            return f"{own.begin}{made}{self._of.call}"
        made = f"swept = sl.evaluation.sweep(model, dev, vectors, {list(own.layers)}, [1.0], mode={own.mode!r}, "
        return f"{own.begin}{own.code}{made}scores={list(SWEPT)!r}, tokens={own.tokens!r})\n{self._of.call}"

    @property
    def _of(self) -> HeatScore:
        return next(score for score in self._specimen.scores if score.name == self.score.value)

    @property
    def _state(self) -> tuple[Any, ...]:
        return (self.score.value, self._selection.locale, self._selection.layer)

    def _figure(self) -> "Figure":
        fig, chosen = self._specimen.drawn(self._of), self._selection
        columns, rows = list(fig.data[0].x), list(fig.data[0].y)
        if chosen.locale in columns and str(chosen.layer) in rows:  # a vector of some locales only has no column for others
            column, row = columns.index(chosen.locale), rows.index(str(chosen.layer))
            fig.add_shape(type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line=_FRAME)
        return fig

    def _clicked(self, trace: Any, points: Any, state: Any) -> None:  # noqa: ARG002 (plotly passes all three)
        if points.xs:
            locale = str(points.xs[0])  # "all" is a column too
            place = {"locale": locale} if locale in self._specimen.locales else {}
            self._selection.set(**place, layer=int(points.ys[0]))
