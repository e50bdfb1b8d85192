"""Splits the requested rows into packed rows, and finds the prefix that all rows share."""

from collections.abc import Sequence
from dataclasses import dataclass

from steerlens.models.batches import Row
from steerlens.models.lens import LensModel

_WORTH_SHARING = 16
"""The smallest number of tokens of a shared prefix for which the prefix is computed separately, and only once."""


@dataclass(frozen=True)
class PackedRow:
    """A row of a micro-batch: a requested row with all its choices, or with some of them."""

    number: int
    """The number of the requested row."""
    row: Row
    first: int = 0
    """The index of the first choice in this packed row, among all choices of the requested row."""


MicroBatch = list[PackedRow]
"""A list of packed rows that go through the model in one batch."""


def packed_rows(number: int, row: Row, model: LensModel) -> list[PackedRow]:
    """Returns one packed row with all choices. If the model cannot pack choices, or its attention window is shorter than the row,
    returns one row per choice."""
    window = model.backend.attention_window
    if model.packs and (window is None or len(row) <= window):
        return [PackedRow(number, row)]
    return [PackedRow(number, Row(row.prompt, (choice,), row.front), at) for at, choice in enumerate(row.choices)]


def shared_prefix(rows: Sequence[Row], model: LensModel) -> tuple[int, ...]:
    """Returns the tokens with which all prompts begin. The last token of a prompt is never one of them. Returns an empty tuple if
    a separate pass over these tokens would not save time."""
    window = model.backend.attention_window
    if len(rows) < 2 or not model.reuses_keys or (window is not None and max(map(len, rows)) > window):
        return ()
    first, last = min(row.prompt[:-1] for row in rows), max(row.prompt[:-1] for row in rows)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length] if length >= _WORTH_SHARING else ()
