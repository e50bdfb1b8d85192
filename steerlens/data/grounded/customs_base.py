"""What all grounded customs are made of: one value per owner, and how a value reads in an asking locale."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

from babel import Locale

from steerlens.data.locales import atlas_folder

TERRITORY = {
    "en-US": "US",
    "es-ES": "ES",
    "zh-CN": "CN",
    "id-ID": "ID",
    "ko-KR": "KR",
    "ar-EG": "EG",
    "el-GR": "GR",
}
"""The country whose customs each locale owns, in the order in which answers are listed."""


@dataclass(frozen=True)
class Custom:
    """One concept: what holds in each country, and how it is said."""

    concept: str
    topic: str
    source: str
    values: Mapping[str, Any]
    """The value of each owner locale, as the package gives it."""
    say: Callable[[str, Any], str]
    """Asking locale and value to the text of the answer."""

    def answers(self, asking: str) -> dict[str, str]:
        """Every owner's answer in the asking language. Owners that share a value share the text."""
        return {owner: self.say(asking, self.values[owner]) for owner in TERRITORY}


def from_package(package: str, key: str) -> str:
    """The source of a concept: the package with its version, and what was looked up in it."""
    return f"{package} {version(package)}: {key}"


def cldr(locale: str) -> Locale:
    """The CLDR data of a locale."""
    return Locale.parse(locale, sep="-")


@cache
def wording(locale: str) -> dict[str, Any]:
    """The locale's questions and terms, written by hand."""
    text = atlas_folder().joinpath(locale, "customs_wording.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def term(asking: str, key: str) -> str:
    """A value that is the key of a term: its word in the asking language."""
    return str(wording(asking)["terms"][key])


def as_written(_asking: str, value: object) -> str:
    """A value that every language writes alike, such as a phone number."""
    return str(value)


def plain(text: str) -> str:
    """Text with ordinary spaces and without marks of direction: they can't be seen in an answer, but would be scored."""
    return " ".join(text.replace("\u200e", "").replace("\u200f", "").replace("\u061c", "").split())
