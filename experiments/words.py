"""Numbers as words: intervals, verdicts and Markdown tables."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

Row = dict[str, Any]


def interval(row: Row) -> str:
    """A change with its interval: of a margin in nats per token, else in points: ``+3.4 points [+0.0, +6.8]``."""
    if "margin" in row["score"]:
        return f"{row['change']:+.3f} nats [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{100 * row['change']:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def verdict(row: Row, more: str = "more", less: str = "less", neither: str = "not shown") -> str:
    """What an interval says of a change: all above zero, all below, or neither."""
    return more if row["low"] > 0 else less if row["high"] < 0 else neither


def marked(row: Row | None) -> str:
    """A change with its interval, bold where that excludes zero; empty for none."""
    if row is None:
        return ""
    return f"**{interval(row)}**" if verdict(row, neither="") else interval(row)


def table(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table. Missing numbers are empty cells."""
    names = list(header)
    lines = [names, ["---"] * len(names), *(["" if cell != cell else str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rows_of(frame: pd.DataFrame, **values: Any) -> list[Row]:
    """The rows with these values."""
    return frame[(frame[list(values)] == pd.Series(values)).all(axis=1)].to_dict("records")


def one(frame: pd.DataFrame, **values: Any) -> Row:
    """The only row with these values.

    Raises:
        LookupError: none, or several.
    """
    found = rows_of(frame, **values)
    if len(found) != 1:
        raise LookupError(f"{len(found)} rows with {values}: expected one.")
    return found[0]


def score_word(score: str) -> str:
    """A score as it is written."""
    return score.replace("_", "-")


def steps_word(steps: Iterable[Row]) -> str:
    """The steps of a choice: ``1 × EN at layer 5``."""
    return " + ".join(f"{step['strength']:g} × {step['vector']} at layer {step['layer']}" for step in steps)


def third(layer: float, n_layers: int) -> str:
    """In which third of the model a layer is."""
    return ("first", "middle", "last")[min(2, int(3 * layer / n_layers))]
