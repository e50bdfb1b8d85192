"""Numbers as Markdown: intervals, marks and rows of tables. The prose around them is a template's."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from steerlens.evaluation import SCORES

Row = dict[str, Any]


def interval(row: Row) -> str:
    """Writes a change with its interval: of a margin in nats per token, else in points: ``+3.4 points [+0.0, +6.8]``."""
    if "margin" in row["score"]:
        return f"{row['change']:+.3f} nats [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{100 * row['change']:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def verdict(row: Row) -> str:
    """Says whether an interval lies above zero, below it, or neither."""
    return "more" if row["low"] > 0 else "less" if row["high"] < 0 else "not shown"


def marked(row: Row | None) -> str:
    """Writes a change with its interval, bold where that excludes zero; nothing for none."""
    if row is None:
        return ""
    return interval(row) if verdict(row) == "not shown" else f"**{interval(row)}**"


def level(row: Row | None) -> str:
    """Writes what a method does to a score: the unsteered model's value, and of every other the change as ``marked`` does."""
    return f"{row['value']:.2f}" if row is not None and row["method"] == "unsteered" else marked(row)


def aside(row: Row | None) -> str:
    """Writes a side effect: its value, and of a method the change with its interval; nothing for none."""
    if row is None:
        return ""
    change = f" ({row['change']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}])"
    return f"{row['value']:.2f}{'' if row['method'] == 'unsteered' else change}"


SIDE = {"log_perplexity": "log-perplexity (nats)", "right_language": "right language", "repetition": "repetition"}
"""The side effects that are shown, with their columns' names."""


def wide(
    frame: pd.DataFrame, by: Sequence[str], scores: Iterable[str], cell: Callable[[Row | None], str] = marked
) -> Iterator[list[str]]:
    """Yields a row for each method, or for each method minus another: its names, and a cell for each score."""
    for names, own in frame.groupby(list(by), sort=False):
        by_score = {row["score"]: row for row in own.to_dict("records")}
        yield [" minus ".join(names), *(cell(by_score.get(score)) for score in scores)]


def rows_of(frame: pd.DataFrame, **values: Any) -> list[Row]:
    """Returns the rows with these values."""
    return frame[(frame[list(values)] == pd.Series(values)).all(axis=1)].to_dict("records")


def one(frame: pd.DataFrame, **values: Any) -> Row:
    """Returns the only row with these values.

    Raises:
        LookupError: none, or several.
    """
    found = rows_of(frame, **values)
    if len(found) != 1:
        raise LookupError(f"{len(found)} rows with {values}: expected one.")
    return found[0]


def score_word(score: str) -> str:
    """Writes a score's name."""
    return SCORES[score].title if "margin" in score else score.replace("_", "-")
