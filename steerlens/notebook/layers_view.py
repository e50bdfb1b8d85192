"""A score over layers and locales, where a click chooses both."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen, lines_of, variable
from steerlens.notebook.view import View
from steerlens.plotting.live import live, redraw

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class LayersView(View):
    """A heatmap with the chosen cell framed."""

    def __init__(self, specimen: Specimen, selection: Selection, width: int, *, taken: bool, tokens: str) -> None:
        self._specimen, self._selection, self._taken, self._tokens = specimen, selection, taken, tokens
        self.score = ipywidgets.Dropdown(options=[score.name for score in specimen.scores], description="Colour:")
        self._shown = live(self._figure(), width)
        self._shown.data[0].on_click(self._clicked)
        self.score.observe(self._redraw, "value")
        selection.observe(self._redraw, ["locale", "layer"])
        self.widget = ipywidgets.VBox([self.score, self._shown])

    def figures(self) -> "list[Figure]":
        """The heatmap."""
        return [self._figure()]

    def to_frame(self) -> "pd.DataFrame":
        """The table behind the heatmap."""
        name = self.score.value
        if "→" not in name:
            return self._specimen.separated.to_frame()
        vector, _, score = name.split(" ")
        frame, kind = self._specimen.swept.to_frame(), "factual" if score == "transfer" else "cultural"
        return frame[(frame["vector"] == vector) & (frame["kind"] == kind)]

    def as_code(self) -> str:
        """Code that makes the heatmap."""
        score = next(score for score in self._specimen.scores if score.name == self.score.value)
        if "→" not in score.name:
            made = (
                "stack = model.residuals(dev.prompts(explicit=False))\n"
                'separated = sl.probing.separability(stack, probes=("difference of means",))\n'
            )
        else:
            made = "taken = []\n"
            for code in self._specimen.locales:
                made += "\n".join(lines_of(self._specimen.vectors, code, taken=self._taken)) + "\n"
                names = [variable(name) for name, one in self._specimen.vectors[code].items() if one.locale]
                made += f"taken += [{', '.join(names)}]\n"
            made += (
                f'swept = sl.evaluation.sweep(model, dev, taken, strengths=[1.0], mode="attribution", tokens={self._tokens!r})\n'
            )
        return f"{self._specimen.code}{made}{score.draw}"

    def _figure(self) -> "Figure":
        fig = self._specimen.drawn(self.score.value)
        heat = fig.data[0]
        column, row = list(heat.x).index(self._selection.locale), list(heat.y).index(str(self._selection.layer))
        box = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        fig.add_shape(type="rect", **box, line={"color": "#d55e00", "width": 3})
        return fig

    def _redraw(self, _: Any) -> None:
        redraw(self._shown, self._figure())

    def _clicked(self, trace: Any, points: Any, state: Any) -> None:  # noqa: ARG002 (plotly passes all three)
        if not points.xs:
            return
        locale, layer = str(points.xs[0]), int(points.ys[0])
        if locale in self._specimen.locales:
            self._selection.set_trait("locale", locale)
        self._selection.set_trait("layer", layer)
