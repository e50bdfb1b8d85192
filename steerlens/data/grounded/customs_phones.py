"""Phone numbers, from the phonenumbers package (Google's libphonenumber)."""

from collections.abc import Iterator
from typing import Any

import phonenumbers
from phonenumbers.geodata import GEOCODE_DATA

from steerlens.data.grounded.customs_base import TERRITORY, Custom, as_written, from_package
from steerlens.errors import DataError

CAPITALS = {
    "US": ("202", "Washington"),
    "ES": ("91", "Madrid"),
    "CN": ("10", "Beijing"),
    "ID": ("21", "Jakarta"),
    "KR": ("2", "Seoul"),
    "EG": ("2", "Cairo"),
    "GR": ("21", "Athens"),
}
"""Area code and city; each pair is looked up in the geocoder's data, and a wrong one is an error."""
OTHER_CITIES = {
    "US": ("212", "New York"),
    "ES": ("93", "Barcelona"),
    "CN": ("21", "Shanghai"),
    "ID": ("31", "Surabaya"),
    "KR": ("51", "Busan"),
    "EG": ("3", "Alexandria"),
    "GR": ("231", "Thessaloniki"),
}
"""The same for the largest city besides the capital."""


def phones() -> Iterator[Custom]:
    """The customs of phone numbers."""
    for concept, kind, key in (
        ("custom-mobile-number", phonenumbers.PhoneNumberType.MOBILE, "example mobile number, national format"),
        ("custom-toll-free", phonenumbers.PhoneNumberType.TOLL_FREE, "example toll-free number, national format"),
    ):
        values = {locale: _example(territory, kind) for locale, territory in TERRITORY.items()}
        yield Custom(concept, "public life", from_package("phonenumbers", key), values, as_written)
    lengths = {locale: _longest(territory) for locale, territory in TERRITORY.items()}
    source = from_package("phonenumbers", "longest possible mobile number, with the 0 that the national format begins with")
    yield Custom("custom-mobile-length", "public life", source, lengths, as_written)
    for concept, codes in (("custom-capital-area-code", CAPITALS), ("custom-other-area-code", OTHER_CITIES)):
        values = {locale: _area(territory, *codes[territory]) for locale, territory in TERRITORY.items()}
        source = from_package("phonenumbers", "geocoder, prefix of the city, with the national prefix 0 where it is dialled")
        yield Custom(concept, "public life", source, values, as_written)


def _example(territory: str, kind: int) -> str:
    number = phonenumbers.example_number_for_type(territory, kind)
    if number is None:
        raise DataError(f"no example number of type {kind} for {territory}: expected one.")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)


def _zero(territory: str) -> str:
    """The prefix 0, part of a number as people write it; the American 1 is not."""
    return "0" if phonenumbers.ndd_prefix_for_region(territory, True) == "0" else ""


def _longest(territory: str) -> int:
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(territory)
    zero = _example(territory, phonenumbers.PhoneNumberType.MOBILE).startswith("0")
    return int(max(metadata.mobile.possible_length)) + zero


def _area(territory: str, code: str, city: str) -> str:
    names = GEOCODE_DATA.get(f"{phonenumbers.country_code_for_region(territory)}{code}", {})
    if city not in names.get("en", ""):
        raise DataError(f"area code {code} of {territory} stands for {names.get('en', 'nothing')}: expected {city}.")
    return _zero(territory) + code
