"""Writes numbers as Markdown: intervals, marks and rows of tables. The prose around the numbers is in templates."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from steerlens.evaluation import SCORES

Row = dict[str, Any]


def interval(row: Row) -> str:
    """Writes a change with its interval: ``+3.4 points [+0.0, +6.8]``, or in nats per token for a margin."""
    if "margin" in row["score"]:
        return f"{row['change']:+.3f} nats [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{100 * row['change']:+.1f} points [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"


def verdict(row: Row) -> str:
    """Says whether an interval is above zero (``more``), below zero (``less``) or includes zero (``not shown``)."""
    return "more" if row["low"] > 0 else "less" if row["high"] < 0 else "not shown"


def marked(row: Row | None) -> str:
    """Writes a change with its interval, bold if the interval excludes zero. Without a row, the text is empty."""
    if row is None:
        return ""
    return interval(row) if verdict(row) == "not shown" else f"**{interval(row)}**"


def level(row: Row | None) -> str:
    """Writes the value of a score for the unsteered model, and the change of the score for every other method."""
    return f"{row['value']:.2f}" if row is not None and row["method"] == "unsteered" else marked(row)


def aside(row: Row | None) -> str:
    """Writes the value of a side effect, and for a method also the change with its interval. Without a row, the text is empty."""
    if row is None:
        return ""
    change = f" ({row['change']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}])"
    return f"{row['value']:.2f}{'' if row['method'] == 'unsteered' else change}"


def times(nats: float) -> str:
    """Writes a change of the log perplexity as the factor by which the perplexity is multiplied: ``× 1.35``."""
    factor = math.exp(nats)
    return f"× {factor:.2f}" if factor < 10 else f"× {factor:,.0f}"


SIDE = {"log_perplexity": "log-perplexity (nats)", "right_language": "right language", "repetition": "repetition"}
"""The side effects that are shown, each with the name of its column."""


def wide(
    frame: pd.DataFrame, by: Sequence[str], scores: Iterable[str], cell: Callable[[Row | None], str] = marked
) -> Iterator[list[str]]:
    """Yields a row for each method, or for each difference of two methods: the names, and a cell for each score."""
    for names, own in frame.groupby(list(by), sort=False):
        by_score = {row["score"]: row for row in own.to_dict("records")}
        yield [" minus ".join(names), *(cell(by_score.get(score)) for score in scores)]


def rows_of(frame: pd.DataFrame, **values: Any) -> list[Row]:
    """Returns the rows that have the given values in the columns with these names."""
    return frame[(frame[list(values)] == pd.Series(values)).all(axis=1)].to_dict("records")


def one(frame: pd.DataFrame, **values: Any) -> Row:
    """Returns the only row that has the given values.

    Raises:
        LookupError: no row or several rows have the given values.
    """
    found = rows_of(frame, **values)
    if len(found) != 1:
        raise LookupError(f"{len(found)} rows have the values {values}: expected exactly one row.")
    return found[0]


def score_word(score: str) -> str:
    """Writes the name of a score."""
    return SCORES[score].title if "margin" in score else score.replace("_", "-")
