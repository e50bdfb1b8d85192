"""Factual items in every locale, from open data."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from steerlens.data.grounded.calendar import calendar
from steerlens.data.grounded.concepts import Concept, Fact, concepts, stable
from steerlens.data.grounded.geography import capitals, cities, continents, neighbours, people
from steerlens.data.grounded.grammar import Grammar, further_grammars, grammars
from steerlens.data.grounded.joined import joined
from steerlens.data.grounded.science import atomic_numbers, elements, symbols
from steerlens.data.grounded.society import calling_codes, currencies, currency_symbols, domains, languages, scripts
from steerlens.data.grounded.tables import tabled

RELATIONS: tuple[Callable[[], Iterable[Fact]], ...] = (
    capitals,
    continents,
    cities,
    neighbours,
    languages,
    scripts,
    currencies,
    currency_symbols,
    calling_codes,
    domains,
    symbols,
    elements,
    atomic_numbers,
    calendar,
    joined,
    tabled,
)
"""The functions that yield facts, in the order in which the facts are written to the files."""
_DIFFICULTY = {
    **dict.fromkeys(("continent", "month-after", "month-before", "weekday-after", "weekday-before"), 1),
    **dict.fromkeys(("calling-code", "domain", "atomic-number"), 3),
}
"""The difficulty of the relations from open data whose difficulty is not 2."""


def facts() -> dict[str, list[dict[str, Any]]]:
    """Returns the rows of each locale. Concepts, choices and the positions of the answers are the same in every locale. A further
    locale leaves out a concept if the words of its question would reveal the answer.

    Raises:
        SteerlensError: a package of open data is missing.
    """
    every = grammars()
    made = concepts((_graded(fact) for relation in RELATIONS for fact in relation()), every)
    places = _places(made)

    def rows(of: Grammar, some: Iterable[Concept]) -> list[dict[str, Any]]:
        return [concept.row(of, places[concept.fact.concept]) for concept in some]

    own = {g.code: rows(g, made) for g in every}
    return own | {g.code: rows(g, (concept for concept in made if concept.is_askable(g))) for g in further_grammars()}


def _graded(fact: Fact) -> Fact:
    """Returns the fact with its difficulty. A fact about a country also gets the number of inhabitants."""
    popularity = people(fact.subject.code) if fact.subject.kind == "country" else fact.popularity
    return replace(fact, difficulty=_DIFFICULTY.get(fact.relation, fact.difficulty), popularity=popularity)


def _places(made: list[Concept]) -> dict[str, int]:
    """Returns the position of each answer among its choices. Every position is equally frequent within a relation and over all
    relations."""
    relations = defaultdict[str, list[str]](list)
    for concept in made:
        relations[concept.fact.relation].append(concept.fact.concept)
    turn = [name for names in relations.values() for name in sorted(names, key=lambda name: stable(f"place:{name}"))]
    return {name: number % 4 for number, name in enumerate(turn)}
