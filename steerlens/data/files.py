"""Items from files: the user's own JSON Lines and CSV, and the atlas that comes with steerlens."""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from steerlens.data.items import Items
from steerlens.data.locales import ENGLISH, atlas_folder, known_locales
from steerlens.data.rows import RowReader
from steerlens.errors import FileError, UnknownNameError

_ANSWER_COLUMN = "answer:"


def load_items(path: str | Path) -> Items:
    """Items of the user's own, from JSON Lines (``.jsonl``) or CSV (``.csv``), one concept in one locale a row.

    Fields of every row: ``concept``, ``kind`` (factual or cultural), ``locale``, ``question``, and if wanted ``topic``.
    A factual row has ``choices`` (in CSV separated by ``|``) and ``answer``, which is one of them to the letter. A
    cultural row has ``answers``, a text per locale (in CSV a column ``answer:es-ES`` each), its own locale's among
    them, and ``explicit``, the question with its country named, without which it gives no LOC pair.

    Raises:
        FileError: no such file, another ending, or not UTF-8.
        DataError: bad rows, all of them named with file, line, field, what was given and what was expected.
    """
    path = Path(path)
    readers = {".jsonl": _jsonl, ".csv": _csv}
    if path.suffix not in readers:
        raise FileError(f"{path} given: items are read from .jsonl and .csv files. Rename or convert it.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read items from {path}: {error}. Expected a UTF-8 file that exists.") from error
    reader = RowReader()
    readers[path.suffix](reader, path.name, text)
    return reader.finish(path.name)


def atlas(locales: Iterable[str] | None = None) -> Items:
    """The built-in atlas: factual and cultural concepts, each in every locale, checked by hand.

    Args:
        locales: the locales wanted; English is always among the items, since EN pairs need it. All for ``None``.

    Raises:
        UnknownNameError: a locale that the atlas does not have; the nearest codes are offered.
    """
    have = atlas_locales()
    wanted = list(have) if locales is None else [ENGLISH, *(code for code in locales if code != ENGLISH)]
    reader = RowReader()
    for code in wanted:
        if code not in have:
            raise UnknownNameError("locale", code, have, "These are the locales of the atlas.")
        for file in sorted(atlas_folder().joinpath(code).iterdir(), key=lambda file: file.name, reverse=True):
            if file.name.endswith(".jsonl"):
                _jsonl(reader, f"{code}/{file.name}", file.read_text(encoding="utf-8"))
    return reader.finish("atlas")


def atlas_locales() -> tuple[str, ...]:
    """Codes of the locales that the atlas has, English first."""
    return tuple(code for code in known_locales() if atlas_folder().joinpath(code).is_dir())


def _jsonl(reader: RowReader, name: str, text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            reader.fault(place, "line", f"not JSON ({error.msg} at column {error.colno})", "one JSON object a line")
            continue
        if not isinstance(row, dict):
            reader.fault(place, "line", f"a JSON {type(row).__name__}", "one JSON object a line")
            continue
        reader.read(place, row)


def _csv(reader: RowReader, name: str, text: str) -> None:
    for number, row in _csv_rows(text):
        if None in row:
            reader.fault(f"{name}:{number}", "line", "more cells than the header has", "as many cells as columns")
            continue
        reader.read(f"{name}:{number}", _from_cells(row))


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    rows = csv.DictReader(text.splitlines(keepends=True))
    for row in rows:
        yield rows.line_num, row


def _from_cells(cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if not name.startswith(_ANSWER_COLUMN)}
    if cells.get("choices"):
        row["choices"] = cells["choices"].split("|")
    else:
        row.pop("choices", None)
    answers = {
        name.removeprefix(_ANSWER_COLUMN): cell for name, cell in cells.items() if name.startswith(_ANSWER_COLUMN) and cell
    }
    return {**row, "answers": answers} if answers else row
