"""Shows the effect of steering on one prompt: first the predicted effect, and then the exact effect."""

from html import escape
from itertools import chain
from typing import TYPE_CHECKING

import ipywidgets

from steerlens.data.locales import next_question
from steerlens.notebook.hand import Hand
from steerlens.notebook.item_effect import ItemEffect
from steerlens.notebook.latest import Steps
from steerlens.notebook.prompt_effect import PromptEffect
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.steering_controls import SteeringControls
from steerlens.notebook.texts_view import TextsView
from steerlens.notebook.view import View

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class SteeringView(View):
    """The controls, and the effect on the item or on the free prompt. The explorer shows ``texts`` in another part of the
    page."""

    def __init__(
        self,
        specimen: Specimen,
        selection: Selection,
        hand: Hand,
        line: ipywidgets.HTML,
        *,
        limit: float,
        max_new_tokens: int,
        width: int,
        height: int,
    ) -> None:
        self._specimen, self._selection, self._hand, self._length = specimen, selection, hand, max_new_tokens
        self.controls = {}
        self.choosing = SteeringControls(specimen, selection, limit)
        self.of_item = ItemEffect(specimen, selection, hand, limit, width, height) if specimen.studied else None
        self.of_prompt = PromptEffect(specimen, selection, hand, width, height)
        self.texts = TextsView(specimen, selection, hand, max_new_tokens, lambda moves: self.effect.verdict(moves))
        self._said = ipywidgets.HTML()
        effects = [effect.widget for effect in (self.of_item, self.of_prompt) if effect is not None]
        self.widget = ipywidgets.VBox([self.choosing.widget, self._said, line, *effects], layout={"width": f"{width}px"})

    @property
    def effect(self) -> ItemEffect | PromptEffect:
        """The view of the effect on the chosen prompt. An item shows margins and choices, and a free prompt shows next tokens."""
        return self.of_prompt if self.of_item is None or self._selection.text else self.of_item

    def update(self) -> None:
        """Shows all results that need no forward pass."""
        self.choosing.update()
        self._said.value = f"<div class='said'>{self._plan_said()}<br>{self.effect.update()}</div>"
        for effect in (self.of_item, self.of_prompt):
            if effect is not None:
                effect.widget.layout.display = None if effect is self.effect else "none"

    def steps(self) -> Steps:
        """Computes the effects of steering that need forward passes. The explorer computes the texts later."""
        for _ in chain(self.effect.steps(), [None]):
            self.update()
            yield

    def figures(self) -> "list[Figure]":
        """Returns the curve of the margin and the bars of the choices. For a free prompt, returns the bars of next tokens."""
        return self.effect.figures()

    def to_frame(self) -> "pd.DataFrame":
        """Returns the choices, or the next tokens, unsteered and steered."""
        return self.effect.to_frame()

    def as_code(self) -> str:
        """Returns code that makes the plan and the bars."""
        plan = ", plan" if self._hand.moves else ""
        if self.effect is self.of_item:
            return f"{self.plan_code()}sl.evaluation.item_choices(model, item{plan}).plot()"
        stop = next_question(self._selection.prompt)
        more = f"{self._length}, stop={list(stop)!r}" if stop else f"{self._length}"
        steered = f"with plan.applied(model):\n    print(model.generate(prompt, {more}))\n" if plan else ""
        return (
            f"{self.plan_code()}from steerlens.notebook.next_tokens import next_token_bars, next_tokens\n\n"
            f"print(model.generate(prompt, {more}))\n{steered}next_token_bars(next_tokens(model, prompt{plan}))"
        )

    def plan_code(self) -> str:
        """Returns code that makes ``prompt``. The code also makes ``plan`` if anything is steered, and ``item`` if the prompt
        belongs to an item."""
        chosen, items = self._selection, self.effect is self.of_item
        begin = self._specimen.code.begin(vectors=bool(self._hand.moves), items=items)
        which = f"(item.locale, item.concept) == {(chosen.locale, chosen.concept)!r}"
        prompt = f"item = next(item for item in dev if {which})\nprompt = item.prompt()\n"
        return begin + self._hand.code() + (prompt if items else f"prompt = {chosen.prompt!r}\n")

    def _plan_said(self) -> str:
        """Returns the kept steps and the chosen step as HTML, each with its own style."""
        kept, move = self._hand.kept, self._selection.move
        if move is None and not kept:
            return "<span class='now'>unsteered: no vectors were given</span>"
        now = self._hand.said((move,)) if move else ""
        now = f"<span class='now'>now <code>{escape(now)}</code></span>"
        return f"<span class='kept'>kept <code>{escape(self._hand.said(kept))}</code></span> + {now}" if kept else now
