"""Facts that are written as tables. A table is a relation with its questions, its subjects and the answer for each subject.

The file ``tables.json`` next to this module contains the data that is the same in every language. The data are the relations with
their topics, and the answer, the difficulty and other possibly right answers of each subject. Names and questions are in the
``tables.json`` of each locale.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from steerlens.data.grounded.concepts import Fact
from steerlens.data.grounded.grammar import Thing

SOURCE = "written, common knowledge"
"""The source of facts that were written from common knowledge."""


@dataclass(frozen=True)
class Subject:
    """The subject of one fact."""

    key: str
    answer: str
    difficulty: int
    never: tuple[str, ...] = ()
    """The answers that must not be used as wrong choices for this subject."""


@dataclass(frozen=True)
class Table:
    """A relation and all its facts."""

    relation: str
    topic: str
    subjects: tuple[Subject, ...]

    def facts(self) -> Iterator[Fact]:
        """Yields a fact for each subject. The wrong answers are the answers of other subjects. The subject is never a wrong
        answer."""
        answers = dict.fromkeys(subject.answer for subject in self.subjects)
        for subject in self.subjects:
            wrong = (other for other in answers if other not in (subject.key, subject.answer, *subject.never))
            yield Fact(
                concept=f"{self.relation}-{subject.key}",
                topic=self.topic,
                relation=self.relation,
                subject=self.subject(subject),
                answer=self.answer(subject.answer),
                near=tuple(map(self.answer, wrong)),
                far=(),
                source=SOURCE,
                difficulty=subject.difficulty,
            )

    def subject(self, subject: Subject) -> Thing:
        """Returns a subject as a ``Thing``, which has a name in every locale."""
        return Thing(f"{self.relation} subject", subject.key)

    def answer(self, key: str) -> Thing:
        """Returns an answer as a ``Thing``, which has a name in every locale."""
        return Thing(f"{self.relation} answer", key)


@cache
def tables() -> tuple[Table, ...]:
    """Returns all relations, in the order of the file."""
    given: dict[str, Any] = json.loads(resources.files(__package__).joinpath("tables.json").read_text(encoding="utf-8"))
    return tuple(
        Table(relation, own["topic"], tuple(_subject(key, *row) for key, row in own["rows"].items()))
        for relation, own in given.items()
    )


def _subject(key: str, answer: str, difficulty: int, never: tuple[str, ...] = ()) -> Subject:
    return Subject(key, answer, difficulty, tuple(never))


def tabled() -> Iterator[Fact]:
    """Yields the facts of all tables."""
    for table in tables():
        yield from table.facts()
