"""Reads any multiple-choice data set. The user names the columns with the question, the choices, the answer, the concept and the
topic."""

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from steerlens.data.items import Item, Items
from steerlens.data.locales import locale as known_locale
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import Source, checked, need_columns, rows
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.storage import json_value

AnswerForm = Literal["letter", "index", "text", "guess"]
_DIGITS = 10
"""An index in the answer column must have fewer digits than this number."""
_FIELDS = ("question", "choices", "answer", "concept", "topic", "tags")


@dataclass(frozen=True)
class Columns:
    """The names of the columns of a data set, by the content of the columns."""

    question: str
    """The column with the question."""
    choices: tuple[str, ...]
    """One column for each choice, or one column with a list of the choices. Empty choices are skipped."""
    answer: str
    """The column with the answer."""
    concept: str = ""
    """The column with the id of the question, which is the same in every language. Without a column, the number of the row is
    used."""
    topic: str = ""
    """The column with the topic, or ``""`` if there is no such column."""
    tags: tuple[str, ...] = ()
    """The columns whose values become tags."""
    answers: AnswerForm = "guess"
    """The form of the answer column: a letter, an index from 0, or the choice's text."""

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns that a row must have."""
        return tuple(filter(None, (self.question, *self.choices, self.answer, self.concept, self.topic, *self.tags)))


def from_hub(
    id: str,
    columns: Mapping[str, str | Sequence[str]],
    *,
    locale: str,
    config: str | None = None,
    split: str = "test",
    revision: str = "main",
    path: str | Path | None = None,
    answers: AnswerForm = "guess",
) -> Items:
    """Returns factual items from any multiple-choice data set on the Hugging Face hub.

        sl.data.from_hub("owner/name", {"question": "q", "choices": ["a", "b", "c"], "answer": "label"}, locale="de-DE")

    If a later row asks the same question under another concept, the later row is left out. A question is therefore never in two
    parts of a split. Ids that are the same up to ``#`` belong to one concept. An item is also left out if one of its wrong
    choices is the answer of a later row with the same question. ``notes`` contains the number of rows that are left out for each
    reason.

    Args:
        id: the data set's id, such as ``owner/name``.
        columns: the names of the data set's columns, by their content. The keys are ``question``, ``choices``, ``answer``, and
            optionally ``concept``, ``topic`` and ``tags``. ``choices`` is a list of columns, or one column that contains a list.
            ``concept`` is a column with an id that is the same in every language.
        locale: the locale of the questions. For several languages, read one language at a time and add the items.
        config: the data set's configuration, or ``None`` if the data set has only one configuration.
        split: the data set's split.
        revision: a commit hash of the data set, or a branch such as ``main``. A branch can change.
        path: a local folder or file that is read instead of the hub.
        answers: the content of the answer column: a ``letter``, an ``index`` from 0 or the choice's ``text``. ``guess`` decides
            for each value.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, an answer is not among the choices, or a concept occurs twice.
        UnknownNameError: the locale or a key of ``columns`` is unknown.
        SettingsError: a key of ``columns`` is missing.
    """
    known_locale(locale)
    mapped = _columns(columns, answers)
    gathering = Gathering(id)
    gather(gathering, checked(Source(id, revision, path)), config, split, locale, mapped)
    return gathering.finish()


def gather(
    gathering: Gathering,
    source: Source,
    config: str | None,
    split: str,
    locale: str,
    columns: Columns,
    change: Callable[[dict[str, Any], Item], Item | None] = lambda _, item: item,
) -> None:
    """Adds the items of one split of a data set. ``change`` gets each row with its item and returns a changed item, or ``None``
    to leave the item out."""
    number = -1
    for number, (place, row) in enumerate(rows(source, config, split)):
        if number == 0:
            need_columns(place, row, columns.needed)
        choices, blank = _choices(row, columns.choices)
        if blank:
            gathering.drop(locale, "empty choice between others")
            continue
        answer = _answer(row[columns.answer], choices, columns.answers)
        if isinstance(answer, str):
            gathering.reader.fault(place, columns.answer, f"{row[columns.answer]!r} given", answer)
            continue
        concept = _text(row[columns.concept]) if columns.concept else str(number)
        topic = _text(row[columns.topic]) if columns.topic else ""
        tags = tuple(_text(row[column]) for column in columns.tags)
        question = _text(row[columns.question])
        item = Item(concept, "factual", locale, question, choices, answer, topic=topic, tags=tags, source=source.origin)
        changed = change(row, item)
        if changed is not None:
            gathering.add(place, changed)
    if number < 0:
        gathering.drop(locale, "no rows")


def _columns(columns: Mapping[str, str | Sequence[str]], answers: AnswerForm) -> Columns:
    for name in columns:
        if name not in _FIELDS:
            raise UnknownNameError("field", name, _FIELDS)
    missing = [name for name in _FIELDS[:3] if not columns.get(name)]
    if missing:
        raise SettingsError(
            f"columns given only for {', '.join(columns) or 'nothing'}: also expected columns for {', '.join(missing)}."
        )
    if answers not in get_args(AnswerForm):
        raise UnknownNameError("form of answers", answers, get_args(AnswerForm))
    many = {name: (given,) if isinstance(given, str) else tuple(given) for name, given in columns.items()}
    for name in set(many) - {"choices", "tags"}:
        if len(many[name]) != 1:
            raise SettingsError(f"{len(many[name])} columns given for {name!r}: expected one column.")
    one = {name: many[name][0] for name in ("question", "answer", "concept", "topic") if name in many}
    return Columns(choices=many["choices"], tags=many.get("tags", ()), answers=answers, **one)


def _choices(row: Mapping[str, Any], columns: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """Returns the choices, and whether an empty choice comes before a choice with text. Letters and indices would then point to
    wrong choices."""
    given: Iterable[Any] = [row[column] for column in columns]
    if len(columns) == 1:
        given = row[columns[0]]
        if isinstance(given, str):
            given = _listed(given)
        elif isinstance(given, Mapping):  # such as {"text": [...], "label": [...]}
            given = given.get("text", list(given.values()))
        given = given if isinstance(given, Sequence) and not isinstance(given, str | bytes) else [given]
    texts = list(map(_text, given))
    while texts and not texts[-1]:
        texts.pop()
    return tuple(texts), not all(texts)


def _listed(text: str) -> list[Any]:
    try:
        value = json_value(text)
    except ValueError:
        return [text]
    return value if isinstance(value, list) else [text]


def _answer(given: Any, choices: tuple[str, ...], form: AnswerForm) -> int | str:
    """Returns the index of the answer, or a text that says what was expected."""
    text, letters = _text(given), string.ascii_uppercase[: len(choices)]
    is_index = isinstance(given, int) and not isinstance(given, bool)
    if form == "index" or (form == "guess" and (is_index or (text.isdecimal() and text not in choices))):
        inside = text.isdecimal() and len(text) < _DIGITS and int(text) < len(choices)
        return int(text) if inside else f"an index from 0 to {len(choices) - 1}"
    is_text, is_letter = text in choices and form in ("text", "guess"), len(text) == 1 and text in letters
    if is_text and is_letter and form == "guess" and choices[letters.index(text)] != text:
        return "a letter or a choice, but not a text that could be both (choose with answers=...)"
    if is_text:
        return choices.index(text)
    if is_letter and form in ("letter", "guess"):
        return letters.index(text)
    return (
        f"one of {', '.join(letters)}"
        if form == "letter"
        else f"one of the {len(choices)} choices, or the letter or index of a choice"
    )


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers with a missing value is read as floats
    return " ".join(str(value).split()) if "\n" not in str(value) else str(value).strip()
