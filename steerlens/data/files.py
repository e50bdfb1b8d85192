"""Items from files: the user's own JSON Lines and CSV, and the atlas that comes with steerlens."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from steerlens.data.items import Items
from steerlens.data.lines import lines_of, parsed
from steerlens.data.locales import ENGLISH, atlas_folder, atlas_locales
from steerlens.data.rows import RowReader
from steerlens.errors import FileError, UnknownNameError

_ANSWER_COLUMN = "answer:"
_COLUMNS = ("concept", "kind", "locale", "question")
"""Columns that every CSV file has; the others depend on its kinds."""


def load_items(path: str | Path) -> Items:
    """Reads items of the user's own from JSON Lines (``.jsonl``) or CSV (``.csv``), one concept in one locale a row.

    Every row has the fields ``concept``, ``kind`` (factual or cultural), ``locale``, ``question``, and if wanted ``topic``. A
    factual row has ``choices`` (in CSV separated by ``|``) and ``answer``, which is one of them to the letter. A cultural row has
    ``answers``, a text per locale (in CSV a column ``answer:es-ES`` each), its own locale's among them, and ``explicit``, the
    question with its country named, without which it gives no LOC pair.

    The file is read line by line, and only the items are held in memory. Rows that look doubtful but can be used, such as a
    question in another script than its locale's, are counted in the ``notes`` of the items and logged.

    Args:
        path: the file, in UTF-8; its ending says the format.

    Raises:
        FileError: there is no such file, it has another ending, or it is not UTF-8.
        DataError: rows are bad; each is named with file, line, field, what was given and what was expected.
    """
    path = Path(path)
    readers = {".jsonl": _jsonl, ".csv": _csv}
    if path.suffix not in readers:
        raise FileError(f"{path} given: items are read from .jsonl and .csv files. Rename or convert it.")
    reader = RowReader()
    readers[path.suffix](reader, path.name, lines_of(path))
    return reader.finish(path.name)


def atlas(
    locales: Iterable[str] | str | None = None,
    *,
    topics: Iterable[str] | None = None,
    sources: Iterable[str] | None = None,
    shared: bool = False,
) -> Items:
    """Returns the built-in atlas: factual and cultural concepts, made from open data or written, each in every locale.

    Args:
        locales: the locales wanted, or one; ``all`` and ``None`` are every one. English is always among the items, since EN pairs
            need it.
        topics: the topics that are kept, such as ``food``; all for ``None``.
        sources: only items whose source begins with one of these are kept, such as ``written`` or ``CLDR``; all for ``None``.
        shared: keeps a cultural item in a locale whose answer another locale shares. It cannot tell the two apart, so it is left
            out by default; ``notes`` says how many were.

    Raises:
        UnknownNameError: the atlas does not have a locale, topic or source; the nearest are offered.
    """
    asked = atlas_locales() if locales is None or locales == "all" else (locales,) if isinstance(locales, str) else tuple(locales)
    reader = RowReader(warn=False)  # the atlas has checks of its own
    for code in dict.fromkeys((ENGLISH, *asked)):
        for file in sorted(atlas_folder(code).iterdir(), key=lambda file: file.name, reverse=True):
            if file.name.endswith(".jsonl"):
                _jsonl(reader, f"{code}/{file.name}", file.read_text(encoding="utf-8").split("\n"))
    items = reader.finish("atlas")
    if topics is not None:
        wanted, known = {topics} if isinstance(topics, str) else set(topics), {item.topic for item in items}
        for topic in wanted - known:
            raise UnknownNameError("topic", topic, sorted(known))
        items = items.where(lambda item: item.topic in wanted)
    if sources is not None:
        begins = (sources,) if isinstance(sources, str) else tuple(sources)
        for source in begins:
            if not any(item.source.startswith(source) for item in items):
                raise UnknownNameError("source", source, sorted({item.source.split(" ")[0] for item in items}))
        items = items.where(lambda item: item.source.startswith(begins))
    kept = items if shared else items.distinctive()
    return replace(kept, notes={"shared answers, left out": len(items) - len(kept)})


def _jsonl(reader: RowReader, name: str, lines: Iterable[str]) -> None:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = parsed(line)
        if isinstance(row, str):
            reader.fault(f"{name}:{number}", "line", row, "one JSON object a line")
        else:
            reader.read(f"{name}:{number}", row)


def _csv(reader: RowReader, name: str, lines: Iterator[str]) -> None:
    rows = csv.DictReader(lines)
    try:
        given = list(rows.fieldnames or [])
        missing = [column for column in _COLUMNS if given and column not in given]
        if missing:
            listed = f"missing; the columns are {', '.join(map(repr, given))}"
            reader.fault(f"{name}:1", ", ".join(missing), listed, f"a header with {', '.join(_COLUMNS)}")
            return
        for row in rows:
            place = f"{name}:{rows.line_num}"
            if None in row:
                reader.fault(place, "line", "more cells than the header has", "as many cells as columns")
            else:
                reader.read(place, _from_cells(row))
    except csv.Error as error:
        reader.fault(f"{name}:{rows.line_num + 1}", "line", f"not CSV ({error})", "comma-separated cells")


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
