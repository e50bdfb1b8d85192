"""Code for all customs from open data. A custom has one value for each owner locale, which is the locale of the people with this
custom. Each value has a text in each asking locale, which is the locale of the question."""

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
    """The keys by which the data of one locale is looked up, from the section ``open_data`` of the file ``locale.json``."""

    code: str
    territory: str
    """The ISO 3166 code of the country whose customs belong to the locale. CLDR, GeoNames and the other packages use ISO 3166
    codes."""
    zone: str
    """The time zone of the country's capital, for example ``Europe/Madrid``."""
    currency_unit: str
    """The term for the unit of the currency. The names in CLDR are not used, because they contain the country, for example
    "Egyptian pound"."""
    area_codes: Mapping[str, tuple[str, str]]
    """The area code, as people know it, together with its city. There is one pair for the ``capital`` and one for the largest
    ``other`` city. A pair that is not in the geocoder's data raises an error."""
    place: int = 1_000_000
    """The position of the locale's answer in a row. Locales without a position come last, in the order of their codes."""
    toll_free: str = ""
    """A toll-free number, for countries where the example in the package does not begin like most toll-free numbers. A number of
    another type raises an error."""
    cities: Mapping[str, str] = field(default_factory=dict)
    """The terms for cities that GeoNames spells differently. The keys are the names in GeoNames."""
    boroughs: tuple[str, ...] = ()
    """The boroughs that GeoNames lists separately from their city."""
    digits: str = "0123456789"
    """The digits from zero to nine with which the locale writes numbers. These digits are needed because babel writes some
    numbers in Western digits."""
    holidays: Mapping[str, str] = field(default_factory=dict)
    """The terms for the holidays, by the English names in the package. Several names of one holiday share a term. A holiday
    without a term keeps the name from the package."""


def owners() -> tuple[Owner, ...]:
    """Returns the locales with customs from open data, in the order in which answers are listed."""
    found = [one for code in atlas_locales() if (one := _owner(code)) is not None]
    return tuple(sorted(found, key=lambda one: one.place))


def _owner(code: str) -> Owner | None:
    fields = json.loads(atlas_folder(code).joinpath("locale.json").read_text(encoding="utf-8")).get("open_data")
    try:
        return None if fields is None else Owner(code, **fields)
    except TypeError as error:
        raise DataError(f"open_data in the locale.json of {code}: {error}. Expected the fields of {Owner.__name__}.") from error


def by_owner(value: Callable[[Owner], Any]) -> dict[str, Any]:
    """Calls ``value`` for each owner locale, and returns the results by the code of the locale."""
    return {one.code: value(one) for one in owners()}


@dataclass(frozen=True)
class Custom:
    """One concept: the custom of each country, and the function that writes the custom as text."""

    concept: str
    topic: str
    source: str
    values: Mapping[str, Any]
    """The value of each owner locale, in the form of the package."""
    say: Callable[[str, Any], str]
    """The function that turns an asking locale and a value into the text of the answer."""

    def answers(self, asking: str) -> dict[str, str]:
        """Returns the answers of all owner locales in the language of the asking locale. Owner locales with the same value have
        the same text."""
        return {owner: self.say(asking, value) for owner, value in self.values.items()}


def from_package(package: str, key: str) -> str:
    """Returns the source of a concept: the package with its version, and the key that was looked up in the package."""
    return f"{package} {version(package)}: {key}"


def cldr(locale: str) -> Locale:
    """Returns the CLDR data of a locale."""
    return Locale.parse(locale, sep="-")


@cache
def wording(locale: str) -> dict[str, Any]:
    """Returns the questions and terms of a locale, which were written by hand."""
    text = atlas_folder(locale).joinpath("customs_wording.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def term(asking: str, key: str) -> str:
    """Returns the term with this key, in the language of the asking locale."""
    return str(wording(asking)["terms"][key])


def as_written(_asking: str, value: object) -> str:
    """Returns the text of a value that is written in the same way in every language, such as a phone number."""
    return str(value)


def plain(text: str) -> str:
    """Returns the text with ordinary spaces and without direction marks. Special spaces and direction marks cannot be seen in an
    answer, but they would change its score."""
    return " ".join(text.replace("\u200e", "").replace("\u200f", "").replace("\u061c", "").split())
