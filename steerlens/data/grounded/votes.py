"""Counts the votes for the atlas's cultural answers in BLEnD's annotations.

``python -m steerlens.data.grounded.votes FOLDER`` reads the files in a folder, such as ``Spain_data.json`` from the data set's
repository. The table ``atlas/surveys.json`` gives the survey question of each concept. The program writes ``atlas/votes.json``,
which contains the number of people who gave the atlas's answer, under any of its names, for each concept and locale.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from steerlens.data.files import atlas
from steerlens.data.items import Item
from steerlens.data.locales import ENGLISH, atlas_folder
from steerlens.data.public.blend_countries import COUNTRIES
from steerlens.data.public.blend_files import Answer, Asked, annotations
from steerlens.data.scripts import plain

_SURVEYS, _VOTES, _NAME = "surveys.json", "votes.json", "BLEnD"


def main(folder: str) -> None:
    """Writes ``votes.json``.

    Args:
        folder: the folder with BLEnD's annotations.
    """
    root = Path(str(atlas_folder(ENGLISH))).parent
    table = json.loads((root / _SURVEYS).read_text(encoding="utf-8"))[_NAME]
    found = counted(table, folder)
    (root / _VOTES).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def counted(table: Mapping[str, str], folder: str | Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the votes by concept and locale, for the countries whose files are in the folder.

    Args:
        table: the id of the survey question for each concept.
        folder: the folder with the annotations.

    Raises:
        FileError: a file does not have the format of the annotations.
    """
    items = atlas("all", shared=True).of(kind="cultural")
    votes: dict[str, dict[str, dict[str, Any]]] = {concept: {} for concept in table}
    for code in items.locales:
        country = COUNTRIES.get(code)
        if country is None or not list(Path(folder).rglob(f"{country.file}_data.json")):
            continue
        asked = annotations(Path(folder), country.file)
        for item in items.of(locale=code):
            question = asked.get(table.get(item.concept, ""))
            if question is not None and question.answers:
                votes[item.concept][code] = _votes(item, question)
    return {concept: own for concept, own in votes.items() if own}


def _votes(item: Item, asked: Asked) -> dict[str, Any]:
    names = item.names(item.answer)
    given = sum(answer.votes for answer in asked.answers if _same(names, answer))
    counts = [answer.votes for answer in asked.answers]
    return {"source": f"{_NAME} {asked.id}", "votes": given, "annotators": sum(counts), "most": max(counts)}


def _same(names: Iterable[str], answer: Answer) -> bool:
    """Returns whether a word of an answer is one of the names, or contains one of the names as separate words. Accents and case
    are ignored."""
    words = [f" {' '.join(plain(word).split())} " for word in answer.own]
    return any(f" {' '.join(plain(name).split())} " in word for name in names for word in words)


if __name__ == "__main__":
    main(sys.argv[1])
