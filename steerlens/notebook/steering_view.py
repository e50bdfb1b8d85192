"""One prompt under a slider: choices, margin and text before and after."""

from collections.abc import Iterator
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets

from steerlens.evaluation.item_choices import ItemChoices, compared
from steerlens.models import stream
from steerlens.notebook.latest import Steps
from steerlens.notebook.live_item import LiveItem
from steerlens.notebook.marked import side_by_side
from steerlens.notebook.selection import Move, Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.steering_controls import SteeringControls
from steerlens.notebook.view import View
from steerlens.plotting import margin_curve
from steerlens.plotting.live import live, redraw
from steerlens.steering import SteeringPlan

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class SteeringView(View):
    """Sliders, the margin's curve, the choices' bars, and the texts. Predicted at once; ``steps`` does the rest."""

    def __init__(self, specimen: Specimen, selection: Selection, width: int, *, limit: float, max_new_tokens: int) -> None:
        self._specimen, self._selection, self._limit, self._length = specimen, selection, limit, max_new_tokens
        self.kept: tuple[Move, ...] = ()
        self._live: dict[Any, LiveItem] = {}
        self._texts: dict[Any, str] = {}
        self.choosing = SteeringControls(specimen, selection, limit)
        self.item.derive()
        self._curve, self._bars = live(self._margins(), width), live(self._choices().plot(), width)
        self._said, self._written = ipywidgets.HTML(), ipywidgets.HTML()
        row = ipywidgets.HBox([self._curve, self._bars], layout={"flex_flow": "row wrap"})
        self.widget = ipywidgets.VBox([self.choosing.widget, self._said, row, self._written])

    @property
    def moves(self) -> tuple[Move, ...]:
        """The kept steps and the chosen one, which counts for nothing at strength 0 where others were kept."""
        move = self._selection.move
        return self.kept if self.kept and move.step.strength == 0 else (*self.kept, move)

    @property
    def plan(self) -> SteeringPlan:
        """The plan of these steps."""
        return _plan(self.moves, self._specimen)

    @property
    def item(self) -> LiveItem:
        """What is known of the chosen item."""
        chosen = self._selection
        key = (chosen.locale, chosen.concept, chosen.tokens, self.kept)
        if key not in self._live:
            kept = _plan(self.kept, self._specimen) if self.kept else None
            item, vectors = self._specimen.item(chosen.locale, chosen.concept), self._specimen.vectors.of(chosen.locale)
            tokens = chosen.move.step.tokens
            self._live[key] = LiveItem(self._specimen.model, item, list(vectors.values()), self._specimen.layers, tokens, kept)
        return self._live[key]

    def keep_step(self) -> None:
        """Adds the chosen step to those that stay. The slider goes back to 0, ready for the next one."""
        self.kept = self.moves
        self._selection.set(strength=0.0)

    def forget(self) -> None:
        """Forgets the kept steps."""
        self.kept = ()

    def update(self) -> None:
        """Shows the predicted margin, where that costs no pass."""
        self.choosing.update()
        if self.item.derived:
            self._said.value = self._saying()
            redraw(self._curve, self._margins())
        else:
            self._said.value = f"<code>{escape(str(self.plan))}</code><br><i>reading the prompt …</i>"

    def steps(self) -> Steps:
        """Derivative, exact scores, and texts, one after another."""
        self.item.derive()
        self.update()
        yield
        self._run()
        redraw(self._bars, self._choices().plot())
        self.update()
        yield
        yield from self._writing()

    def figures(self) -> "list[Figure]":
        """The margin's curve and the choices' bars."""
        self._run()
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
        chosen, own = self._selection, self._specimen
        which = f"(item.locale, item.concept) == {(chosen.locale, chosen.concept)!r}"
        steps = " + ".join(move.code() for move in self.moves)
        found = f"item = next(item for item in dev if {which})\n"
        return f"{own.begin}{own.code}plan = {steps}\n{found}sl.evaluation.item_choices(model, item, plan).plot()"

    def _run(self) -> None:
        move = self._selection.move
        self.item.run(move.plan(self._specimen.vectors), move.step)

    def _choices(self) -> ItemChoices:
        """What is known: unsteered only, until it was run."""
        chosen = self._selection
        return compared(self.item.unsteered, self.item.known(chosen.vector, chosen.layer).get(chosen.strength))

    def _margins(self) -> "Figure":
        chosen = self._selection
        return margin_curve(self.curve(), chosen.strength, f"{chosen.vector} {chosen.locale} at layer {chosen.layer}")

    def _saying(self) -> str:
        chosen, item = self._selection, self.item
        run = item.known(chosen.vector, chosen.layer).get(chosen.strength)
        predicted = item.said_before(chosen.vector, chosen.layer, chosen.strength)
        exact = (
            "<i>running …</i>"
            if run is None
            else "run: <b>NaN or infinite scores</b>, lower the strength"
            if not run.valid
            else f"run <b>{run.margin:+.2f}</b> {'✓ answer wins' if run.correct else '✗ another wins'}"
        )
        return (
            f"<code>{escape(str(self.plan))}</code><br>margin in nats per token: unsteered <b>{item.unsteered.margin:+.2f}</b>, "
            f"predicted <b>{predicted:+.2f}</b>, {exact}"
        )

    def _writing(self) -> Iterator[None]:
        """Both texts, the unsteered one once, shown as they grow."""
        model, prompt, plan = self._specimen.model, self.item.item.prompt(), self.plan
        place = (self._selection.locale, self._selection.concept)
        show = partial(side_by_side, prompt.text, title=str(plan))
        if place not in self._texts:
            text = ""
            for text in stream(model, prompt, self._length):
                self._written.value = show(text, None)
                yield
            self._texts[place] = text
        self._written.value = show(self._texts[place], None)
        for text in stream(model, prompt, self._length, lambda: plan.applied(model)):
            self._written.value = show(self._texts[place], text)
            yield


def _plan(moves: tuple[Move, ...], specimen: Specimen) -> SteeringPlan:
    first, *others = (move.plan(specimen.vectors) for move in moves)
    return sum(others, first)
