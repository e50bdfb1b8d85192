"""The long table of item scores: a row for each score of each item under each method or cell."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steerlens.data import Items
from steerlens.errors import UnknownNameError
from steerlens.evaluation.outcomes import Outcome, Reading, Writing
from steerlens.models.lens import LensModel
from steerlens.scores import GivenScore, Score, shown_score
from steerlens.steering import SteeringPlan

if TYPE_CHECKING:
    import pandas as pd

ITEM_COLUMNS = ("locale", "kind", "concept", "score", "value")
"""What each row says: of which item, which score, and its value (NaN where it cannot be told)."""
Row = dict[str, Any]
English = Mapping[str, Outcome]
"""The unsteered English outcome of factual concepts."""
_AT_ONCE = 32
"""Prompts that are continued together, if not told otherwise."""


def choice_rows(outcomes: Iterable[Outcome], scores: Sequence[Score], english: English | None = None) -> Iterator[Row]:
    """Yields a row for each outcome and each score of choices that is measured on its kind of item."""
    wanted = [score for score in scores if score.evidence in ("choices", "english")]
    for outcome in outcomes:
        item = outcome.item
        for score in wanted:
            if item.kind in score.kinds:
                evidence = [outcome] if score.evidence == "choices" else [outcome, (english or {}).get(item.concept)]
                yield _row(item.locale, item.kind, item.concept, score, score.value(*evidence))


def writing_rows(writings: Iterable[Writing], scores: Sequence[Score]) -> Iterator[Row]:
    """Yields a row for each text and each score of texts that is measured on its kind of item."""
    wanted = [score for score in scores if score.evidence == "writing"]
    for writing in writings:
        item = writing.item
        yield from (
            _row(item.locale, item.kind, item.concept, score, score.value(writing))
            for score in wanted
            if item.kind in score.kinds
        )


def reading_rows(readings: Mapping[str, Reading], scores: Sequence[Score]) -> Iterator[Row]:
    """Yields a row for each held-out text, by the concept that it counts as, and each score of such texts."""
    wanted = [score for score in scores if score.evidence == "reading"]
    for concept, reading in readings.items():
        yield from (_row(reading.locale, "", concept, score, score.value(reading)) for score in wanted)


def _row(locale: str, kind: str, concept: str, score: Score, value: float) -> Row:
    return {"locale": locale, "kind": kind, "concept": concept, "score": score.name, "value": value}


def written(
    model: LensModel, items: Items, plan: SteeringPlan | None, max_new_tokens: int, batch_size: int | None = None
) -> list[Writing]:
    """Returns what a model writes after each item's implicit prompt, greedily.

    Args:
        model: the model that writes.
        items: whose prompts are continued.
        plan: what it is steered by; nothing for ``None``.
        max_new_tokens: where a text stops, if the model does not end it.
        batch_size: prompts at once; 32 for ``None``.
    """
    prompts, size = [item.prompt().text for item in items], batch_size or _AT_ONCE

    def write() -> list[str]:
        return [text for at in range(0, len(prompts), size) for text in model.generate(prompts[at : at + size], max_new_tokens)]

    texts = write() if plan is None else _under(plan, model, write)
    ids = [tuple(model.tokenizer.hf(text, add_special_tokens=False)["input_ids"]) for text in texts]
    return [Writing(item, text, own) for item, text, own in zip(items, texts, ids, strict=True)]


def _under(plan: SteeringPlan, model: LensModel, write: Callable[[], list[str]]) -> list[str]:
    with plan.applied(model):
        return write()


def not_finite(frame: "pd.DataFrame") -> "pd.Series":
    """Says which rows have no value because steering took the model's scores out of its numbers.

    A score of choices that could be told unsteered and not steered is one of those. What is written may be too short to be told
    anything of, and is none.
    """
    by_choices = frame["score"].map(lambda name: shown_score(name).evidence == "choices").astype(bool)
    return by_choices & frame["base"].notna() & frame["value"].isna()


def rows_of_score(frame: "pd.DataFrame", score: GivenScore, locale: str | None = None) -> "pd.DataFrame":
    """Returns the rows of one score, with its ``change`` where the table holds what the score was unsteered.

    Raises:
        UnknownNameError: a score or locale without rows.
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
