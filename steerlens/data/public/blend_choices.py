"""Loads the multiple-choice questions of BLEnD, which are in English and name the country."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from steerlens.data.items import Item, Items
from steerlens.data.locales import ENGLISH
from steerlens.data.public.blend_countries import COUNTRIES
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import need_columns, rows, source_of
from steerlens.data.public.implicit import capital
from steerlens.data.public.languages import chosen
from steerlens.data.rows import same_text
from steerlens.errors import SettingsError
from steerlens.storage import json_value

_COLUMNS = ("MCQID", "ID", "country", "prompt", "choices", "answer_idx")
_INSTRUCTION = " Without any explanation"
"""The text in a prompt at which the question ends and the instruction on the form of the answer begins."""


def blend_choices(
    locales: Iterable[str],
    *,
    per_question: int = 1,
    seed: int = 0,
    split: str = "test",
    revision: str | None = None,
    path: str | Path | None = None,
) -> Items:
    """Returns the multiple-choice questions of BLEnD (arXiv 2406.09948) about the countries of the given locales.

    All questions are in English and name their country, so each question has one right answer. The items are therefore factual,
    in US English, with the country as their topic. The id of a concept is ``country/question#n``, so all sets of choices of a
    question go to the same part of a split. A set of choices is not drawn if one of its wrong choices is the answer of another
    set of the same question.

    Args:
        locales: locales, or countries of the data set (``South_Korea``). Only questions about these countries are read.
        per_question: the number of sets of choices that are drawn for each question.
        seed: the seed with which sets of choices are drawn.
        split: the data set's split. The data set has only ``test``.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, or an answer is not among the choices.
        SettingsError: ``per_question`` is below 1.
        UnknownNameError: one of the given locales is not in the data set.
    """
    if per_question < 1:
        raise SettingsError(f"per_question={per_question} given: expected at least 1.")
    have = {locale: country.file for locale, country in COUNTRIES.items()}
    countries = set(chosen(locales, have, "BLEnD", english=False).values())
    gathering, source = Gathering("blend-choices"), source_of("blend", revision, path)
    found: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
    for number, (place, row) in enumerate(rows(source, "multiple-choice-questions", split)):
        if number == 0:
            need_columns(place, row, _COLUMNS)
        if str(row["country"]) in countries:
            found.setdefault((str(row["country"]), str(row["ID"])), []).append((place, row))
    for (country, id), sets in found.items():
        clear = _clear([row for _, row in sets])
        usable = [one for one, good in zip(sets, clear, strict=True) if good]
        if not usable:
            gathering.drop(ENGLISH, "another right answer among the choices")
        for place, row in random.Random(f"{seed}/{country}/{id}").sample(usable, min(per_question, len(usable))):
            _add(gathering, place, row, source.origin)
    return gathering.finish()


def _clear(rows: Sequence[dict[str, Any]]) -> list[bool]:
    """Returns, for each set of choices of a question, whether none of its wrong choices is the answer of another set."""
    texts = [{letter: same_text(str(text)) for letter, text in (_lettered(row) or {}).items()} for row in rows]
    own = [lettered.get(str(row["answer_idx"])) for lettered, row in zip(texts, rows, strict=True)]
    right = set(filter(None, own))
    return [not (right - {answer}) & set(lettered.values()) for lettered, answer in zip(texts, own, strict=True)]


def _lettered(row: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the choices by letter, or ``None`` if the choices are not a JSON object."""
    try:
        lettered = json_value(row["choices"]) if isinstance(row["choices"], str) else row["choices"]
    except ValueError:
        return None
    return lettered if isinstance(lettered, dict) else None


def _add(gathering: Gathering, place: str, row: dict[str, Any], origin: str) -> None:
    lettered = _lettered(row)
    if lettered is None:
        gathering.reader.fault(place, "choices", f"{row['choices']!r} given", "a JSON object of texts by letter")
        return
    letters = [letter for letter, text in lettered.items() if text]
    if row["answer_idx"] not in letters:
        gathering.reader.fault(place, "answer_idx", f"{row['answer_idx']!r} given", f"one of {', '.join(letters)}")
        return
    country = str(row["country"])
    gathering.add(
        place,
        Item(
            f"{country}/{row['ID']}#{str(row['MCQID']).removeprefix(str(row['ID'])).strip('_')}",
            "factual",
            ENGLISH,
            str(row["prompt"]).split(_INSTRUCTION)[0].replace(country, country.replace("_", " ")).strip(),
            tuple(capital(str(lettered[letter]).strip()) for letter in letters),
            letters.index(row["answer_idx"]),
            topic=country,
            tags=(f"country:{country}", f"question:{row['ID']}"),
            source=origin,
        ),
    )
