"""Locales. A locale is a language together with the culture that a question in the language implies."""

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
"""The code of the English locale. Transfer starts from this locale, and English-centric answers are the answers of this
locale."""
_FILE = "locale.json"
_CODE = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*")
_EXPECTED = {"here": "an object with a text for each slot", "countries": "an object with texts by slot for each locale code"}
"""A description of the expected value of each field that is not a text, for errors."""


@dataclass(frozen=True)
class Locale:
    """The texts with which questions are asked in one locale."""

    code: str
    """The BCP 47 code of the locale, for example ``es-ES``."""
    language: str
    """The English name of the language."""
    country: str
    """The English name of the country whose everyday life the locale represents."""
    question: str
    """The word for "Question" in the language, with a colon."""
    answer: str
    """The word for "Answer" in the language, with a colon."""
    choose: str
    """The instruction of the letter format, which asks for an answer with one letter."""
    space: str = " "
    """The text between the prompt and its answer. The text is empty in Chinese, because Chinese writes no space after a
    full-width colon."""
    script: str = "Latn"
    """The ISO 15924 code of the script in which the locale's texts are written."""
    own_country: str = ""
    """A regular expression for the country's name in the language. An explicit prompt must match this expression."""
    names: str = ""
    """A regular expression for the names that implicit prompts and choices must not contain: names of the countries of all
    locales, of their peoples and of their languages."""
    capitals: str = ""
    """A regular expression for the names of the countries' capitals, which implicit prompts must not contain."""
    here: Mapping[str, str] = field(default_factory=dict)
    """The texts of the slots ``in``, ``of`` and ``front`` for implicit questions that need a text in the slot, for example ``en
    este país``."""
    countries: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The names of the countries of all locales in the language of this locale, by the code of the country's locale. Each country
    has its ``name``, and the texts for the slots ``in`` (``en España``), ``of`` (``de España``) and ``front`` (``En
    España,``)."""
    like: str = ""
    """The code of the locale of the atlas with the same language and questions, for example ``es-ES`` for ``es-MX``. The code is
    empty for a locale with its own texts."""

    def prompt(self, question: str) -> str:
        """Returns the open prompt, which has the question and the word for "Answer". The prompt ends without white space, because
        the space belongs to the answer.

        Args:
            question: the question in the locale's language, implicit or explicit.
        """
        return f"{self.question}{self.space}{question}\n{self.answer}"


@cache
def _folders() -> dict[str, Traversable]:
    """Returns the folder of each locale in which the atlas has parallel items, by code."""
    return _folders_in("atlas")


@cache
def _further() -> dict[str, Traversable]:
    """Returns the folder of each further locale of the atlas, by code."""
    return _folders_in("further")


def _folders_in(name: str) -> dict[str, Traversable]:
    folders = resources.files("steerlens.data").joinpath(name).iterdir()
    return {folder.name: folder for folder in folders if folder.joinpath(_FILE).is_file()}


@cache
def _locales() -> dict[str, Locale]:
    """Returns all known locales: the locales of the atlas, the languages of public data sets, and the user's own locales."""
    more = resources.files("steerlens.data").joinpath("languages.json")
    found = [Locale(**given) for given in json.loads(more.read_text(encoding="utf-8"))]
    found += [_read(folder) for folder in (*_folders().values(), *_further().values())]
    return {new.code: new for new in found}


def _read(folder: Traversable) -> Locale:
    """Returns the locale of a folder of the atlas.

    Raises:
        FileError: the folder has no ``locale.json``, or the file is not JSON.
        DataError: fields are missing, unknown or of another type.
        UnknownNameError: the field ``like`` names a locale that the atlas does not have.
    """
    given, hints = _fields_of(folder), get_type_hints(Locale)
    known = {own.name: own.default is MISSING and own.default_factory is MISSING for own in fields(Locale)}
    for name, value in given.items():
        if name in known and not is_parsed(value, hints[name]):
            expected = _EXPECTED.get(name, "a text")
            raise DataError(f"{_FILE} in {folder}: field {name!r} contains {value!r:.80}; expected {expected}.")
    if like := given.get("like"):
        if like not in _folders():
            raise UnknownNameError(f"locale in the field like of {folder.name}", like, _ordered(_folders()))
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
    """Returns the fields of a locale from its file, without the section for open data.

    Raises:
        FileError: the file does not exist or is not JSON.
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
    """Raises an error for values that would cause errors when the locale is used.

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
                f"{name} of {made.code} is not a valid regular expression ({error}): expected an expression such as Perú|peruan."
            ) from error


def _ordered(codes: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(codes, key=lambda code: (code != ENGLISH, code)))


def atlas_locales() -> tuple[str, ...]:
    """Returns the codes of the locales that are parallel in the atlas, with English first. Each locale has its answer in the
    cultural items of all these locales."""
    return _ordered(_folders())


def further_locales() -> tuple[str, ...]:
    """Returns the codes of the atlas's further locales. A further locale is a country that shares a language with another locale,
    for example ``es-MX``, or a language that was added later. The answers of a further locale are choices only in its own
    items."""
    return tuple(sorted(_further()))


def atlas_folder(code: str) -> Traversable:
    """Returns the folder of a locale of the atlas.

    Raises:
        UnknownNameError: the atlas does not have the locale. The message gives the most similar codes.
    """
    folders = {**_further(), **_folders()}
    if code not in folders:
        raise UnknownNameError("locale", code, (*atlas_locales(), *further_locales()), "These are the locales of the atlas.")
    return folders[code]


def known_locales() -> tuple[str, ...]:
    """Returns the codes of the locales in which prompts can be written, with English first."""
    return _ordered(_locales())


def locale(code: str) -> Locale:
    """Returns the locale with a code.

    Args:
        code: a BCP 47 code in ``known_locales()``, such as ``es-ES``.

    Raises:
        UnknownNameError: there is no locale with this code. The message gives the most similar codes.
    """
    if code not in _locales():
        raise UnknownNameError("locale", code, known_locales(), "Add your own locale with steerlens.data.add_locale.")
    return _locales()[code]


def next_question(prompt: str) -> tuple[str, ...]:
    """Returns the texts that show that the model begins a new question after its answer, for example ``"\\nPregunta:"``.

    After an answer, a base model often continues with another question. The answer ends where one of the returned texts begins.

    Args:
        prompt: the prompt that the model continues.

    Returns:
        A newline and the word for "Question", for every known locale whose word begins a line of the prompt. The tuple is empty
        for a prompt in another form.
    """
    words = dict.fromkeys(own.question for own in _locales().values() if own.question)
    return tuple(f"\n{word}" for word in words if f"\n{word}" in f"\n{prompt}")


def asks_in_english(code: str) -> bool:
    """Returns whether a locale's language is English. An unknown locale counts as not English."""
    return code in _locales() and _locales()[code].language == _locales()[ENGLISH].language


def add_locale(new: Locale | str | Path) -> Locale:
    """Registers your own locale for this process. A registered locale replaces the built-in locale with the same code.

    Args:
        new: a locale, or a folder in the form of the atlas's folders. The folder contains a ``locale.json`` and ``.jsonl`` files
            of items, which ``steerlens.data.atlas`` then also reads. A locale with the field ``like``, such as ``es-MX`` with
            ``es-ES``, has an ``own.json`` with its answers instead of items.

    Returns:
        The locale.

    Raises:
        FileError: the folder has no ``locale.json``, or the file is not JSON.
        DataError: a field is missing, unknown or of another type, the code is not a BCP 47 code, or a regular expression is not
            valid.
        UnknownNameError: ``like`` names a locale that the atlas does not have.
    """
    made = new if isinstance(new, Locale) else _read(Path(new))
    _check(made)
    _locales()[made.code] = made
    if not isinstance(new, Locale):
        _folders().pop(made.code, None)
        (_further() if made.like else _folders())[made.code] = Path(new)
    return made
