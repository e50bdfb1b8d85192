"""Reads items from files: the user's own JSON Lines and CSV files, and the atlas, which is part of steerlens."""

import csv
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from steerlens.data.evidence import with_evidence
from steerlens.data.further import Row, further_rows
from steerlens.data.items import Item, Items
from steerlens.data.lines import lines_of, parsed
from steerlens.data.locales import ENGLISH, atlas_folder, atlas_locales, locale
from steerlens.data.rows import RowReader
from steerlens.errors import DataError, FileError, UnknownNameError

_ANSWER_COLUMN = "answer:"
_COLUMNS = ("concept", "kind", "locale")
"""The columns that every CSV file has, in addition to ``question`` or ``templates``. Other columns depend on the kinds of its
items."""
_LISTS, _NUMBERS = ("choices", "wordings", "templates", "tags"), ("difficulty", "popularity")
"""The columns whose cells are lists separated by ``|``, and the columns whose cells are numbers."""


def load_items(path: str | Path, *, wordings: int = 1, cloze: bool = False) -> Items:
    """Reads your own items from JSON Lines (``.jsonl``) or CSV (``.csv``). Each row is one concept in one locale.

    Every row has the fields ``concept``, ``kind`` (factual or cultural), ``locale``, ``question``, and optionally ``topic``. A
    factual row has ``choices`` (in CSV separated by ``|``) and ``answer``, which is exactly one of the choices. A cultural row
    has ``answers``, with one text for each locale including the locale of the row. CSV has one column for each locale, for
    example ``answer:es-ES``. A cultural row also has ``explicit``, the question that names the country. Without ``explicit``, the
    row gives no pair of prompts for a LOC vector.

    A choice or answer may be a list of equally correct names (in a CSV column ``answer:``, names are separated by ``|``). The
    first name is shown, and the name with the best score counts. A factual row may have ``wordings``, a list of more questions
    about the same fact. A cultural row may have ``templates`` instead of ``question`` and ``explicit``. ``templates`` is a list
    of questions with a slot for the country, such as ``¿Qué se desayuna {in}?`` (see ``steerlens.data.naming``). All rows may
    have ``cloze`` (a statement that ends before its answer), ``tags``, ``difficulty`` (1 to 3) and ``popularity`` (a number).

    The file is read line by line, and only the items are kept in memory. Some rows look wrong but can be used, for example a
    question in another script than the script of its locale. The number of these rows is logged and stored in the ``notes`` of
    the items.

    Args:
        path: the file, in UTF-8. The ending of its name decides the format.
        wordings: the number of questions of a concept that are read. Each question becomes one item. From the second question on,
            the concept's id ends in ``#2``, ``#3`` and so on. Splits, folds and intervals count all questions of a concept as one
            concept.
        cloze: whether the statement in ``cloze`` is also read. The statement becomes an item, and its concept's id ends in
            ``#cloze``.

    Raises:
        FileError: the file does not exist, its name has another ending, or it is not UTF-8.
        DataError: rows contain errors. The message gives the file, line, field, given value and expected value of each error.
    """
    path = Path(path)
    readers = {".jsonl": _jsonl, ".csv": _csv}
    if path.suffix not in readers:
        raise FileError(f"{path} given: expected a file whose name ends in .jsonl or .csv. Rename or convert the file.")
    reader = RowReader(wordings=_wordings(wordings), cloze=cloze)
    readers[path.suffix](reader, path.name, lines_of(path))
    return reader.finish(path.name)


def atlas(
    locales: Iterable[str] | str | None = None,
    *,
    topics: Iterable[str] | None = None,
    sources: Iterable[str] | None = None,
    shared: bool = False,
    wordings: int = 1,
    cloze: bool = False,
    min_votes: int = 0,
) -> Items:
    """Returns the items of the built-in atlas: factual and cultural concepts in every locale, made from open data or written by
    hand.

    Args:
        locales: one locale or several locales. ``all`` and ``None`` take the locales of ``atlas_locales()``. Every locale of
            ``atlas_locales()`` has an answer in the items of the other locales. The locales of ``further_locales()`` must be
            named, for example ``["es-ES", "es-MX"]``. English is always included, because EN pairs need English prompts.
        topics: the topics that are kept, such as ``food``. ``None`` keeps all topics.
        sources: the beginnings of the sources that are kept, such as ``written`` or ``CLDR``. ``None`` keeps all sources.
        shared: whether cultural items are kept if their answer is the same as the English locale's answer. An item with a shared
            answer cannot distinguish local from English-centric answers, so it is left out by default. ``notes`` contains the
            number of items that are left out.
        wordings: the number of questions of a concept, 1 to 3. Each question becomes one item, and the concept's id of the second
            and third item ends in ``#2`` and ``#3``. Splits, folds and intervals count all questions of a concept as one concept.
        cloze: whether a statement that ends before its answer is included. The statement becomes an item, and its concept's id
            ends in ``#cloze``.
        min_votes: the smallest number of people who gave the answer of a cultural item in a survey (``item.evidence``). Cultural
            items with fewer votes are left out. Most items were not in a survey, and 0 keeps all items.

    Raises:
        UnknownNameError: the atlas does not have a locale, topic or source. The message gives the most similar names.
        DataError: fewer than one wording is requested.
    """
    asked = atlas_locales() if locales is None or locales == "all" else (locales,) if isinstance(locales, str) else tuple(locales)
    reader = RowReader(warn=False, wordings=_wordings(wordings), cloze=cloze)  # the atlas has its own checks
    for code in dict.fromkeys((ENGLISH, *asked)):
        base = locale(code).like
        change = further_rows(code) if base else None
        for file in sorted(atlas_folder(base or code).iterdir(), key=lambda file: file.name, reverse=True):
            if file.name.endswith(".jsonl"):
                lines = lines_of(file) if isinstance(file, Path) else file.read_text(encoding="utf-8").split("\n")
                _jsonl(reader, f"{code}/{file.name}", lines, change)
    items = with_evidence(reader.finish("atlas"))
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
    voted = kept.where(lambda item: item.kind == "factual" or _votes(item) >= min_votes) if min_votes else kept
    notes = {"answers shared with English, left out": len(items) - len(kept)}
    return replace(
        voted, notes=notes | ({f"fewer than {min_votes} votes, left out": len(kept) - len(voted)} if min_votes else {})
    )


def _votes(item: Item) -> int:
    return item.evidence.votes if item.evidence else 0


def _wordings(given: int) -> int:
    if given < 1:
        raise DataError(f"{given} wordings given: expected at least one wording.")
    return given


def _jsonl(reader: RowReader, name: str, lines: Iterable[str], change: Callable[[Row], Row | None] | None = None) -> None:
    """Reads the rows after ``change`` was applied to each row. A row is left out if ``change`` returns ``None``."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = parsed(line)
        if isinstance(row, str):
            reader.fault(f"{name}:{number}", "line", row, "one JSON object per line")
        elif (own := change(row) if change else row) is not None:
            reader.read(f"{name}:{number}", own)


def _csv(reader: RowReader, name: str, lines: Iterator[str]) -> None:
    rows = csv.DictReader(lines)
    try:
        given = list(rows.fieldnames or [])
        asked = () if "templates" in given else ("question",)
        missing = [column for column in (*_COLUMNS, *asked) if given and column not in given]
        if missing:
            listed = f"missing; the columns are {', '.join(map(repr, given))}"
            reader.fault(f"{name}:1", ", ".join(missing), listed, f"a header with {', '.join(_COLUMNS)}")
            return
        for row in rows:
            place = f"{name}:{rows.line_num}"
            if None in row:
                expected = "as many cells as columns; put texts with commas into double quotes"
                reader.fault(place, "line", "more cells than the header has", expected)
            else:
                reader.read(place, _from_cells(row))
    except csv.Error as error:
        reader.fault(f"{name}:{rows.line_num + 1}", "line", f"not CSV ({error})", "comma-separated cells")


def _from_cells(cells: dict[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {name: cell for name, cell in cells.items() if not name.startswith(_ANSWER_COLUMN) and cell}
    row |= {name: row[name].split("|") for name in _LISTS if name in row}
    row |= {name: _number(row[name]) for name in _NUMBERS if name in row}
    answers = {
        name.removeprefix(_ANSWER_COLUMN): cell.split("|") if "|" in cell else cell
        for name, cell in cells.items()
        if name.startswith(_ANSWER_COLUMN) and cell
    }
    return {**row, "answers": answers} if answers else row


def _number(cell: str) -> float | str:
    """Returns the cell as a number. If the cell is not a number, returns the unchanged cell, and the reader then reports an
    error."""
    try:
        number = float(cell)
    except ValueError:
        return cell
    return int(number) if number.is_integer() else number
