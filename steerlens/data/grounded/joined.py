"""Facts that need two steps, because they join two relations. An example is the currency of the country whose capital is
Nairobi."""

from collections.abc import Iterator
from dataclasses import replace

from steerlens.data.grounded.concepts import Fact, stable
from steerlens.data.grounded.geography import capitals, cities, continents
from steerlens.data.grounded.grammar import Thing
from steerlens.data.grounded.science import atomic_numbers, symbols
from steerlens.data.grounded.society import currencies

_MOST = 30
"""The largest number of facts of a joined relation. The ids of the concepts decide which facts are taken."""


def joined() -> Iterator[Fact]:
    """Yields facts that need two steps, for every pair of relations that is joined."""
    capital_of = {fact.subject: fact.answer for fact in capitals()}
    continent_of = {fact.subject: fact for fact in continents()}
    number_of = {fact.subject.code: fact.answer for fact in atomic_numbers()}
    yield from _some(
        _joined(fact, "currency-of-capital", capital_of[fact.subject]) for fact in currencies() if fact.subject in capital_of
    )
    yield from _some(
        _joined(continent_of[fact.answer], "continent-of-city", fact.subject, fact)
        for fact in cities()
        if fact.answer in continent_of
    )
    yield from _some(
        _joined(fact, "symbol-of-number", number_of[fact.subject.code]) for fact in symbols() if fact.subject.code in number_of
    )


def _joined(second: Fact, relation: str, subject: Thing, first: Fact | None = None) -> Fact:
    """Returns the second fact with another subject, so that the question can be answered only in two steps."""
    return replace(
        second,
        concept=f"{relation}-{subject.code.rpartition('/')[2].replace('_', '-')}",
        relation=relation,
        subject=subject,
        source=f"{first.source}; {second.source}" if first else second.source,
        difficulty=3,
        may_resemble=True,
    )


def _some(facts: Iterator[Fact]) -> list[Fact]:
    """Returns at most ``_MOST`` of the facts."""
    return sorted(facts, key=lambda fact: stable(f"joined:{fact.concept}"))[:_MOST]
