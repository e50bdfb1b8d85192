"""The parts of all customs from open data: one value per owner, and how a value is written in an asking locale."""

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
    """The data that is looked up for one locale, from the section ``open_data`` of its ``locale.json``."""

    code: str
    territory: str
    """ISO 3166 code of the country whose customs belong to the locale. CLDR, GeoNames and the other packages use this code."""
    zone: str
    """The time zone of the country's capital, for example ``Europe/Madrid``."""
    currency_unit: str
    """The term for the currency's unit. CLDR's own names contain the country, for example "Egyptian pound"."""
    area_codes: Mapping[str, tuple[str, str]]
    """Area code, as people know it, and city: for the ``capital`` and for the largest ``other`` city. A pair that is not in the
    geocoder's data is an error."""
    place: int = 1_000_000
    """The place of the locale's answer in a row. Locales without a place come last, in the order of their codes."""
    toll_free: str = ""
    """A toll-free number, for countries where the package's example does not begin as most of them do. A number of another type
    is an error."""
    cities: Mapping[str, str] = field(default_factory=dict)
    """Terms for cities that GeoNames spells differently from the term."""
    boroughs: tuple[str, ...] = ()
    """Boroughs that GeoNames lists separately from their city."""
    digits: str = "0123456789"
    """The digits from zero to nine in which the locale writes numbers. babel leaves some numbers in Western digits."""
    holidays: Mapping[str, str] = field(default_factory=dict)
    """Terms for the holidays, by the package's English names. Several names of one holiday share a term; a holiday without a
    term keeps its own name."""


def owners() -> tuple[Owner, ...]:
    """The locales with customs from open data, in the order in which answers are listed."""
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
    """One concept: the custom of each country, and how it is written."""

    concept: str
    topic: str
    source: str
    values: Mapping[str, Any]
    """The value of each owner locale, as it is in the package."""
    say: Callable[[str, Any], str]
    """The function that turns an asking locale and a value into the text of the answer."""

    def answers(self, asking: str) -> dict[str, str]:
        """Every owner's answer in the asking language. Owners with the same value have the same text."""
        return {owner: self.say(asking, value) for owner, value in self.values.items()}


def from_package(package: str, key: str) -> str:
    """The source of a concept: the package with its version, and the key that was looked up in it."""
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
    """The word in the asking language for a value that is the key of a term."""
    return str(wording(asking)["terms"][key])


def as_written(_asking: str, value: object) -> str:
    """A value that is written in the same way in every language, such as a phone number."""
    return str(value)


def plain(text: str) -> str:
    """The text with ordinary spaces and without direction marks. These characters cannot be seen in an answer, but they would
    be scored."""
    return " ".join(text.replace("\u200e", "").replace("\u200f", "").replace("\u061c", "").split())
