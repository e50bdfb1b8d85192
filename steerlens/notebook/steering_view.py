"""One prompt under a slider: choices, margin and text before and after."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

from steerlens.evaluation.item_choices import ItemChoices, compared
from steerlens.models import stream
from steerlens.notebook.latest import Steps
from steerlens.notebook.live_item import LiveItem
from steerlens.notebook.marked import side_by_side
from steerlens.notebook.selection import Move, Selection
from steerlens.notebook.specimen import Specimen, lines_of
from steerlens.notebook.view import View
from steerlens.plotting import margin_curve
from steerlens.plotting.live import live, redraw
from steerlens.steering import WHICH, SteeringPlan

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_LONGEST = 70
"""Letters of a question in the list."""


class SteeringView(View):
    """Sliders, the margin's curve, the choices' bars, and the texts. Predicted at once; ``steps`` does the rest."""

    def __init__(
        self, specimen: Specimen, selection: Selection, width: int, *, taken: bool, limit: float, max_new_tokens: int
    ) -> None:
        self._specimen, self._selection, self._taken, self._limit, self._length = (
            specimen,
            selection,
            taken,
            limit,
            max_new_tokens,
        )
        self.kept: tuple[Move, ...] = ()
        self._live: dict[Any, LiveItem] = {}
        self._texts: dict[Any, str] = {}
        self._controls()
        self._refill()
        self.item.derive()
        self._curve, self._bars = live(self._margins(), width), live(self._choices().plot(), width)
        self._said, self._written = ipywidgets.HTML(), ipywidgets.HTML()
        row = ipywidgets.HBox([self._curve, self._bars], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([self._row, self._said, row, self._written])
        selection.observe(lambda _: self._refill(), "locale")

    def _controls(self) -> None:
        chosen, layers = self._selection, [int(layer) for layer in self._specimen.stack.layers]
        self.concept = ipywidgets.Dropdown(description="Prompt:", layout={"width": "98%"})
        self.vector = ipywidgets.ToggleButtons()
        self.layer = ipywidgets.SelectionSlider(options=layers, value=chosen.layer, description="Layer:")
        self.strength = ipywidgets.FloatSlider(
            value=chosen.strength, min=-self._limit, max=self._limit, step=0.25, description="Strength:"
        )
        self.tokens = ipywidgets.Dropdown(options=list(WHICH), value=chosen.tokens, description="Tokens:")
        for name in ("layer", "strength", "tokens"):
            traitlets.link((chosen, name), (getattr(self, name), "value"))
        self.keep = ipywidgets.Button(description="Keep this step", tooltip="Later moves are added to it")
        self.clear = ipywidgets.Button(description="Forget kept steps")
        sliders = ipywidgets.HBox([self.vector, self.layer, self.strength, self.tokens], layout={"flex_flow": "row wrap"})
        self._row = ipywidgets.VBox([self.concept, sliders, ipywidgets.HBox([self.keep, self.clear])])
        for control, name in ((self.concept, "concept"), (self.vector, "vector")):
            control.observe(partial(self._picked, name), "value")

    def _picked(self, name: str, change: Any) -> None:
        if change.new:  # a list that is filled anew holds nothing for a moment
            self._selection.set_trait(name, change.new)

    def _refill(self) -> None:
        """Offers the prompts and vectors of the chosen locale, and keeps the chosen ones if it has them."""
        chosen, items = self._selection, self._specimen.of(self._selection.locale)
        names, concepts = list(self._specimen.vectors[chosen.locale]), [item.concept for item in items]
        concept = chosen.concept if chosen.concept in concepts else concepts[0]
        vector = chosen.vector if chosen.vector in names else names[0]
        labels = [f"{item.kind}: {item.question}" for item in items]
        shown = [label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…" for label in labels]
        with chosen.hold_trait_notifications():
            self.concept.options, self.concept.value = list(zip(shown, concepts, strict=True)), concept
            self.vector.options, self.vector.value = names, vector
            chosen.concept, chosen.vector = concept, vector

    @property
    def plan(self) -> SteeringPlan:
        """The kept steps and the chosen one."""
        steps = [*self.kept, self._selection.move]
        return sum((move.plan(self._specimen) for move in steps[1:]), steps[0].plan(self._specimen))

    @property
    def item(self) -> LiveItem:
        """What is known of the chosen item."""
        chosen = self._selection
        key = (chosen.locale, chosen.concept, chosen.tokens, self.kept)
        if key not in self._live:
            kept = [move.plan(self._specimen) for move in self.kept]
            before = sum(kept[1:], kept[0]) if kept else None
            item, vectors = self._specimen.item(chosen.locale, chosen.concept), self._specimen.vectors[chosen.locale].values()
            self._live[key] = LiveItem(self._specimen.model, item, list(vectors), self._selection.move.tokens, before)
        return self._live[key]

    def keep_step(self) -> None:
        """Adds the chosen step to those that stay."""
        self.kept = (*self.kept, self._selection.move)

    def forget(self) -> None:
        """Forgets the kept steps."""
        self.kept = ()

    def predict(self) -> None:
        """Shows the predicted margin, where that costs no pass."""
        if self.item.derived:
            redraw(self._curve, self._margins())
            self._said.value = self._saying()

    def steps(self) -> Steps:
        """Derivative, exact scores, and texts, one after another."""
        self.item.derive()
        self.predict()
        yield
        self._run()
        redraw(self._bars, self._choices().plot())
        self.predict()
        yield
        yield from self._writing()

    def figures(self) -> "list[Figure]":
        """The margin's curve and the choices' bars."""
        return [self._margins(), self._choices().plot()]

    def to_frame(self) -> "pd.DataFrame":
        """The choices, unsteered and steered."""
        self._run()
        return self._choices().to_frame()

    def curve(self) -> "pd.DataFrame":
        """The margin by strength, predicted and run."""
        return self.item.curve(self._selection.vector, self._selection.layer, self._limit)

    def as_code(self) -> str:
        """Code that makes the plan and the bars."""
        steps, chosen = [*self.kept, self._selection.move], self._selection
        lines: list[str] = []
        for code in dict.fromkeys(move.locale for move in steps):
            lines += lines_of(self._specimen.vectors, code, taken=self._taken)
            own = " + ".join(move.code for move in steps if move.locale == code)
            lines.append(f"plan = {'plan + ' if code != steps[0].locale else ''}{own}")
        which = f"(item.locale, item.concept) == {(chosen.locale, chosen.concept)!r}"
        return (
            f"{self._specimen.code}{chr(10).join(lines)}\nitem = next(item for item in dev if {which})\n"
            "sl.evaluation.item_choices(model, item, plan).plot()"
        )

    def _run(self) -> None:
        move = self._selection.move
        self.item.run(move.plan(self._specimen), move.vector, move.layer, move.strength)

    def _choices(self) -> ItemChoices:
        """What is known: the steered bars only once they were run."""
        chosen = self._selection
        run = self.item.known(chosen.vector, chosen.layer).get(chosen.strength)
        return compared(self.item.unsteered, run or self.item.base)

    def _margins(self) -> "Figure":
        chosen = self._selection
        return margin_curve(self.curve(), chosen.strength, f"{chosen.vector} {chosen.locale} at layer {chosen.layer}")

    def _saying(self) -> str:
        chosen, item = self._selection, self.item
        run = item.known(chosen.vector, chosen.layer).get(chosen.strength)
        predicted = item.predicted(chosen.vector, chosen.layer, chosen.strength)
        exact = (
            "<i>running …</i>"
            if run is None
            else f"run <b>{run.margin:+.2f}</b> {'✓ answer wins' if run.hit else '✗ another wins'}"
        )
        return (
            f"<code>{self.plan}</code><br>margin in nats per token: unsteered <b>{item.unsteered.margin:+.2f}</b>, "
            f"predicted <b>{predicted:+.2f}</b>, {exact}"
        )

    def _writing(self) -> Iterator[None]:
        """Both texts, the unsteered one once, shown as they grow."""
        model, prompt, plan = self._specimen.model, self.item.item.prompt(), self.plan
        place = (self._selection.locale, self._selection.concept)
        show = partial(side_by_side, prompt.text, title=str(plan))
        if place not in self._texts:
            text = ""
            for so_far in stream(model, prompt, self._length):
                text = so_far
                yield
            self._texts[place] = text
        self._written.value = show(self._texts[place], "")
        for so_far in stream(model, prompt, self._length, lambda: plan.applied(model)):
            self._written.value = show(self._texts[place], so_far)
            yield
