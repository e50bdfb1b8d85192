"""Shows the prompts at the chosen layer in two dimensions. A click on a point chooses its prompt."""

from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.notebook.picture import Picture
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.studied import Studied
from steerlens.notebook.view import View
from steerlens.probing import ResidualMap, residual_map

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_AXES = {"difference of means": "means", "principal components": "pca"}
_RING = {"symbol": "circle-open", "size": 17, "color": "#111111", "line": {"width": 2.5}}


class PointsView(View):
    """A scatter plot of residuals, with a ring around the chosen prompt."""

    def __init__(self, specimen: Specimen, own: Studied, selection: Selection, width: int, height: int) -> None:
        self._specimen, self._own, self._selection = specimen, own, selection
        self.axes = _list(list(_AXES), "Axes:", 185)
        self.colour = _list(["kind", "locale", "topic"], "Colour:", 130)
        self.every = ipywidgets.Checkbox(value=False, description="all locales", indent=False, layout={"width": "100px"})
        self.controls, self._drawn = {"axes": self.axes, "colour": self.colour, "every": self.every}, self._state
        self._picture = Picture(self._figure(), width, height, self._clicked)
        self.widget = ipywidgets.VBox([ipywidgets.HBox(list(self.controls.values())), self._picture.widget])

    def update(self) -> None:
        """Draws the scatter plot again if its content has changed."""
        if self._drawn != self._state:
            self._drawn = self._state
            self._picture.draw(self._figure())

    def figures(self) -> "list[Figure]":
        """Returns the scatter plot without the ring."""
        return [self._map().scatter(self.colour.value)]

    def to_frame(self) -> "pd.DataFrame":
        """Returns a table with one row per point."""
        return self._map().to_frame()

    def as_code(self) -> str:
        """Returns code that makes the scatter plot."""
        layer, axes, locale = self._selection.layer, _AXES[self.axes.value], self._locale
        return (
            f"{self._specimen.code.begin(items=True)}stack = model.residuals(dev.prompts(explicit=False), [{layer}])\n"
            f"points = sl.probing.residual_map(stack, {layer}, {axes!r}, locale={locale!r}, seed={self._own.seed})\n"
            f"points.scatter({self.colour.value!r})"
        )

    @property
    def _locale(self) -> str | None:
        return None if self.every.value else self._selection.locale

    @property
    def _state(self) -> tuple[Any, ...]:
        chosen = self._selection
        own = (chosen.locale, chosen.concept, chosen.text)
        return (self._locale, chosen.layer, self.axes.value, self.colour.value, own)

    def _map(self) -> ResidualMap:
        axes: Any = _AXES[self.axes.value]
        return residual_map(self._own.stack, self._selection.layer, axes, locale=self._locale, seed=self._own.seed)

    def _figure(self) -> "Figure":
        points, chosen = self._map(), self._selection
        fig, frame = points.scatter(self.colour.value), points.frame
        own = frame[(frame["concept"] == chosen.concept) & (frame["locale"] == chosen.locale) & (not chosen.text)]
        fig.add_scatter(x=own["x"], y=own["y"], mode="markers", marker=_RING, hoverinfo="skip", showlegend=False)
        return fig

    def _clicked(self, x: float | str, y: float | str) -> None:
        frame = self._map().frame
        row = frame.loc[((frame["x"] - float(x)) ** 2 + (frame["y"] - float(y)) ** 2).idxmin()]
        self._selection.set(locale=row["locale"], concept=row["concept"], text="")


def _list(options: list[str], description: str, width: int) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(
        options=options, description=description, layout={"width": f"{width}px"}, style={"description_width": "48px"}
    )
