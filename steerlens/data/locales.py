"""Locales: a language together with the culture that a question asked in it implies."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from steerlens.errors import UnknownNameError

ENGLISH = "en-US"
"""The locale that transfer is measured from and that an English-centric answer belongs to."""


@dataclass(frozen=True)
class Locale:
    """How questions are put in one locale."""

    code: str
    """BCP 47 code, as in ``es-ES``."""
    language: str
    """English name of the language."""
    country: str
    """English name of the country whose everyday life the locale stands for."""
    question: str
    """The word for "Question", with its colon."""
    answer: str
    """The word for "Answer", with its colon."""
    choose: str
    """The instruction of the letter format: answer with one letter."""
    space: str = " "
    """What stands between the prompt and its answer. Chinese writes none after a full-width colon."""
    script: str = "Latn"
    """ISO 15924 code of the script that its texts are written in."""
    own_country: str = ""
    """Regular expression of the country's name in the language: what an explicit prompt must hold."""
    names: str = ""
    """Regular expression of names that neither an implicit prompt nor a choice may hold: the countries of all locales,
    their peoples and languages."""
    capitals: str = ""
    """Regular expression of the countries' capitals, which an implicit prompt may not hold either."""

    def prompt(self, question: str) -> str:
        """The open prompt: question and answer cue. It ends without white space, which belongs to the answer."""
        return f"{self.question}{self.space}{question}\n{self.answer}"


@cache
def _locales() -> dict[str, Locale]:
    """Every locale that is known: the atlas's (a folder each), the languages of public data sets, and the user's own."""
    more = resources.files("steerlens.data").joinpath("languages.json")
    files = (folder.joinpath("locale.json") for folder in atlas_folder().iterdir() if folder.is_dir())
    found = [Locale(**fields) for fields in json.loads(more.read_text(encoding="utf-8"))]
    found += [Locale(**json.loads(file.read_text(encoding="utf-8"))) for file in files if file.is_file()]
    return {new.code: new for new in sorted(found, key=lambda new: (new.code != ENGLISH, new.code))}


def atlas_folder() -> Traversable:
    """The folder of the atlas: a folder per locale."""
    return resources.files("steerlens.data").joinpath("atlas")


def known_locales() -> tuple[str, ...]:
    """Codes of the locales that prompts can be written in, English first."""
    return tuple(_locales())


def locale(code: str) -> Locale:
    """The locale of a code.

    Raises:
        UnknownNameError: no such locale; the nearest codes are offered.
    """
    if code not in _locales():
        raise UnknownNameError("locale", code, _locales(), "Add your own with steerlens.data.add_locale.")
    return _locales()[code]


def add_locale(new: Locale) -> None:
    """Makes a locale of the user's own known for this process, or replaces one of the built-in ones."""
    _locales()[new.code] = new
