"""Shows the tokens that the chosen direction promotes and suppresses by itself, without a prompt."""

from html import escape
from typing import TYPE_CHECKING

import ipywidgets

from steerlens.errors import ModelError
from steerlens.notebook.hand import Hand
from steerlens.notebook.latest import Steps
from steerlens.notebook.next_tokens import seen
from steerlens.notebook.selection import Selection
from steerlens.notebook.specimen import Specimen
from steerlens.notebook.vector_tokens import PROMOTED, SUPPRESSED, vector_tokens
from steerlens.notebook.view import View
from steerlens.steering import SteeringVector

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

_LINE = 6
"""The number of promoted tokens, and of suppressed tokens, that ``line`` shows."""


class VectorView(View):
    """A table of promoted and suppressed tokens. ``line`` contains the first of these tokens. The explorer shows ``line`` in a
    part of the page that is always visible."""

    def __init__(self, specimen: Specimen, selection: Selection, hand: Hand) -> None:
        self._specimen, self._selection, self._hand, self.controls = specimen, selection, hand, {}
        self._known: dict[tuple[str, str, int], pd.DataFrame] = {}
        self.widget, self.line = ipywidgets.HTML(), ipywidgets.HTML()

    def update(self) -> None:
        """Shows the result if it is already known."""
        move = self._selection.move
        if move is None or (*move.vector, move.layer) in self._known:
            self._show()

    def steps(self) -> Steps:
        """Unembeds the direction, and shows the result."""
        self._show()
        yield

    def figures(self) -> "list[Figure]":
        """Returns no figures, because the view is a table."""
        return []

    def to_frame(self) -> "pd.DataFrame":
        """Returns the tokens and the change of their logits.

        Raises:
            ModelError: the architecture computes its logits in a way that cannot be reproduced.
        """
        import pandas as pd

        move = self._selection.move
        vector = None if move is None else self._specimen.vectors[move.vector]
        if move is None or not isinstance(vector, SteeringVector):
            return pd.DataFrame(columns=["side", "token", "logit"])
        key = (*move.vector, move.layer)
        if key not in self._known:
            self._known[key] = vector_tokens(self._specimen.model, vector, move.layer)
        return self._known[key]

    def as_code(self) -> str:
        """Returns code that makes the table."""
        move = self._selection.move
        if move is None:
            return "# no vectors were given to sl.explore"
        key = f"{move.vector[0]!r}, {move.vector[1]!r}" if move.vector[1] else repr(move.vector[0])
        called = f"vector_tokens(model, vectors[{key}], {move.layer})"
        return f"{self._specimen.code.begin(vectors=True)}from steerlens.notebook.vector_tokens import vector_tokens\n\n{called}"

    def _show(self) -> None:
        try:
            frame = self.to_frame()
        except ModelError as error:
            self.widget.value, self.line.value = f"<i>{escape(str(error))}</i>", ""
            return
        if frame.empty:
            said = "adds no fixed direction" if self._selection.move else "no vectors were given: sl.explore(model, vectors=…)"
            self.widget.value, self.line.value = f"<i>{said}</i>", ""
            return
        sides = {side: frame[frame["side"] == side] for side in (PROMOTED, SUPPRESSED)}
        self.line.value = "<div class='line'>" + " · ".join(_line(side, own) for side, own in sides.items()) + "</div>"
        title = escape(f"{self._selection.vector} at layer {self._selection.layer}: change of the logits by the direction alone")
        self.widget.value = f"<b>{title}</b><div class='sides'>{''.join(_table(side, own) for side, own in sides.items())}</div>"


def _line(side: str, frame: "pd.DataFrame") -> str:
    tokens = " ".join(f"<code>{escape(seen(token))}</code>" for token in frame["token"].head(_LINE))
    return f"{side} {tokens}"


def _table(side: str, frame: "pd.DataFrame") -> str:
    rows = "".join(
        f"<tr><td><code>{escape(seen(row.token))}</code></td><td>{row.logit:+.2f}</td></tr>" for row in frame.itertuples()
    )
    return f"<table><tr><th colspan='2'>{side}</th></tr>{rows}</table>"
