"""Facts that are not yet rows of a file. Each fact has a question, an answer and possible wrong choices."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from steerlens.data.grounded.grammar import Grammar, Thing
from steerlens.data.grounded.grammar import grammar as grammar_of
from steerlens.data.grounded.likeness import alike
from steerlens.data.rows import same_text

_CHOICES = 4


@dataclass(frozen=True)
class Fact:
    """A fact that is not yet written in any language."""

    concept: str
    """The concept's id. If a fact is asked in two directions (the element of a symbol, and the symbol of an element), the ids of
    the two questions are the same up to ``#``."""
    topic: str
    relation: str
    subject: Thing
    answer: Thing
    near: tuple[Thing, ...]
    """The wrong answers that are chosen first."""
    far: tuple[Thing, ...]
    """The wrong answers that are used if ``near`` does not contain enough wrong answers."""
    source: str
    may_resemble: bool = False
    """Whether the subject and the answer may begin with the same letters. For example, names of months may begin with the same
    letters, because the letters do not reveal the answer."""
    difficulty: int = 2
    """The difficulty of the fact. 1: a child knows the fact. 2: the fact is taught at school. 3: few people know the fact."""
    popularity: float | None = None
    """The number of inhabitants of the country or city in the question, from GeoNames. The number is ``None`` for other
    subjects."""


@dataclass(frozen=True)
class Concept:
    """A fact with its wrong answers. The position of the right answer among the choices is not yet decided."""

    fact: Fact
    wrong: tuple[Thing, ...]

    def row(self, grammar: Grammar, at: int) -> dict[str, Any]:
        """Returns the row of one locale, with the answer at position ``at`` of the choices."""
        fact = self.fact
        choices = [*self.wrong[:at], fact.answer, *self.wrong[at:]]
        return {
            "concept": fact.concept,
            "kind": "factual",
            "locale": grammar.code,
            "topic": fact.topic,
            "relation": fact.relation,
            "source": fact.source,
            "difficulty": fact.difficulty,
            **({} if fact.popularity is None else {"popularity": fact.popularity}),
            "question": question(fact, grammar),
            "wordings": [question(fact, grammar, step) for step in range(1, len(grammar.questions[fact.relation]))],
            "cloze": grammar.state(fact.relation, fact.subject),
            "choices": [grammar.name(choice) for choice in choices],
            "answer": grammar.name(fact.answer),
        }

    def is_askable(self, grammar: Grammar) -> bool:
        """Returns whether the question can also be asked in a further locale. The question must not reveal the answer, and all
        choices must differ."""
        texts = {_text(thing, grammar.code) for thing in (self.fact.answer, *self.wrong)}
        return not _given_away(self.fact, [grammar]) and len(texts) == _CHOICES


def stable(text: str) -> int:
    """Returns a number that depends only on the text. The number is the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def question(fact: Fact, grammar: Grammar, step: int = 0) -> str:
    """Returns the question of a fact. The concept decides which template of the relation is used first, so the first template is
    the same in every locale.

    Args:
        fact: the fact that is asked.
        grammar: the locale's grammar.
        step: the number of the wording, from 0 for the first template.
    """
    return grammar.ask(fact.relation, fact.subject, (stable(fact.concept) + step) % len(grammar.questions[fact.relation]))


def concepts(facts: Iterable[Fact], grammars: Sequence[Grammar]) -> list[Concept]:
    """Returns the facts that can be asked in every locale. Each fact has three wrong answers, and they are the same in every
    locale."""
    return [
        Concept(fact, wrong)
        for fact in facts
        if not _given_away(fact, grammars) and len(wrong := _wrong(fact, grammars)) == _CHOICES - 1
    ]


def _given_away(fact: Fact, grammars: Sequence[Grammar]) -> bool:
    for grammar in grammars:
        answer = grammar.name(fact.answer)
        texts = (question(fact, grammar, step) for step in range(len(grammar.questions[fact.relation])))
        if any(same_text(answer) in same_text(text) for text in texts):
            return True
        if not fact.may_resemble and alike(grammar.name(fact.subject), answer):
            return True
    return False


def _wrong(fact: Fact, grammars: Sequence[Grammar]) -> tuple[Thing, ...]:
    taken, chosen = [_texts(fact.answer, grammars)], list[Thing]()
    for pool in (fact.near, fact.far):
        for thing in sorted(set(pool), key=lambda thing: stable(f"{fact.concept}:{thing.code}")):
            texts = _texts(thing, grammars)
            differs = all(text != other for taken_texts in taken for text, other in zip(texts, taken_texts, strict=True))
            if thing != fact.subject and differs and len(chosen) < _CHOICES - 1:
                chosen.append(thing)
                taken.append(texts)
    return tuple(chosen)


def _texts(thing: Thing, grammars: Sequence[Grammar]) -> tuple[str, ...]:
    return tuple(_text(thing, grammar.code) for grammar in grammars)


@cache
def _text(thing: Thing, code: str) -> str:
    return same_text(grammar_of(code).name(thing))
