"""Shows the effect of steering on a free prompt: the most probable next tokens, unsteered and steered."""

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from steerlens.notebook.hand import Hand, Moves, acting
from steerlens.notebook.latest import Steps
from steerlens.notebook.next_tokens import STEERED, next_token_bars, next_tokens, seen
from steerlens.notebook.picture import Picture
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure


class PromptEffect:
    """The view of a free prompt: bars for the probabilities of its next tokens."""

    def __init__(self, specimen: Specimen, selection: Selection, hand: Hand, width: int, height: int) -> None:
        self._specimen, self._selection, self._hand, self._size = specimen, selection, hand, (width, height)
        self._known: dict[tuple[str, Moves], pd.DataFrame] = {}
        self._picture: Picture | None = None
        self.widget = ipywidgets.VBox()
        if specimen.studied is None:
            self._draw()

    def update(self) -> str:
        """Draws the results that are already known.

        Returns:
            The results that are known now, as HTML.
        """
        if (self._selection.prompt, acting(self._hand.moves)) not in self._known:
            return "next token: <i>running …</i>"
        self._draw()
        before, *after = (self._best(moves) for moves in dict.fromkeys(((), acting(self._hand.moves))))
        return f"next token: unsteered {before}" + "".join(f", steered {own}" for own in after)

    def steps(self) -> Steps:
        """Runs one unsteered pass and one steered pass."""
        self.to_frame()
        yield

    def verdict(self, moves: Moves) -> str:
        """Runs the prompt under a plan, and returns the most probable next token as HTML."""
        return f"next: {self._best(acting(moves))}"

    def figures(self) -> "list[Figure]":
        """Returns the bars of next tokens."""
        return [next_token_bars(self.to_frame())]

    def to_frame(self) -> "pd.DataFrame":
        """Returns the most probable next tokens, unsteered and steered."""
        return self._read(acting(self._hand.moves))

    def _read(self, moves: Moves) -> "pd.DataFrame":
        key = (self._selection.prompt, moves)
        if key not in self._known:
            plan = self._hand.plan_of(moves) if moves else None
            self._known[key] = next_tokens(self._specimen.model, self._selection.prompt, plan)
        return self._known[key]

    def _best(self, moves: Moves) -> str:
        frame = self._read(moves)
        own = frame[frame["steering"] == STEERED] if moves else frame
        row = own.loc[own["probability"].idxmax()]
        return f"<b>{escape(seen(row['token']))}</b> {row['probability']:.2f}"

    def _draw(self) -> None:
        fig = next_token_bars(self.to_frame())
        if self._picture is None:
            self._picture = Picture(fig, *self._size)
            self.widget.children = (self._picture.widget,)
        else:
            self._picture.draw(fig)
