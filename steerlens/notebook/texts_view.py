"""Shows the texts for the chosen prompt: unsteered, steered, and under the pinned plans."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import ipywidgets

from steerlens.notebook.hand import Hand, Moves, acting
from steerlens.notebook.latest import Steps
from steerlens.notebook.marked import Column, side_by_side
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.writer import Writer


class TextsView:
    """The view of the texts next to each other. Each text is shown with the effect of its plan on the prompt."""

    def __init__(
        self, specimen: Specimen, selection: Selection, hand: Hand, length: int, verdict: Callable[[Moves], str]
    ) -> None:
        """Makes an empty view.

        Args:
            length: the largest number of generated tokens of a text.
            verdict: a function that returns a short text on the effect of some steps on the prompt.
        """
        self._model, self._selection, self._hand, self._verdict = specimen.model, selection, hand, verdict
        self.writer = Writer(specimen.model, length)
        self.widget = ipywidgets.HTML()
        self.widget.add_class("texts-box")

    @property
    def _columns(self) -> list[tuple[str, Moves]]:
        now, pinned = acting(self._hand.moves), self._hand.pinned
        chosen = [(f"now: {self._hand.said(now)}", now)] if now else []
        return [("unsteered", ()), *chosen, *((f"{name}: {self._hand.said(moves)}", moves) for name, moves in pinned.items())]

    def steps(self) -> Steps:
        """Writes the texts that have not been written yet, one token at a time."""
        columns, prompt = self._columns, self._selection.prompt
        verdicts: dict[Moves, str] = {}
        self._show(verdicts)
        for _, moves in columns:
            verdicts[moves] = self._verdict(moves)
            yield
            around = partial(self._hand.plan_of(moves).applied, self._model) if moves else nullcontext
            for text in self.writer.text(prompt, moves, around):
                self._show(verdicts, {moves: text})
                yield

    def _show(self, verdicts: dict[Moves, str], growing: dict[Moves, str] | None = None) -> None:
        prompt, growing = self._selection.prompt, growing or {}
        self.widget.value = side_by_side(
            [
                Column(title, growing.get(moves, self.writer.known(prompt, moves)), verdicts.get(moves, ""))
                for title, moves in self._columns
            ]
        )
