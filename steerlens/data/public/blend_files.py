"""Reads the annotations of BLEnD in the file format of its repository. An annotation is an answer, with its words and the number
of people who gave it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steerlens.data.lines import lines_of, parsed
from steerlens.data.public.hub import Source, offline_if_unreachable
from steerlens.data.public.implicit import capital
from steerlens.errors import DataError, FileError
from steerlens.storage import json_value

_FIELDS = ("question", "annotations", "idks")
_NO_ANSWER = ("wrong answer", "n/a", "none", "idk")
"""The texts that some files list as words of an answer, although they are not an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that people gave, with its words in their language and in English, and the number of people."""

    own: tuple[str, ...]
    english: tuple[str, ...]
    votes: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One question as it was asked in one country, with the answers."""

    id: str
    question: str
    answers: tuple[Answer, ...]
    """The answers, with the most frequent answer first."""
    left_out: bool
    """Whether the scorer of the data set leaves the question out, because too many people or all people gave no answer."""


def folder_of(source: Source) -> Path:
    """Returns the local folder with the data set's files, which are downloaded from the hub if necessary.

    Raises:
        FileError: the hub cannot be reached and the files are not cached.
    """
    if source.path is not None:
        return Path(source.path)
    from huggingface_hub import snapshot_download

    try:
        with offline_if_unreachable():
            patterns = ["*_data.json", "*_questions.csv"]
            found = snapshot_download(source.id, repo_type="dataset", revision=source.revision, allow_patterns=patterns)
    except Exception as error:  # five libraries raise many kinds of errors
        raise FileError(
            f"cannot read {source.id} (revision {source.revision!r}) from the Hugging Face hub: {error}. Without a network, "
            "download the data set on another machine (git clone https://github.com/nlee0212/BLEnD) and give path='FOLDER'."
        ) from error
    return Path(found)


def annotations(root: Path, country: str, *, dotted: bool = False) -> dict[str, Asked]:
    """Returns the answers of the people of a country, by the id of the question. Each answer gets a capital first letter, because
    some people write the answer with a capital letter and other people do not. With ``dotted``, the capital letter of i is İ.

    Raises:
        FileError: the folder has no file for the country.
        DataError: the file does not have the format of the data set.
    """
    name = f"{country}_data.json"
    found = [root] if root.name == name else sorted(root.rglob(name))
    if not found:
        raise FileError(f"no {name} in {root}: expected the annotations of BLEnD, one file for each country.")
    rows = _rows(found[0])
    return {id: _asked(f"{name}: {id}", id, row, dotted=dotted) for id, row in rows.items()}


def topics(root: Path) -> dict[str, str]:
    """Returns the topic of each question, by the id of the question. Topics are read from the short-answer questions if their
    files are next to the annotations."""
    for file in sorted(root.parent.rglob("*_questions.csv") if root.is_file() else root.rglob("*_questions.csv")):
        rows = csv.DictReader(lines_of(file))
        try:
            if {"ID", "Topic"} <= set(rows.fieldnames or ()):
                return {row["ID"]: row["Topic"] or "" for row in rows}
        except csv.Error as error:
            raise DataError(f"{file} is not CSV ({error}): expected BLEnD's short-answer questions.") from error
    return {}


def _rows(file: Path) -> dict[str, Mapping[str, Any]]:
    """Returns the rows of a file by id. The file contains an object whose keys are the ids, a list of rows, or one row per
    line."""
    text = "".join(lines_of(file))
    try:
        content = json_value(text)
    except ValueError as error:
        lines = [parsed(line) for line in text.split("\n") if line.strip()]
        if not lines or any(isinstance(line, str) for line in lines):
            raise DataError(f"{file} is not JSON ({error}): expected an object keyed by question id.") from error
        content = lines
    if isinstance(content, dict) and not set(_FIELDS) <= content.keys():
        rows = content
    else:
        listed = content if isinstance(content, list) else [content]
        rows = {str(row.get("ID")): row for row in listed if isinstance(row, dict)}
        if len(rows) < len(listed) or "None" in rows:
            raise DataError(
                f"{file}: {len(listed) - len(rows)} ids are missing or given twice; expected a different ID in every row."
            )
    if not rows:
        raise DataError(f"{file} is empty: expected an object keyed by question id.")
    return rows


def _asked(place: str, id: str, row: Mapping[str, Any], *, dotted: bool) -> Asked:
    missing = [name for name in _FIELDS if not isinstance(row, Mapping) or name not in row]
    if missing:
        given = ", ".join(row) if isinstance(row, Mapping) else type(row).__name__
        raise DataError(f"{place}: no {', '.join(missing)}; given {given}; expected {', '.join(_FIELDS)}.")
    try:
        answers, unsure = _answers(row["annotations"], dotted=dotted), _counts(row["idks"])
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{place}: the field annotations or the field idks has another form ({error!s:.200}); expected annotations as a "
            "list of answers, each with answers and en_answers (lists of texts) and a count, and idks as numbers by reason."
        ) from error
    left_out = unsure.get("no-answer", 0) + unsure.get("not-applicable", 0) >= 3 or unsure.get("idk", 0) >= 5 or not answers
    question = " ".join(str(row["question"] or "").split())
    return Asked(id, question, tuple(sorted(answers, key=lambda answer: -answer.votes)), left_out)


def _answers(annotations: Any, *, dotted: bool) -> list[Answer]:
    return [
        Answer(
            tuple(capital(text, dotted=dotted) for text in _texts(answer.get("answers"))),
            _texts(answer.get("en_answers")),
            int(answer.get("count") or 0),
        )
        for answer in annotations or ()
    ]


def _counts(idks: Any) -> dict[str, int]:
    return {name: int(count or 0) for name, count in (idks or {}).items()}


def _clean(text: str) -> str:
    """Returns the text on one line, without the full stop that some people write after a phrase. A full stop would make one
    choice look different from the other choices."""
    text = " ".join(text.split())
    return text[:-1] if text.count(".") == 1 and text.endswith(".") else text


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError(f"{value!r:.80} is one text")
    texts = (_clean(str(text)) for text in value or () if text is not None)
    return tuple(dict.fromkeys(text for text in texts if text and text.casefold() not in _NO_ANSWER))
