"""Adds survey results to the atlas's cultural items. The file of votes contains the number of votes for each concept and
locale."""

import json
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from steerlens.data.items import Evidence, Items
from steerlens.data.splits import group_of

VOTES = "votes.json"
"""The name of the file with the votes by concept and locale. ``python -m steerlens.data.grounded.votes`` counts the votes in the
surveys' files."""


def with_evidence(items: Items) -> Items:
    """Returns the atlas's items with the votes for their answers. Items without a survey are unchanged."""
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
    """Returns the table of votes, or an empty table if the package has no votes."""
    file = resources.files("steerlens.data").joinpath("atlas", VOTES)
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}
