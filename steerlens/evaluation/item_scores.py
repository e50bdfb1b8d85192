"""The long table of item scores: one row for each score of each item under each method or cell."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steerlens.data.splits import group_of
from steerlens.errors import UnknownNameError
from steerlens.evaluation.outcomes import Outcome, Reading, Writing
from steerlens.scores import GivenScore, Score

if TYPE_CHECKING:
    import pandas as pd

ITEM_COLUMNS = ("locale", "kind", "concept", "score", "value")
"""The columns of each row: the item's locale, kind and concept, the name of the score, and the value. The value is NaN if the
score cannot be measured."""
_KEYS = ("plan", "vector", "layer", "strength", "tokens", "locale", "kind", "concept")
"""The columns that identify a cell and an item. A table may have only some of these columns."""
Row = dict[str, Any]
English = Mapping[str, Outcome]
"""The unsteered English outcomes of factual items, by concept."""


def value_of(score: Score, outcome: Outcome, english: English | None = None, writing: Writing | None = None) -> float:
    """Returns the value of a score for one item under a method.

    Args:
        score: the score that is computed.
        outcome: the scores of the item's choices.
        english: the unsteered English outcomes.
        writing: the generated text; ``None`` if no text was generated.

    Returns:
        The value of the score on the item. The value is NaN if the score cannot be measured on the item, if the results from
        which the score is computed are missing, or if the model's scores are not finite.
    """
    item = outcome.item
    if item.kind not in score.kinds or not outcome.valid:
        return math.nan
    if score.evidence == "choices":
        return score.value(outcome)
    if score.evidence == "english":
        return score.value(outcome, (english or {}).get(item.concept))
    return score.value(writing) if score.evidence == "writing" and writing is not None else math.nan


def choice_rows(
    outcomes: Sequence[Outcome],
    scores: Sequence[Score],
    english: English | None = None,
    writings: Sequence[Writing] | None = None,
) -> Iterator[Row]:
    """Yields one row for each outcome and each score that is measured on the outcome's kind of item.

    The additional column ``valid`` is true if the model's scores of the item are finite.

    Args:
        outcomes: the scores of the items' choices.
        scores: the requested scores. Only scores of choices and, if ``writings`` are given, scores of generated text are
            computed.
        english: the unsteered English outcomes, for scores that use them as a reference.
        writings: the texts generated for the items of the outcomes; ``None`` if no texts were generated.
    """
    taken = ("choices", "english") if writings is None else ("choices", "english", "writing")
    wanted = [score for score in scores if score.evidence in taken]
    each: Sequence[Writing | None] = writings if writings is not None else [None] * len(outcomes)
    for outcome, writing in zip(outcomes, each, strict=True):
        item = outcome.item
        for score in wanted:
            if item.kind in score.kinds:
                value = value_of(score, outcome, english, writing)
                yield {**_row(item.locale, item.kind, item.concept, score, value), "valid": outcome.valid}


def writing_rows(writings: Iterable[Writing], scores: Sequence[Score]) -> Iterator[Row]:
    """Yields one row for each generated text and each score of generated text that is measured on the text's kind of
    item."""
    wanted = [score for score in scores if score.evidence == "writing"]
    for writing in writings:
        item = writing.item
        yield from (
            _row(item.locale, item.kind, item.concept, score, score.value(writing))
            for score in wanted
            if item.kind in score.kinds
        )


def reading_rows(readings: Mapping[str, Reading], scores: Sequence[Score]) -> Iterator[Row]:
    """Yields one row for each held-out text and each score of held-out text. The argument ``readings`` contains the results on
    held-out texts, by concept."""
    wanted = [score for score in scores if score.evidence == "reading"]
    for concept, reading in readings.items():
        yield from (_row(reading.locale, "", concept, score, score.value(reading)) for score in wanted)


def _row(locale: str, kind: str, concept: str, score: Score, value: float) -> Row:
    return {"locale": locale, "kind": kind, "concept": concept, "score": score.name, "value": value, "valid": True}


def beside(rows: "pd.DataFrame", others: "pd.DataFrame", column: str) -> "pd.Series":
    """Returns a column of ``others``, with one value for each row of ``rows``. Rows are matched by cell and item, and a row
    without a match gets NaN.

    Args:
        rows: the rows of one score.
        others: the rows of another score, which may have more items.
        column: the column of ``others`` that is returned.
    """
    keys = [name for name in _KEYS if name in rows]
    found = rows[keys].merge(others[[*keys, column]], on=keys, how="left")[column]
    return found.set_axis(rows.index)


def by_concept(frame: "pd.DataFrame") -> "pd.Series":
    """Returns the concept of each row, without the number of the wording. Bootstrap intervals resample the returned concepts.

    Args:
        frame: rows with a column ``concept``.
    """
    return frame["concept"].map(group_of)


def rows_of_score(frame: "pd.DataFrame", score: GivenScore, locale: str | None = None) -> "pd.DataFrame":
    """Returns the rows of one score. If the table contains the unsteered score, a column ``change`` is added.

    Raises:
        UnknownNameError: there are no rows with the score or the locale.
    """
    name = score if isinstance(score, str) else score.name
    part = frame[frame["score"] == name]
    if part.empty:
        raise UnknownNameError("score of this table", name, dict.fromkeys(frame["score"]))
    if locale is not None:
        known = tuple(dict.fromkeys(frame["locale"]))
        if locale not in known:
            raise UnknownNameError("locale", locale, known)
        part = part[part["locale"] == locale]
    return part.assign(change=part["value"] - part["base"]) if "base" in part else part
