"""Which rows the questions of an exam become, and what they all begin with."""

from collections.abc import Sequence
from dataclasses import dataclass

from steerlens.models.batches import Row
from steerlens.models.lens import LensModel

_WORTH_SHARING = 16
"""Tokens from which on a prefix that all prompts share is run apart, once."""


@dataclass(frozen=True)
class Line:
    """A row of a batch: a question with all its choices, or with some of them."""

    question: int
    row: Row
    first: int = 0
    """Which of the question's choices is the row's first."""


def lines_of(number: int, row: Row, model: LensModel) -> list[Line]:
    """One packed row, or a row per choice where the model cannot pack or its attention window is too short to see it whole."""
    if model.packs and (model.attention_window is None or len(row) <= model.attention_window):
        return [Line(number, row)]
    return [Line(number, Row(row.prompt, (choice,), row.front), at) for at, choice in enumerate(row.choices)]


def shared_prefix(rows: Sequence[Row], model: LensModel) -> tuple[int, ...]:
    """The tokens that all prompts begin with, if it pays to run them apart; each prompt keeps its last token."""
    window = model.attention_window
    if len(rows) < 2 or not model.reuses_keys or (window is not None and max(map(len, rows)) > window):
        return ()
    first, last = min(row.prompt[:-1] for row in rows), max(row.prompt[:-1] for row in rows)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length] if length >= _WORTH_SHARING else ()
