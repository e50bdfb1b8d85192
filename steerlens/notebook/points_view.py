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

_AXES = {"principal components": "pca", "difference of means": "means"}


class PointsView(View):
    """A scatter of residuals."""

    def __init__(self, specimen: Specimen, selection: Selection, width: int) -> None:
        self._specimen, self._selection = specimen, selection
        self.axes = ipywidgets.Dropdown(options=list(_AXES), value="difference of means", description="Axes:")
        self.colour = ipywidgets.Dropdown(options=["kind", "locale", "topic"], description="Colour:")
        self.every = ipywidgets.Checkbox(value=False, description="all locales", indent=False)
        self._shown = live(self._figure(), width)
        for control in (self.axes, self.colour, self.every):
            control.observe(self._redraw, "value")
        selection.observe(self._redraw, ["locale", "layer"])
        controls = ipywidgets.HBox([self.axes, self.colour, self.every], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([controls, self._shown])

    def figures(self) -> "list[Figure]":
        """The scatter."""
        return [self._figure()]

    def to_frame(self) -> "pd.DataFrame":
        """A row per point."""
        return self._map().to_frame()

    def as_code(self) -> str:
        """Code that makes the scatter."""
        return (
            f"{self._specimen.code}stack = model.residuals(dev.prompts(explicit=False))\n"
            f"points = sl.probing.residual_map(stack, {self._selection.layer}, {_AXES[self.axes.value]!r}, "
            f"locale={self._locale!r})\n"
            f"points.scatter({self.colour.value!r})"
        )

    @property
    def _locale(self) -> str | None:
        return None if self.every.value else self._selection.locale

    def _map(self) -> ResidualMap:
        axes: Any = _AXES[self.axes.value]
        return residual_map(self._specimen.stack, self._selection.layer, axes, locale=self._locale)

    def _figure(self) -> "Figure":
        return self._map().scatter(self.colour.value)

    def _redraw(self, _: Any) -> None:
        redraw(self._shown, self._figure())
