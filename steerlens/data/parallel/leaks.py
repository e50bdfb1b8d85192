"""Finds training texts that reveal answers of items. A text reveals an answer if the text belongs to the item's concept, or
contains the question and its answer."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from steerlens.data.items import Item, Items
from steerlens.data.parallel.texts import ParallelText
from steerlens.data.parallel.units import Sequences, Units, is_character, units
from steerlens.data.splits import concept_of, group_of
from steerlens.errors import SettingsError
from steerlens.progress import progress

Why = Literal["concept", "name", "n-gram"]

_FRAME_CONCEPTS, _FRAME_SHARE = 2, 0.1
"""A minimum number and a minimum share of the concepts of a relation. Words that occur in the questions of at least so many
concepts belong to the frame, which is the wording that the questions share."""
_EVERYWHERE, _EVERYWHERE_SHARE = 10, 0.05
"""A minimum number and a minimum share of all concepts. Words that occur in the questions of at least so many concepts belong to
the frame of every question, for example "which"."""
_ENOUGH = 2.0
"""The smallest amount of text outside the frame of a question without a relation. A word counts 1, and a character counts 1/2."""
_SHOW_FROM = 20_000
"""The smallest number of rows for which a progress bar is shown."""


@dataclass(frozen=True)
class Leak:
    """A row of a corpus that reveals the answer of an item."""

    key: str
    """The row's key."""
    concept: str
    """The id of the concept whose answer is revealed, without the number of the wording."""
    locale: str
    """The code of the locale of the text that reveals the answer. If ``why`` is ``concept``, the locale is the first locale of
    the row."""
    why: Why
    """The reason. ``concept``: the row belongs to the item's concept. ``name``: the text contains the subject of the question,
    and the answer. ``n-gram``: the text contains a part of the question that no other question has, and the answer."""
    text: str
    """The text that reveals the item's answer. If the text is a question, its answer is included."""

    def __str__(self) -> str:
        return f"{self.key} ({self.locale}) reveals the answer of {self.concept} by {self.why}: {self.text!r:.120}"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The parts that a text must contain to reveal the answer to one wording of an item."""

    concept: str
    name: tuple[Units, ...]
    """The parts of the question outside its frame. The tuple is empty if these parts are too short."""
    phrases: tuple[Units, ...]
    """The n-grams of the question that no question of another concept contains. The tuple is empty for an item with a
    relation."""
    answers: tuple[Units, ...]


class _Language:
    """The questions of one language, in a form with which one pass over a text finds all revealed answers."""

    def __init__(self, items: Sequence[Item], n: int) -> None:
        by_relation: dict[tuple[str, str], list[Item]] = {}
        for item in items:
            by_relation.setdefault((item.kind, item.relation), []).append(item)
        asking = [(group_of(item.concept), units(item.question)) for item in items]
        phrases = _shared((group, _phrases(question, n)) for group, question in asking)
        words = _shared((group, _marks(question)) for group, question in asking)
        often = max(_EVERYWHERE, _EVERYWHERE_SHARE * len({group for group, _ in asking}))
        common = {phrase for phrase, concepts in phrases.items() if concepts > 1}
        common |= {word for word, concepts in words.items() if len(word) == 1 and concepts >= often}
        asked = [one for some in by_relation.values() for one in _asked(some, n, common)]
        parts = Counter(part for one in asked for part in one.name)
        self._by_name: dict[Units, list[_Asked]] = {}
        self._by_phrase: dict[Units, list[_Asked]] = {}
        for one in asked:
            if one.name:
                self._by_name.setdefault(min(one.name, key=lambda part: parts[part]), []).append(one)
            for phrase in one.phrases:
                self._by_phrase.setdefault(phrase, []).append(one)
        answers = (answer for one in asked for answer in one.answers)
        self._sequences = Sequences((*parts, *self._by_phrase, *answers))

    def given_away(self, text: str) -> Iterator[tuple[str, Why]]:
        """Yields the concepts whose answers a text reveals, with the reason."""
        found = self._sequences.found(units(text))
        for key in found:
            for one in self._by_name.get(key, ()):
                if all(part in found for part in one.name) and _answered(one, found, one.name):
                    yield one.concept, "name"
            for one in self._by_phrase.get(key, ()):
                if _answered(one, found, (key,)):
                    yield one.concept, "n-gram"


def leaks(rows: Sequence[ParallelText], items: Items, n: int) -> list[Leak]:
    """Returns a leak for each row and each concept whose answer the row reveals, in the order of the rows.
    ``ParallelCorpus.leaks`` describes which rows are found.

    Raises:
        SettingsError: ``n`` is below 2.
    """
    if n < 2:
        raise SettingsError(f"n={n} given for n-grams: expected at least 2 words or characters.")
    groups: dict[str, str] = {}
    by_language: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(group_of(item.concept), concept_of(item.concept))
        by_language.setdefault(_language(item.locale), []).append(item)
    languages = {language: _Language(some, n) for language, some in by_language.items()}
    found = []
    with progress(len(rows), "leaks", "row", show=len(rows) >= _SHOW_FROM) as bar:
        for row in rows:
            found += _of_row(row, groups, languages)
            bar.update()
    return found


def _of_row(row: ParallelText, groups: Mapping[str, str], languages: Mapping[str, _Language]) -> list[Leak]:
    found: dict[str, Leak] = {}
    if row.concept and (concept := groups.get(group_of(row.concept))):
        code = row.locales[0]
        found[concept] = Leak(row.key, concept, code, "concept", row.full(code))
    for code in row.locales:
        language = languages.get(_language(code))
        for concept, why in language.given_away(row.full(code)) if language else ():
            found.setdefault(concept, Leak(row.key, concept, code, why, row.full(code)))
    return list(found.values())


def _language(code: str) -> str:
    return code.partition("-")[0]


def _asked(items: Sequence[Item], n: int, common: set[Units]) -> Iterator[_Asked]:
    """Yields the parts that a text must contain, for each item of one kind and relation in one language. Items without a relation
    form one group per kind.

    Args:
        items: the items.
        n: the length of an n-gram.
        common: the n-grams that are in questions of several concepts, and the words that are in questions of many concepts.
    """
    related, cultural = bool(items[0].relation), items[0].kind == "cultural"
    questions = [units(item.question) for item in items]
    groups = [group_of(item.concept) for item in items]
    often = max(_FRAME_CONCEPTS, _FRAME_SHARE * len(set(groups)))
    marks = _shared(zip(groups, map(_marks, questions), strict=True))
    frame = {mark for mark, concepts in marks.items() if concepts >= often} | common
    for item, question in zip(items, questions, strict=True):
        phrases = () if related else tuple(phrase for phrase in _phrases(question, n) if phrase not in common)
        answers = tuple(filter(None, map(units, item.names(item.answer))))
        name = () if cultural else _name(question, frame, related=related)
        yield _Asked(concept_of(item.concept), name, phrases, answers)


def _shared(marked: Iterable[tuple[str, Iterable[Units]]]) -> Counter[Units]:
    """Returns the number of concepts whose questions contain each mark (see ``_marks``)."""
    return Counter(mark for _, mark in {(group, mark) for group, marks in marked for mark in marks})


def _marks(question: Units) -> list[Units]:
    """Returns the marks of a question, by which frames are recognized. A mark is a word, or a pair of neighbouring units of which
    at least one is a character."""
    return [(unit,) for unit in question if not is_character(unit)] + [
        pair for pair in pairwise(question) if any(map(is_character, pair))
    ]


def _name(question: Units, frame: set[Units], *, related: bool) -> tuple[Units, ...]:
    """Returns the parts of a question outside its frame. A part is a single word or a sequence of characters.

    If the frame is the complete question, the complete question is returned. The frame of a question without a relation is
    uncertain. If too little of this question is outside the frame, nothing is returned.
    """
    own = [not _is_frame(question, at, frame) for at in range(len(question))]
    parts = _parts(question, own if any(own) else [True] * len(question))
    enough = sum(len(part) / 2 if is_character(part[0]) else 1 for part in parts) >= _ENOUGH
    return parts if related or enough else ()


def _is_frame(question: Units, at: int, frame: set[Units]) -> bool:
    if not is_character(question[at]):
        return (question[at],) in frame
    return question[at - 1 : at + 1] in frame or question[at : at + 2] in frame


def _parts(question: Units, own: Sequence[bool]) -> tuple[Units, ...]:
    found: list[Units] = []
    at = 0
    while at < len(question):
        end = at + 1
        if own[at] and is_character(question[at]):
            while end < len(question) and own[end] and is_character(question[end]):
                end += 1
            alone = end == at + 1  # one character says little: 中 of 中国 is in many words
            found.append(question[at : end + 1] if alone and end < len(question) else question[at:end])
        elif own[at]:
            found.append(question[at:end])
        at = end
    return tuple(dict.fromkeys(found))


def _phrases(question: Units, n: int) -> list[Units]:
    """Returns the n-grams of a question, or the complete question if it has at most ``n`` units."""
    if len(question) <= n:
        return [question] if len(question) > 1 else []
    return [question[at : at + n] for at in range(len(question) - n + 1)]


def _answered(asked: _Asked, found: Mapping[Units, Sequence[int]], taken: Sequence[Units]) -> bool:
    """Returns whether a text contains an answer outside the words of the question. For example, Africa in "South Africa" is not
    an answer."""
    used = {at for part in taken for at in range(found[part][0], found[part][0] + len(part))}
    places = ((at, len(answer)) for answer in asked.answers for at in found.get(answer, ()))
    return any(used.isdisjoint(range(at, at + length)) for at, length in places)
