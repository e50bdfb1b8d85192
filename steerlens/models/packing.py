"""Which rows are run for the rows that are asked for, and what they all begin with."""

from collections.abc import Sequence
from dataclasses import dataclass

from steerlens.models.batches import Row
from steerlens.models.lens import LensModel

_WORTH_SHARING = 16
"""Tokens from which on a prefix that all prompts share is run apart, once."""


@dataclass(frozen=True)
class PackedRow:
    """A row of a micro-batch: a row asked for with all its choices, or with some of them."""

    number: int
    """Which of the rows asked for."""
    row: Row
    first: int = 0
    """Which of its choices is the first here."""


MicroBatch = list[PackedRow]
"""Rows that run at once."""


def packed_rows(number: int, row: Row, model: LensModel) -> list[PackedRow]:
    """One packed row, or a row per choice where the model cannot pack or its attention window is too short to see it whole."""
    window = model.backend.attention_window
    if model.packs and (window is None or len(row) <= window):
        return [PackedRow(number, row)]
    return [PackedRow(number, Row(row.prompt, (choice,), row.front), at) for at, choice in enumerate(row.choices)]


def shared_prefix(rows: Sequence[Row], model: LensModel) -> tuple[int, ...]:
    """The tokens that all prompts begin with, if it pays to run them apart; each prompt keeps its last token."""
    window = model.backend.attention_window
    if len(rows) < 2 or not model.reuses_keys or (window is not None and max(map(len, rows)) > window):
        return ()
    first, last = min(row.prompt[:-1] for row in rows), max(row.prompt[:-1] for row in rows)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length] if length >= _WORTH_SHARING else ()
