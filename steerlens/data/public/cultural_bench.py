"""Loads CulturalBench: questions about the everyday culture of 45 countries, which are in English and name the country."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from steerlens.data.items import Item, Items
from steerlens.data.locales import ENGLISH
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import need_columns, rows, source_of
from steerlens.data.public.languages import chosen
from steerlens.data.public.mapping import Columns, gather
from steerlens.errors import UnknownNameError

_NAME = "cultural-bench"
_TRUE = dict.fromkeys(("true", "1", "1.0"), 0) | dict.fromkeys(("false", "0", "0.0"), 1)


def cultural_bench(
    locales: Iterable[str] = (ENGLISH,),
    *,
    level: Literal["easy", "hard"] = "easy",
    split: str = "test",
    revision: str | None = None,
    path: str | Path | None = None,
) -> Items:
    """Returns the items of CulturalBench (arXiv 2410.02677).

    The questions name their country, so each question has one right answer in every locale. The items are therefore factual, with
    the country as their topic.

    Args:
        locales: the English locale. The data set has no other language.
        level: the form of the questions. An ``easy`` question has four choices. A ``hard`` question becomes four items, and each
            item asks whether one choice is true or false. The id of a hard concept is ``question#n``, so the four items go to the
            same part of a split. The data set's own score counts a hard question as right only if all four items are right.
        split: the data set's split. The data set has only ``test``.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, or an answer is not among the choices.
        UnknownNameError: one of the given locales, or the level, is not in the data set.
    """
    chosen(locales, {ENGLISH: ENGLISH}, _NAME)
    if level not in ("easy", "hard"):
        raise UnknownNameError("level", level, ("easy", "hard"))
    gathering, source = Gathering(f"{_NAME}-{level}"), source_of(_NAME, revision, path)
    if level == "hard":
        _hard(gathering, source, split)
        return gathering.finish()
    options = tuple(f"prompt_option_{letter}" for letter in "abcd")
    columns = Columns("prompt_question", options, "answer", "question_idx", "country", answers="letter")
    gather(gathering, source, "CulturalBench-Easy", split, ENGLISH, columns, _with_country)
    return gathering.finish()


def _with_country(row: dict[str, Any], item: Item) -> Item:
    return replace(item, tags=(f"country:{row['country']}",))


def _hard(gathering: Gathering, source: Any, split: str) -> None:
    seen: dict[str, int] = {}
    for number, (place, row) in enumerate(rows(source, "CulturalBench-Hard", split)):
        if number == 0:
            need_columns(place, row, ("question_idx", "prompt_question", "prompt_option", "answer", "country"))
        index, given = str(row["question_idx"]), row["answer"]
        answer = _TRUE.get(str(given).lower())
        if answer is None:
            gathering.reader.fault(place, "answer", f"{given!r} given", "true or false")
            continue
        seen[index] = seen.get(index, 0) + 1
        question = f"{str(row['prompt_question']).strip()}\n{str(row['prompt_option']).strip()}\nTrue or false?"
        country = str(row["country"])
        tags = (f"country:{country}", f"question:{index}")
        gathering.add(
            place,
            Item(
                f"{index}#{seen[index]}",
                "factual",
                ENGLISH,
                question,
                ("True", "False"),
                answer,
                topic=country,
                tags=tags,
                source=source.origin,
            ),
        )
