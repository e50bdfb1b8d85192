"""The lists and sliders that choose a prompt and a step of steering."""

from functools import partial
from typing import Any

import ipywidgets
import traitlets

from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.steering import STEERED_TOKENS

_LONGEST = 70
"""Letters of a question in the list."""


class SteeringControls:
    """They set the selection, and show it."""

    def __init__(self, specimen: Specimen, selection: Selection, limit: float) -> None:
        self._specimen, self._selection, self._filled, self._filling = specimen, selection, "", False
        self.concept = ipywidgets.Dropdown(description="Prompt:", layout={"width": "98%"})
        self.vector = ipywidgets.ToggleButtons()
        self.layer = ipywidgets.SelectionSlider(options=list(specimen.layers), value=selection.layer, description="Layer:")
        look = {"min": -limit, "max": limit, "step": limit / 16, "readout_format": ".2f", "description": "Strength:"}
        self.strength = ipywidgets.FloatSlider(value=selection.strength, **look)
        self.tokens = ipywidgets.Dropdown(options=list(STEERED_TOKENS), value=selection.tokens, description="Tokens:")
        self.keep = ipywidgets.Button(description="Keep this step", tooltip="Later moves are added to it")
        self.clear = ipywidgets.Button(description="Forget kept steps")
        for name in ("layer", "strength", "tokens"):
            traitlets.link((selection, name), (getattr(self, name), "value"))
        for name in ("concept", "vector"):
            getattr(self, name).observe(partial(self._picked, name), "value")
        sliders = ipywidgets.HBox([self.vector, self.layer, self.strength, self.tokens], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([self.concept, sliders, ipywidgets.HBox([self.keep, self.clear])])
        self.update()

    def update(self) -> None:
        """Offers what the chosen locale has, and shows what is chosen."""
        self._filling = True  # lists that are filled choose something themselves
        try:
            if self._filled != self._selection.locale:
                self._filled = self._selection.locale
                items = self._specimen.of(self._filled)
                self.concept.options = [(_short(f"{item.kind}: {item.question}"), item.concept) for item in items]
                self.vector.options = list(self._specimen.vectors.of(self._filled))
            self.concept.value, self.vector.value = self._selection.concept, self._selection.vector
        finally:
            self._filling = False

    def _picked(self, name: str, change: Any) -> None:
        if not self._filling:
            self._selection.set(**{name: change.new})


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
