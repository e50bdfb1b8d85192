"""The prompts at the chosen layer, in two dimensions."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.view import View
from steerlens.plotting.live import live, redraw
from steerlens.probing import ResidualMap, residual_map

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_AXES = {"difference of means": "means", "principal components": "pca"}


class PointsView(View):
    """A scatter of residuals."""

    def __init__(self, specimen: Specimen, selection: Selection, width: int) -> None:
        self._specimen, self._selection = specimen, selection
        self.axes = _list(list(_AXES), "Axes:", 205)
        self.colour = _list(["kind", "locale", "topic"], "Colour:", 145)
        self.every = ipywidgets.Checkbox(value=False, description="all locales", indent=False, layout={"width": "105px"})
        self.controls, self._drawn = (self.axes, self.colour, self.every), self._state
        self._shown = live(self._figure(), width)
        row = ipywidgets.HBox(self.controls, layout={"flex_flow": "row wrap", "width": f"{width}px"})
        self.widget = ipywidgets.VBox([row, self._shown])

    def update(self) -> None:
        """Draws it again, if it would look otherwise."""
        if self._drawn != self._state:
            self._drawn = self._state
            redraw(self._shown, self._figure())

    def figures(self) -> "list[Figure]":
        """The scatter."""
        return [self._figure()]

    def to_frame(self) -> "pd.DataFrame":
        """A row per point."""
        return self._map().to_frame()

    def as_code(self) -> str:
        """Code that makes the scatter."""
        layer, axes, locale = self._selection.layer, _AXES[self.axes.value], self._locale
        return (
            f"{self._specimen.begin}stack = model.residuals(dev.prompts(explicit=False), [{layer}])\n"
            f"points = sl.probing.residual_map(stack, {layer}, {axes!r}, locale={locale!r}, seed={self._specimen.seed})\n"
            f"points.scatter({self.colour.value!r})"
        )

    @property
    def _locale(self) -> str | None:
        return None if self.every.value else self._selection.locale

    @property
    def _state(self) -> tuple[Any, ...]:
        return (self._locale, self._selection.layer, self.axes.value, self.colour.value)

    def _map(self) -> ResidualMap:
        axes: Any = _AXES[self.axes.value]
        seed = self._specimen.seed
        return residual_map(self._specimen.stack, self._selection.layer, axes, locale=self._locale, seed=seed)

    def _figure(self) -> "Figure":
        return self._map().scatter(self.colour.value)


def _list(options: list[str], description: str, width: int) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(
        options=options, description=description, layout={"width": f"{width}px"}, style={"description_width": "55px"}
    )
