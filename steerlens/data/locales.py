"""Locales: a language, together with the culture that is implied by a question in it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_type_hints

from steerlens.errors import DataError, FileError, UnknownNameError
from steerlens.storage import is_parsed, json_value

ENGLISH = "en-US"
"""The locale from which transfer starts and to which English-centric answers belong."""
_FILE = "locale.json"
_CODE = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*")
_EXPECTED = {"here": "texts by the name of their slot", "countries": "texts by the name of their slot, by the code of a locale"}
"""A description of the form of the fields that are not texts."""


@dataclass(frozen=True)
class Locale:
    """The texts with which questions are asked in one locale."""

    code: str
    """BCP 47 code, for example ``es-ES``."""
    language: str
    """English name of the language."""
    country: str
    """English name of the country whose everyday life the locale represents."""
    question: str
    """The word for "Question", with its colon."""
    answer: str
    """The word for "Answer", with its colon."""
    choose: str
    """The instruction of the letter format: answer with one letter."""
    space: str = " "
    """The text between the prompt and its answer. Chinese has none after a full-width colon."""
    script: str = "Latn"
    """ISO 15924 code of the script that its texts are written in."""
    own_country: str = ""
    """Regular expression of the country's name in the language. An explicit prompt must contain it."""
    names: str = ""
    """Regular expression of names that neither an implicit prompt nor a choice may contain: the countries of all locales, their
    peoples and languages."""
    capitals: str = ""
    """Regular expression of the countries' capitals, which an implicit prompt may not contain either."""
    here: Mapping[str, str] = field(default_factory=dict)
    """The texts of the country slots if no country is named but the question needs one: ``in``, ``of`` and ``front``, for
    example ``en este país``."""
    countries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The names of the countries of all locales in the language, by the locale's code: the ``name``, and the forms for ``in``
    (``en España``), ``of`` (``de España``) and ``front`` (``En España,``)."""
    like: str = ""
    """The code of the locale of the atlas with the same language and questions, for example ``es-ES`` for ``es-MX``; empty for
    a locale with texts of its own."""

    def prompt(self, question: str) -> str:
        """Returns the open prompt: question and answer cue. It ends without white space, because the space belongs to the answer.

        Args:
            question: the question in the locale's language, implicit or explicit.
        """
        return f"{self.question}{self.space}{question}\n{self.answer}"


@cache
def _folders() -> dict[str, Traversable]:
    """The folder of each locale in which the atlas has items, by code."""
    return _folders_in("atlas")


@cache
def _further() -> dict[str, Traversable]:
    """The folder of each further locale, by code."""
    return _folders_in("further")


def _folders_in(name: str) -> dict[str, Traversable]:
    folders = resources.files("steerlens.data").joinpath(name).iterdir()
    return {folder.name: folder for folder in folders if folder.joinpath(_FILE).is_file()}


@cache
def _locales() -> dict[str, Locale]:
    """All known locales: those of the atlas, the languages of public data sets, and the user's own."""
    more = resources.files("steerlens.data").joinpath("languages.json")
    found = [Locale(**given) for given in json.loads(more.read_text(encoding="utf-8"))]
    found += [_read(folder) for folder in (*_folders().values(), *_further().values())]
    return {new.code: new for new in found}


def _read(folder: Traversable) -> Locale:
    """The locale of a folder of the atlas.

    Raises:
        FileError: the folder has no ``locale.json``, or the file is not JSON.
        DataError: fields are missing, or there are unknown fields.
        UnknownNameError: the locale is ``like`` a locale that the atlas does not have.
    """
    given, hints = _fields_of(folder), get_type_hints(Locale)
    known = {own.name: own.default is MISSING and own.default_factory is MISSING for own in fields(Locale)}
    for name, value in given.items():
        if name in known and not is_parsed(value, hints[name]):
            expected = _EXPECTED.get(name, "a text")
            raise DataError(f"{_FILE} in {folder}: field {name!r} contains {value!r:.80}; expected {expected}.")
    if like := given.get("like"):
        if like not in _folders():
            raise UnknownNameError(f"locale that {folder.name} is like", like, _ordered(_folders()))
        base = _fields_of(_folders()[like])
        given = {**base, **given, "countries": {**base.get("countries", {}), **given.get("countries", {})}}
    lacking, other = [name for name, needed in known.items() if needed and name not in given], [*given.keys() - known.keys()]
    if lacking or other:
        raise DataError(
            f"{_FILE} in {folder} lacks the fields {lacking} and has the unknown fields {other}: expected only these fields: "
            f"{', '.join(known)}."
        )
    return Locale(**given)


def _fields_of(folder: Traversable) -> dict[str, Any]:
    """The fields of a locale in its file, except those that are looked up in open data.

    Raises:
        FileError: there is no file, or it is not JSON.
    """
    try:
        given: dict[str, Any] = json_value(folder.joinpath(_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {_FILE} in {folder}: {error}. Expected JSON with the fields of a Locale.") from error
    if not isinstance(given, dict):
        raise FileError(f"{_FILE} in {folder} contains a {type(given).__name__}: expected an object with the fields of a Locale.")
    given.pop("open_data", None)
    return given


def _check(made: Locale) -> None:
    """Refuses values that no later use of a locale could handle.

    Raises:
        DataError: the code is not a BCP 47 code, or a regular expression is not valid.
    """
    if not _CODE.fullmatch(made.code):
        raise DataError(f"code {made.code!r:.80} given for a locale: expected a BCP 47 code, such as es-PE.")
    for name in ("own_country", "names", "capitals"):
        try:
            re.compile(getattr(made, name))
        except (re.error, RecursionError, OverflowError) as error:
            raise DataError(
                f"{name} of {made.code} is not a valid regular expression ({error}): expected one such as Perú|peruan."
            ) from error


def _ordered(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(codes, key=lambda code: (code != ENGLISH, code)))


def atlas_locales() -> tuple[str, ...]:
    """Returns the codes of the locales that are parallel in the atlas, English first. Each of them owns an answer in all of
    them."""
    return _ordered(_folders())


def further_locales() -> tuple[str, ...]:
    """Returns the codes of the atlas's further locales: countries that share a language with another locale, for example
    ``es-MX``, and languages that were added later. Their answers are among the choices of their own items only."""
    return tuple(sorted(_further()))


def atlas_folder(code: str) -> Traversable:
    """The folder of a locale of the atlas.

    Raises:
        UnknownNameError: the atlas does not have it; the error offers the nearest codes.
    """
    folders = {**_further(), **_folders()}
    if code not in folders:
        raise UnknownNameError("locale", code, (*atlas_locales(), *further_locales()), "These are the locales of the atlas.")
    return folders[code]


def known_locales() -> tuple[str, ...]:
    """Returns the codes of the locales in which prompts can be written, English first."""
    return _ordered(_locales())


def locale(code: str) -> Locale:
    """Returns the locale with a code.

    Args:
        code: a BCP 47 code such as ``es-ES``: one of ``known_locales()``.

    Raises:
        UnknownNameError: there is no such locale; the error offers the nearest codes.
    """
    if code not in _locales():
        raise UnknownNameError("locale", code, known_locales(), "Add your own with steerlens.data.add_locale.")
    return _locales()[code]


def next_question(prompt: str) -> tuple[str, ...]:
    """Returns the texts at which a text written after a prompt begins a new question, for example ``"\\nPregunta:"``.

    A base model that has answered a question continues with another one. Its answer ends at these texts.

    Args:
        prompt: the text that is continued.

    Returns:
        A newline and the word for "Question", for every known locale whose word begins a line of the prompt; empty for a prompt
        in another form.
    """
    words = dict.fromkeys(own.question for own in _locales().values() if own.question)
    return tuple(f"\n{word}" for word in words if f"\n{word}" in f"\n{prompt}")


def asks_in_english(code: str) -> bool:
    """Returns whether a locale's language is English. An unknown locale counts as not English."""
    return code in _locales() and _locales()[code].language == _locales()[ENGLISH].language


def add_locale(new: Locale | str | Path) -> Locale:
    """Registers your own locale for this process, or replaces a built-in one.

    Args:
        new: the locale; or a folder like those of the atlas, with a ``locale.json`` and ``.jsonl`` files of items, which
            ``steerlens.data.atlas`` then reads too. A locale that is ``like`` a locale of the atlas, as ``es-MX`` is like
            ``es-ES``, has an ``own.json`` with its answers instead of items.

    Returns:
        The locale.

    Raises:
        FileError: the folder has no ``locale.json``, or the file is not JSON.
        DataError: the file lacks fields, or has unknown fields or fields of another type; the code is not a BCP 47 code; or a
            regular expression is not valid.
        UnknownNameError: it is ``like`` a locale that the atlas does not have.
    """
    made = new if isinstance(new, Locale) else _read(Path(new))
    _check(made)
    _locales()[made.code] = made
    if not isinstance(new, Locale):
        _folders().pop(made.code, None)
        (_further() if made.like else _folders())[made.code] = Path(new)
    return made
