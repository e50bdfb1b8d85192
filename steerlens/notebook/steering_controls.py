"""Defines the lists, the text box and the sliders that choose a prompt and a step of steering."""

from functools import partial
from typing import Any

import ipywidgets
import traitlets

from steerlens.notebook.hand import PINS
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.steering import STEERED_TOKENS

_LONGEST = 64
"""The largest number of letters of a question that the list shows."""
_BUTTONS = 4
"""The largest number of vectors that are offered as buttons. A larger number of vectors is offered as a list."""
_NARROW = {"description_width": "60px"}


class SteeringControls:
    """The controls that show the selection and change it."""

    def __init__(self, specimen: Specimen, selection: Selection, limit: float) -> None:
        self._specimen, self._selection, self._filling = specimen, selection, False
        self._filled: tuple[str, str] | None = None
        self.locale = ipywidgets.Dropdown(options=list(specimen.locales), value=selection.locale, layout={"width": "90px"})
        self.prompts = ipywidgets.Dropdown(layout={"flex": "1 1 200px", "width": "auto"})
        self.text = ipywidgets.Textarea(
            rows=2, continuous_update=False, layout={"width": "100%", "height": "46px"}, placeholder="Write a prompt …"
        )
        self.text.tooltip = "Write any prompt here; Tab or a click elsewhere runs it"
        self.vector: Any = (
            ipywidgets.ToggleButtons(style={"button_width": "auto"})
            if all(len(specimen.offered(locale)) <= _BUTTONS for locale in specimen.locales)
            else ipywidgets.Dropdown(layout={"width": "180px"})
        )
        half = {"width": "50%"}
        self.layer = ipywidgets.SelectionSlider(
            options=list(specimen.layers), value=selection.layer, description="Layer", layout=half, style=_NARROW
        )
        look = {"min": -limit, "max": limit, "step": limit / 16, "readout_format": "+.2f", "description": "Strength"}
        self.strength = ipywidgets.FloatSlider(value=selection.strength, layout=half, style=_NARROW, **look)
        self.tokens = ipywidgets.Dropdown(
            options=list(STEERED_TOKENS), value=selection.tokens, description="Tokens", layout={"width": "188px"}, style=_NARROW
        )
        self.keep = ipywidgets.Button(description="Keep step", tooltip="Later steps are added to the kept step")
        self.clear = ipywidgets.Button(description="Forget kept", tooltip="Forgets the kept steps")
        self.pins = {
            name: ipywidgets.Button(
                description=f"Pin {name}", tooltip=f"Pins the plan as {name} for comparison; a second click removes the pin"
            )
            for name in PINS
        }
        self.status = ipywidgets.HTML()
        """The text that shows whether a computation is running."""
        self.widget = self._laid_out()
        self._connect()
        self.update()

    def _laid_out(self) -> Any:
        items = [self.locale] if self._specimen.studied else []
        steering = [
            ipywidgets.HBox([self.vector, self.tokens], layout={"justify_content": "space-between"}),
            ipywidgets.HBox([self.layer, self.strength]),
            ipywidgets.HBox([self.keep, self.clear, *self.pins.values(), self.status]),
        ]
        unsteered = [ipywidgets.HBox([self.layer, self.status])]
        first = [ipywidgets.HBox([*items, self.prompts]), self.text]
        return ipywidgets.VBox([*first, *(steering if self._specimen.vectors else unsteered)])

    def _connect(self) -> None:
        for name in ("layer", "strength", "tokens"):
            traitlets.link((self._selection, name), (getattr(self, name), "value"))
        for name in ("locale", "vector"):
            getattr(self, name).observe(partial(self._picked, name), "value")
        self.prompts.observe(self._picked_prompt, "value")
        self.text.observe(self._written, "value")

    def update(self) -> None:
        """Offers the choices of the chosen locale, and shows the current choices."""
        chosen = self._selection
        self._filling = True  # a list that is filled changes its value itself
        try:
            if self._filled != (chosen.locale, chosen.text):
                self._filled = (chosen.locale, chosen.text)
                self.prompts.options = self._offered()
                self.vector.options = list(chosen.offered)
            self.locale.value = chosen.locale
            self.prompts.value = (False, chosen.text) if chosen.text else (True, chosen.concept)
            self.text.value = chosen.prompt
            self.vector.value = chosen.vector or None
        finally:
            self._filling = False

    def _offered(self) -> list[tuple[str, tuple[bool, str]]]:
        """Returns the prompts that are offered, with their names: items by their concept, and free prompts."""
        own, chosen = self._specimen, self._selection
        items = own.studied.of(chosen.locale) if own.studied else ()
        free = dict.fromkeys((*own.prompts, *([chosen.text] if chosen.text else [])))
        return [
            *((_short(f"{item.kind}: {item.question}"), (True, item.concept)) for item in items),
            *((_short(f"own: {text}"), (False, text)) for text in free),
        ]

    def _picked(self, name: str, change: Any) -> None:
        if not self._filling:
            self._selection.set(**{name: change.new})

    def _picked_prompt(self, change: Any) -> None:
        if not self._filling and change.new:
            of_item, name = change.new
            self._selection.set(**({"concept": name, "text": ""} if of_item else {"text": name}))

    def _written(self, change: Any) -> None:
        """Makes a typed text the free prompt. If the text is the item's own prompt, the item is chosen again. An empty text
        changes nothing."""
        if self._filling:
            return
        chosen, own = self._selection, self._specimen
        item = own.item(chosen.locale, chosen.concept).prompt().text if own.studied else None
        if change.new.strip():
            chosen.set(text="" if change.new == item else change.new)
        else:
            self.update()


def _short(label: str) -> str:
    label = label.replace("\n", " ⏎ ")
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
