"""Makes the rows of an additional country, such as Mexico, from the rows of an atlas locale with the same language. The country
has its own answers and words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steerlens.data.locales import atlas_folder
from steerlens.errors import DataError, FileError
from steerlens.storage import is_parsed, json_value

Row = dict[str, Any]
_FILE = "own.json"
_BY = {"answers": "an answer for each concept", "words": "a text for each word", "wordings": "an object for each concept"}
_TEXTS, _LISTS = ("question", "cloze", "answer"), ("wordings", "templates", "choices")


@dataclass(frozen=True)
class Own:
    """The answers and words of a country, from its file ``own.json``."""

    answers: Mapping[str, str | list[str]]
    """The country's answers by concept. A cultural concept without an answer is left out."""
    words: Mapping[str, str] = field(default_factory=dict)
    """The words that the country writes differently, for example ``color``: ``colour``."""
    wordings: Mapping[str, Row] = field(default_factory=dict)
    """The fields ``templates`` and ``cloze`` of a row, by concept, for rows in which replacing words is not enough."""


def _own(code: str) -> Own:
    """Returns the answers and words of a further locale.

    Raises:
        FileError: the file ``own.json`` does not exist or is not JSON.
        DataError: the file lacks answers, or has other fields.
    """
    file = atlas_folder(code).joinpath(_FILE)
    try:
        given = json_value(file.read_bytes())
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {file}: {error}. Expected JSON with the answers of {code} by concept.") from error
    known = {"answers": dict[str, Any], "words": dict[str, str], "wordings": dict[str, dict[str, Any]]}
    if not isinstance(given, dict) or "answers" not in given or not given.keys() <= known.keys():
        said = f"the fields {', '.join(given)}" if isinstance(given, dict) else f"a {type(given).__name__}"
        raise DataError(
            f"{file} contains {said:.200}. Expected an object with the field answers and optionally words and wordings."
        )
    for name, value in given.items():
        if not is_parsed(value, known[name]):
            raise DataError(f"{file}: field {name!r} contains {value!r:.80}. Expected an object with {_BY[name]}.")
    return Own(**given)


def further_rows(code: str) -> Callable[[Row], Row | None]:
    """Returns a function that turns a row of an atlas locale into a row of a further locale with the same language. The function
    returns ``None`` for a cultural concept to which the further locale has no answer.

    If an answer of another locale has several names, only the first name is kept. The other names are often also used in the
    country of the further locale.

    Args:
        code: a further locale whose field ``like`` names a locale of the atlas.

    Raises:
        FileError: the locale has no ``own.json``, or the file is not JSON.
        DataError: the file lacks answers, or has other fields.
    """
    own = _own(code)
    word = (
        re.compile(rf"(?<!\w)({'|'.join(sorted(map(re.escape, own.words), key=len, reverse=True))})(?!\w)") if own.words else None
    )

    def said(text: Any) -> Any:
        if isinstance(text, list):  # names that are equally correct
            return list(map(said, text))
        return word.sub(lambda found: own.words[found[1]], text) if word else text

    def changed(row: Row) -> Row | None:
        try:
            return own_row(row)
        except (KeyError, TypeError, AttributeError, IndexError):
            return {**row, "locale": code}  # the row has another form, and the reader reports the error

    def own_row(row: Row) -> Row | None:
        cultural = row["kind"] == "cultural"
        if cultural and row["concept"] not in own.answers:
            return None
        new = {**row, **{name: said(row[name]) for name in _TEXTS if name in row}}
        new |= {name: said(row[name]) for name in _LISTS if name in row}
        new["locale"] = code
        if cultural:
            new |= own.wordings.get(row["concept"], {})
            new["source"] = "written, unvalidated"
            others = {owner: said(names if isinstance(names, str) else names[0]) for owner, names in row["answers"].items()}
            new["answers"] = {**others, code: own.answers[row["concept"]]}
        return new

    return changed
