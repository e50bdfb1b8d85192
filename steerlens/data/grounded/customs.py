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
    """Returns the rows of each asking locale. The concepts are in the same order in all locales.

    Raises:
        DataError: a package no longer contains the data that a concept needs, for example because a holiday was moved to another
            date.
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
