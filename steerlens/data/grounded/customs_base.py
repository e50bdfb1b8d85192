"""What all grounded customs are made of: one value per owner, and how a value reads in an asking locale."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

from babel import Locale

from steerlens.data.locales import atlas_folder, atlas_locales
from steerlens.errors import DataError


@dataclass(frozen=True)
class Owner:
    """What is looked up for one locale: the section ``open_data`` of its ``locale.json``."""

    code: str
    territory: str
    """ISO 3166 code of the country whose customs the locale owns, as CLDR, GeoNames and the other packages have it."""
    zone: str
    """The time zone of the country's capital, as ``Europe/Madrid``."""
    currency_unit: str
    """The term of the currency's unit. CLDR's names contain the country, as in "Egyptian pound"."""
    area_codes: Mapping[str, tuple[str, str]]
    """Area code as people know it and city, of the ``capital`` and of the largest ``other`` city; a pair that the geocoder's
    data does not have is an error."""
    place: int = 1_000_000
    """The place of its answer in a row; locales without one come last, in the order of their codes."""
    toll_free: str = ""
    """A toll-free number, where the package's example begins as few do; one of another type is an error."""
    cities: Mapping[str, str] = field(default_factory=dict)
    """Terms of cities whose spelling by GeoNames is not the term's."""
    boroughs: tuple[str, ...] = ()
    """Boroughs that GeoNames lists separately from their city."""
    digits: str = "0123456789"
    """The digits from zero to nine that numbers are written in; babel leaves some of them Western."""
    holidays: Mapping[str, str] = field(default_factory=dict)
    """Terms of the holidays, by the package's English names. Names that are one holiday share a term; others keep their own
    name."""


def owners() -> tuple[Owner, ...]:
    """The locales whose customs are looked up, in the order in which answers are listed."""
    found = [one for code in atlas_locales() if (one := _owner(code)) is not None]
    return tuple(sorted(found, key=lambda one: one.place))


def _owner(code: str) -> Owner | None:
    fields = json.loads(atlas_folder(code).joinpath("locale.json").read_text(encoding="utf-8")).get("open_data")
    try:
        return None if fields is None else Owner(code, **fields)
    except TypeError as error:
        raise DataError(f"open_data in the locale.json of {code}: {error}. Expected the fields of {Owner.__name__}.") from error


def by_owner(value: Callable[[Owner], Any]) -> dict[str, Any]:
    """The value of each locale, by code."""
    return {one.code: value(one) for one in owners()}


@dataclass(frozen=True)
class Custom:
    """One concept: the custom of each country, and its wording."""

    concept: str
    topic: str
    source: str
    values: Mapping[str, Any]
    """The value of each owner locale, as the package gives it."""
    say: Callable[[str, Any], str]
    """Asking locale and value to the text of the answer."""

    def answers(self, asking: str) -> dict[str, str]:
        """Every owner's answer in the asking language. Owners that share a value share the text."""
        return {owner: self.say(asking, value) for owner, value in self.values.items()}


def from_package(package: str, key: str) -> str:
    """The source of a concept: the package with its version, and what was looked up in it."""
    return f"{package} {version(package)}: {key}"


def cldr(locale: str) -> Locale:
    """The CLDR data of a locale."""
    return Locale.parse(locale, sep="-")


@cache
def wording(locale: str) -> dict[str, Any]:
    """The locale's questions and terms, written by hand."""
    text = atlas_folder(locale).joinpath("customs_wording.json").read_text(encoding="utf-8")
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
