"""Defines the targets for the user's own items, locales and parallel texts."""

import csv
import io
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from steerlens.testing.fuzz.target import Target, right, write_json, write_lines

Rows = Sequence[Mapping[str, Any]]
_ITEMS: Rows = (
    *(
        {
            "concept": f"c{n}",
            "kind": "factual",
            "locale": code,
            "question": f"{code} {n}?",
            "choices": ["a", ["b", "bb"]],
            "answer": "b",
        }
        for n in range(3)
        for code in ("en-US", "es-ES")
    ),
    {
        **{
            "concept": "d",
            "kind": "cultural",
            "locale": "es-ES",
            "question": "¿Qué?",
            "explicit": "¿Qué, en España?",
            "topic": "t",
        },
        **{"answers": {"en-US": "x", "es-ES": ["y", "yy"]}, "tags": ["u"], "difficulty": 2, "popularity": 3.5, "cloze": "Es"},
    },
    {
        **{"concept": "e", "kind": "cultural", "locale": "es-ES", "templates": ["¿Qué se come {in}?", "{front} ¿qué se bebe?"]},
        "answers": {"en-US": "x", "es-ES": "y"},
    },
)


def items_write(folder: Path) -> None:
    """Writes items as JSON Lines."""
    write_lines(folder / "items.jsonl", _ITEMS)


def _csv_write(folder: Path) -> None:
    header = [
        "concept",
        "kind",
        "locale",
        "question",
        "choices",
        "answer",
        "explicit",
        "answer:en-US",
        "answer:es-ES",
        "difficulty",
    ]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(header)
    for n in range(3):
        rows.writerow([f"c{n}", "factual", "en-US", f"Q, {n}?", "a|b", "a", "", "", "", 1])
    rows.writerow(["d", "cultural", "es-ES", "¿Qué?", "", "", "¿Qué, en España?", "x", "y|yy", ""])
    (folder / "items.csv").write_text(text.getvalue(), encoding="utf-8")


def _items_load(name: str, folder: Path) -> None:
    from steerlens.data import load_items

    sound(load_items(folder / name, wordings=2, cloze=True))


def sound(items: Any) -> None:
    """Raises an error for items that no loader may return.

    Args:
        items: the result of a loader.
    """
    from steerlens.data import check, known_locales

    known = set(known_locales())
    for item in items:
        right(
            item.locale in known and bool(item.concept) and bool(item.question), f"{item} without a locale, concept or question"
        )
        right(
            0 <= item.answer < len(item.choices) and all(isinstance(own, str) for own in item.choices),
            f"{item}: an unknown answer, or a choice that is not a text",
        )
        right(
            type(item.difficulty) is int and item.popularity in (None, item.popularity),
            f"{item}: a difficulty or popularity that is not a number",
        )
        item.prompt()
    right(len(items.digest()) == 64 and len(repr(items)) > 0, "no digest")
    items.to_frame()
    check(items)


def texts_sound(corpus: Any) -> None:
    """Raises an error for parallel texts that no loader may return.

    Args:
        corpus: the result of a loader.
    """
    from steerlens.data.parallel import ParallelCorpus

    again = Path("again.jsonl")
    try:
        corpus.save(again)
        right(ParallelCorpus.load(again).digest() == corpus.digest(), "different texts after they are saved and loaded again")
    finally:
        again.unlink(missing_ok=True)
    corpus.counts()


def corpus_write(folder: Path) -> None:
    """Writes parallel texts."""
    texts = {"en-US": "One.", "es-ES": "Uno."}
    own = {"texts": texts, "answers": {"es-ES": "Sí"}, "source": "s", "license": "MIT", "concept": "c"}
    write_lines(folder / "texts.jsonl", [{"key": f"k{n}", **own} for n in range(3)])


def _corpus_load(folder: Path) -> None:
    from steerlens.data.parallel import ParallelCorpus

    texts_sound(ParallelCorpus.load(folder / "texts.jsonl"))


_COUNTRY = {"name": "Perú", "in": "en Perú", "of": "de Perú", "front": "En Perú,"}
_LOCALE = {
    "code": "es-PE",
    "language": "Spanish",
    "country": "Peru",
    "question": "Pregunta:",
    "answer": "Respuesta:",
    "choose": "Di.",
}


def _locale_write(folder: Path) -> None:
    more = {"own_country": "Perú", "names": "Perú|peruan", "capitals": "Lima", "here": {"in": "aquí"}, "open_data": {"x": 1}}
    write_json(folder / "locale.json", {**_LOCALE, "space": " ", "script": "Latn", **more, "countries": {"es-PE": _COUNTRY}})
    own = {"kind": "cultural", "locale": "es-PE", "templates": ["¿Qué se come {in}?"], "answers": {"en-US": "x", "es-PE": "y"}}
    write_lines(folder / "written.jsonl", [{"concept": "food-breakfast", **own}])


def _further_write(folder: Path) -> None:
    write_json(folder / "locale.json", {"code": "es-PE", "like": "es-ES", "country": "Peru", "countries": {"es-PE": _COUNTRY}})
    wording = {"food-breakfast": {"templates": ["¿Qué se desayuna {in}?"]}}
    write_json(
        folder / "own.json", {"answers": {"food-breakfast": ["Pan", "Chicha"]}, "words": {"jugo": "zumo"}, "wordings": wording}
    )


def _locale_load(folder: Path) -> None:
    """Adds a locale and reads its items. The known locales are restored afterwards."""
    from steerlens.data import add_locale, atlas, known_locales, locales

    known: tuple[dict[str, Any], ...] = (locales._locales(), locales._folders(), locales._further())
    before = [dict(own) for own in known]
    try:
        added = add_locale(folder)
        right(added.code in known_locales(), "a locale that is not known")
        added.prompt("Q?")
        if (folder / "written.jsonl").exists() or (folder / "own.json").exists():
            sound(atlas([added.code], topics=None).where(lambda item: item.locale == added.code).sample(20))
    finally:
        for own, kept in zip(known, before, strict=True):
            own.clear()
            own.update(kept)


ITEMS = (
    Target("items-jsonl", items_write, partial(_items_load, "items.jsonl"), 80),
    Target("items-csv", _csv_write, partial(_items_load, "items.csv"), 60),
    Target("locale", _locale_write, _locale_load, 20),
    Target("further-locale", _further_write, _locale_load, 8),
    Target("parallel", corpus_write, _corpus_load, 60),
)
"""The targets for the user's own items, locales and parallel texts."""
