"""Cultural rows with answers from open data: money, time, phone numbers, places, public holidays."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from steerlens.data.grounded.customs_base import Custom, owners, wording
from steerlens.data.grounded.customs_clocks import clocks
from steerlens.data.grounded.customs_holidays import festivals
from steerlens.data.grounded.customs_money import money
from steerlens.data.grounded.customs_phones import phones
from steerlens.data.grounded.customs_places import places
from steerlens.data.grounded.customs_writing import writing


def customs() -> dict[str, list[dict[str, Any]]]:
    """The rows of each asking locale, with the concepts in the same order in all of them.

    Raises:
        DataError: a package no longer contains what a concept needs, for example because a holiday has moved.
    """
    concepts = list(_concepts())
    return {one.code: [_row(custom, one.code) for custom in concepts] for one in owners()}


def _concepts() -> Iterator[Custom]:
    return chain(money(), clocks(), writing(), phones(), places(), festivals())


def _row(custom: Custom, asking: str) -> dict[str, Any]:
    return {
        "concept": custom.concept,
        "kind": "cultural",
        "locale": asking,
        "topic": custom.topic,
        "source": custom.source,
        **wording(asking)["questions"][custom.concept],
        "answers": custom.answers(asking),
    }
