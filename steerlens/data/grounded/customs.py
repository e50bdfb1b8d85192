"""Cultural rows whose answers are looked up in open data: money, time, phone numbers, places, public holidays."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from steerlens.data.grounded.customs_base import TERRITORY, Custom, wording
from steerlens.data.grounded.customs_clocks import clocks
from steerlens.data.grounded.customs_holidays import festivals
from steerlens.data.grounded.customs_money import money
from steerlens.data.grounded.customs_phones import phones
from steerlens.data.grounded.customs_places import places
from steerlens.data.grounded.customs_writing import writing

FILE = "customs.jsonl"
"""Name of the generated file in each locale's folder."""


def customs() -> dict[str, list[dict[str, Any]]]:
    """The rows of each asking locale, concepts in the same order everywhere.

    Raises:
        DataError: a package no longer says what a concept needs, as when a holiday moves.
    """
    concepts = list(_concepts())
    return {locale: [_row(custom, locale) for custom in concepts] for locale in TERRITORY}


def write(folder: Path) -> list[Path]:
    """Writes each locale's file beneath the folder, which holds a folder per locale.

    Args:
        folder: the atlas, or a copy of it.
    """
    files = []
    for locale, rows in customs().items():
        file = folder / locale / FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        files.append(file)
    return files


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
