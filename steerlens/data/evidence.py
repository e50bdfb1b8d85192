"""Survey results on the atlas's cultural answers: people's votes, joined to the concepts by a table of ids."""

import json
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from steerlens.data.items import Evidence, Items
from steerlens.data.splits import group_of

VOTES = "votes.json"
"""Votes by concept and locale, counted by ``python -m steerlens.data.grounded.votes`` from the surveys' files."""


def with_evidence(items: Items) -> Items:
    """Returns the atlas's items with the votes for their answers, if there was a survey."""
    return replace(
        items,
        items=tuple(
            replace(item, evidence=found) if (found := _evidence(group_of(item.concept), item.locale)) else item for item in items
        ),
    )


def _evidence(concept: str, locale: str) -> Evidence | None:
    found = _votes().get(concept, {}).get(locale)
    return None if found is None else Evidence(**found)


@cache
def _votes() -> dict[str, dict[str, dict[str, Any]]]:
    """The table of votes; empty if the package has none."""
    file = resources.files("steerlens.data").joinpath("atlas", VOTES)
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
