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
    "GR": ("210", "Athens"),
}
"""Area code as people know it and city; each pair is looked up in the geocoder's data, and a wrong one is an error."""
OTHER_CITIES = {
    "US": ("212", "New York"),
    "ES": ("93", "Barcelona"),
    "CN": ("21", "Shanghai"),
    "ID": ("31", "Surabaya"),
    "KR": ("51", "Busan"),
    "EG": ("3", "Alexandria"),
    "GR": ("2310", "Thessaloniki"),
}
"""The same for the largest city besides the capital."""
TOLL_FREE = {"ES": "900123456"}
"""Toll-free numbers where the package's example begins as few do; each is looked up, and one of another type is an error."""


def phones() -> Iterator[Custom]:
    """The customs of phone numbers."""
    mobile = {locale: _national(_mobile(territory)) for locale, territory in TERRITORY.items()}
    source = from_package("phonenumbers", "example mobile number, national format")
    yield Custom("custom-mobile-number", "public life", source, mobile, as_written)
    free = {locale: _national(_toll_free(territory)) for locale, territory in TERRITORY.items()}
    source = from_package("phonenumbers", "example toll-free number (Spain's by hand), national format")
    yield Custom("custom-toll-free", "public life", source, free, as_written)
    lengths = {locale: _longest(territory) for locale, territory in TERRITORY.items()}
    source = from_package("phonenumbers", "longest possible mobile number, with the 0 that the national format begins with")
    yield Custom("custom-mobile-length", "public life", source, lengths, as_written)
    for concept, codes in (("custom-capital-area-code", CAPITALS), ("custom-other-area-code", OTHER_CITIES)):
        values = {locale: _area(territory, *codes[territory]) for locale, territory in TERRITORY.items()}
        source = from_package("phonenumbers", "geocoder, city of the area code, with the national prefix 0 where it is dialled")
        yield Custom(concept, "public life", source, values, as_written)


def _mobile(territory: str) -> phonenumbers.PhoneNumber:
    return _example(territory, phonenumbers.PhoneNumberType.MOBILE)


def _toll_free(territory: str) -> phonenumbers.PhoneNumber:
    kind = phonenumbers.PhoneNumberType.TOLL_FREE
    if territory not in TOLL_FREE:
        return _example(territory, kind)
    number = phonenumbers.parse(TOLL_FREE[territory], territory)
    if phonenumbers.number_type(number) != kind:
        raise DataError(f"{TOLL_FREE[territory]} is no toll-free number of {territory}: expected one.")
    return number


def _example(territory: str, kind: int) -> phonenumbers.PhoneNumber:
    number = phonenumbers.example_number_for_type(territory, kind)
    if number is None:
        raise DataError(f"no example number of type {kind} for {territory}: expected one.")
    return number


def _national(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)


def _zero(territory: str) -> str:
    """The prefix 0, part of a number as people write it; the American 1 is not."""
    return "0" if phonenumbers.ndd_prefix_for_region(territory, True) == "0" else ""


def _longest(territory: str) -> int:
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(territory)
    zero = _national(_mobile(territory)).startswith("0")
    return int(max(metadata.mobile.possible_length)) + zero


def _area(territory: str, code: str, city: str) -> str:
    whole = f"{phonenumbers.country_code_for_region(territory)}{code}"
    # the geocoder keeps the shortest prefix that tells the place: 21 for Athens, whose code everyone knows as 210
    known = (GEOCODE_DATA[whole[:end]].get("en", "nothing") for end in range(len(whole), 1, -1) if whole[:end] in GEOCODE_DATA)
    place = next(known, "nothing")
    if city not in place:
        raise DataError(f"area code {code} of {territory} stands for {place}: expected {city}.")
    return _zero(territory) + code
