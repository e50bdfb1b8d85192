"""BLEnD's multiple-choice questions: asked in English, with the country named."""

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
"""The text in a prompt at which the question ends and the form of the answer begins."""


def blend_choices(
    locales: Iterable[str],
    *,
    per_question: int = 1,
    seed: int = 0,
    split: str = "test",
    revision: str | None = None,
    path: str | Path | None = None,
) -> Items:
    """Returns BLEnD's multiple-choice questions about the countries of some locales (arXiv 2406.09948).

    All questions are in English and name their country, so that each has one right answer. The items are therefore factual, in
    US English, with the country as their topic. A concept is ``country/question#n``, so that all sets of choices of one
    question stay on the same side of a split. A set is not drawn if one of its wrong choices is the answer of another set of
    the same question.

    Args:
        locales: the locales, or the data set's countries (``South_Korea``), that are asked about.
        per_question: how many of each question's many sets of choices are drawn.
        seed: the seed of this draw.
        split: the data set's split, ``test``.
        revision: a commit hash; ``None`` reads the current version on the hub.
        path: a local folder that is read in place of the hub.

    Raises:
        FileError: the data set cannot be read; without network, give ``path``.
        DataError: the data set lacks a column, or an answer is not among the choices.
        SettingsError: ``per_question`` is not positive.
        UnknownNameError: the data set does not have a locale.
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
    """For each set of choices of a question, whether it is clear: none of its wrong choices is the answer of another set."""
    texts = [{letter: same_text(str(text)) for letter, text in (_lettered(row) or {}).items()} for row in rows]
    own = [lettered.get(str(row["answer_idx"])) for lettered, row in zip(texts, rows, strict=True)]
    right = set(filter(None, own))
    return [not (right - {answer}) & set(lettered.values()) for lettered, answer in zip(texts, own, strict=True)]


def _lettered(row: dict[str, Any]) -> dict[str, Any] | None:
    """The choices by letter, or ``None`` if they are not a JSON object."""
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
