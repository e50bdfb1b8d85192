"""Shows a score over layers and locales. A click on a cell chooses the layer and the locale."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.evaluation.scores import SWEPT
from steerlens.notebook.hand import Hand
from steerlens.notebook.picture import Picture
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.studied import HeatScore, Studied
from steerlens.notebook.view import View

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

CHOSEN = {"color": "#d55e00", "width": 3}
"""The frame around the chosen cell."""
KEPT = {"color": "#111111", "width": 2, "dash": "dot"}
"""The frame around a layer at which a kept step steers."""


class LayersView(View):
    """A heatmap with a frame around the chosen cell. Layers of kept steps have a dotted frame."""

    def __init__(self, specimen: Specimen, own: Studied, selection: Selection, hand: Hand, width: int, height: int) -> None:
        self._specimen, self._own, self._selection, self._hand = specimen, own, selection, hand
        self.score = ipywidgets.Dropdown(options=[score.name for score in own.scores], description="Colour:")
        self.controls, self._drawn = {"score": self.score}, self._state
        self._picture = Picture(self._figure(), width, height, self._clicked)
        self.widget = ipywidgets.VBox([self.score, self._picture.widget])

    def update(self) -> None:
        """Draws the heatmap again if its content has changed."""
        if self._drawn != self._state:
            self._drawn = self._state
            self._picture.draw(self._figure())

    def figures(self) -> "list[Figure]":
        """Returns the heatmap."""
        return [self._figure()]

    def to_frame(self) -> "pd.DataFrame":
        """Returns the table from which the heatmap is drawn."""
        of = self._of
        if not of.vector:
            return self._own.separated.to_frame()
        frame = self._own.swept.to_frame()
        return frame[(frame["vector"] == of.vector) & (frame["score"] == of.score)]

    def as_code(self) -> str:
        """Returns code that makes the heatmap."""
        layers, own = list(self._specimen.layers), self._own
        begin = self._specimen.code.begin(items=True, vectors=bool(self._of.vector))
        if not self._of.vector:
            made = f"stack = model.residuals(dev.prompts(explicit=False), {layers})\n"
            made += f'separated = sl.probing.separability(stack, probes=("difference of means",), seed={own.seed})\n'
            return f"{begin}{made}{self._of.call}"
        made = f"swept = sl.evaluation.sweep(model, dev, vectors, {layers}, [1.0], mode={own.mode!r}, "
        return f"{begin}{made}scores={list(SWEPT)!r}, tokens={self._specimen.tokens!r})\n{self._of.call}"

    @property
    def _of(self) -> HeatScore:
        return next(score for score in self._own.scores if score.name == self.score.value)

    @property
    def _state(self) -> tuple[Any, ...]:
        return (self.score.value, self._selection.locale, self._selection.layer, self._hand.kept)

    def _figure(self) -> "Figure":
        fig, chosen = self._own.drawn(self._of), self._selection
        columns, rows = list(fig.data[0].x), list(fig.data[0].y)
        for move in self._hand.kept:
            if str(move.layer) in rows:
                row = rows.index(str(move.layer))
                fig.add_shape(type="rect", x0=-0.5, x1=len(columns) - 0.5, y0=row - 0.5, y1=row + 0.5, line=KEPT)
        if chosen.locale in columns and str(chosen.layer) in rows:  # a vector may have columns for some locales only
            column, row = columns.index(chosen.locale), rows.index(str(chosen.layer))
            fig.add_shape(type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line=CHOSEN)
        return fig

    def _clicked(self, x: float | str, y: float | str) -> None:
        locale = str(x)  # the column "all" is no locale
        place = {"locale": locale} if locale in self._specimen.locales else {}
        self._selection.set(**place, layer=int(y))
