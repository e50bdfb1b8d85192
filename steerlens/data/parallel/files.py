"""Reads and writes parallel texts in JSON Lines. A file is written completely or not at all, and an error in reading names every
bad line."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from steerlens.data.lines import lines_of, parsed
from steerlens.data.locales import known_locales
from steerlens.data.parallel.texts import ParallelText
from steerlens.data.rows import RowReader
from steerlens.storage import write_atomically

_MAPPINGS = ("texts", "answers")
_DEFAULTS: dict[str, Any] = {"answers": {}, "source": "", "license": "", "concept": ""}
"""The optional fields of a line, with the value of a field that is missing."""
_NAMES = tuple(one.name for one in fields(ParallelText))


def line_of(row: ParallelText) -> str:
    """Returns the JSON text of a row, without a line break at the end."""
    return json.dumps(asdict(row), ensure_ascii=False)


def write_rows(path: str | Path, rows: Iterable[ParallelText]) -> Path:
    """Writes one row per line.

    Raises:
        FileError: the file cannot be written.
    """

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line_of(row)}\n" for row in rows)

    return write_atomically(path, write)


def read_rows(path: str | Path) -> tuple[ParallelText, ...]:
    """Returns the rows of a file. Empty lines are skipped.

    Raises:
        FileError: the file does not exist or is not UTF-8.
        DataError: there are no rows, or lines contain errors. The message gives the file, line, field, given value and expected
            value of each error.
    """
    path, reader, seen = Path(path), RowReader(), dict[str, str]()
    rows, known = [], frozenset(known_locales())
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        place = f"{path.name}:{number}"
        given = parsed(line)
        if isinstance(given, str):
            reader.fault(place, "line", given, "one JSON object per line")
            continue
        before = len(reader.faults) + reader.more_faults
        _check(reader, place, given, known)
        key = given.get("key")
        if isinstance(key, str) and seen.setdefault(key, place) != place:
            reader.fault(place, "key", f"{key!r} is already at {seen[key]}", "each key once")
        if len(reader.faults) + reader.more_faults == before:
            rows.append(ParallelText(**given))
    if not rows or reader.faults:
        reader.finish(path.name)  # raises an error that lists every fault
    return tuple(rows)


def _check(reader: RowReader, place: str, row: Mapping[str, Any], known: frozenset[str]) -> None:
    """Records the faults in the fields of a row."""
    for name in (name for name in row if name not in _NAMES):
        reader.fault(place, name, "a field that no row has", f"fields among {', '.join(_NAMES)}")
    for name in _NAMES:
        value = row.get(name, _DEFAULTS.get(name))
        if name in _MAPPINGS:
            _check_texts(reader, place, name, value, known)
        elif not isinstance(value, str) or (not value and name not in _DEFAULTS):
            reader.fault(place, name, "missing" if value is None else f"{value!r:.60} given", "a text")
    texts, answers = row.get("texts"), row.get("answers")
    if isinstance(texts, dict) and isinstance(answers, dict):
        for code in (code for code in answers if code not in texts):
            reader.fault(place, "answers", f"an answer in {code}", "a text in the same locale")


def _check_texts(reader: RowReader, place: str, name: str, value: Any, known: frozenset[str]) -> None:
    """Records the faults in a field that contains texts by locale. The field with the answers may be missing."""
    if not isinstance(value, dict) or (not value and name not in _DEFAULTS):
        reader.fault(place, name, "missing" if value is None else f"{value!r:.60} given", "a text by the code of its locale")
        return
    for code, text in value.items():
        if code not in known:
            reader.fault(place, name, f"locale {code!r} given", "a known locale, such as es-ES (data.known_locales() lists them)")
        if not isinstance(text, str) or not text or text != text.strip():
            reader.fault(place, name, f"{text!r:.60} in {code}", "a text without outer white space")
