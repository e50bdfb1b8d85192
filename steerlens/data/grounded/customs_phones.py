"""Customs about phone numbers, from the phonenumbers package (Google's libphonenumber)."""

from collections.abc import Iterator
from typing import Any

import phonenumbers
from phonenumbers.geodata import GEOCODE_DATA

from steerlens.data.grounded.customs_base import Custom, Owner, as_written, by_owner, from_package, owners
from steerlens.errors import DataError


def phones() -> Iterator[Custom]:
    """Yields the customs about phone numbers."""
    free = by_owner(lambda one: _national(_toll_free(one)))
    source = from_package("phonenumbers", "example toll-free number (Spain's by hand), national format")
    yield Custom("custom-toll-free", "public life", source, free, as_written)
    lengths = by_owner(lambda one: _longest(one.territory))
    source = from_package("phonenumbers", "longest possible mobile number, with the 0 that the national format begins with")
    yield Custom("custom-mobile-length", "public life", source, lengths, as_written)
    source = from_package("phonenumbers", "geocoder, city of the area code, with the national prefix 0 where it is dialled")
    for which in ("capital", "other"):
        values = {one.code: _area(one.territory, *one.area_codes[which]) for one in owners()}
        yield Custom(f"custom-{which}-area-code", "public life", source, values, as_written)


def _mobile(territory: str) -> phonenumbers.PhoneNumber:
    return _example(territory, phonenumbers.PhoneNumberType.MOBILE)


def _toll_free(owner: Owner) -> phonenumbers.PhoneNumber:
    kind = phonenumbers.PhoneNumberType.TOLL_FREE
    if not owner.toll_free:
        return _example(owner.territory, kind)
    number = phonenumbers.parse(owner.toll_free, owner.territory)
    if phonenumbers.number_type(number) != kind:
        raise DataError(f"{owner.toll_free} is not a toll-free number of {owner.territory}: expected a toll-free number.")
    return number


def _example(territory: str, kind: int) -> phonenumbers.PhoneNumber:
    number = phonenumbers.example_number_for_type(territory, kind)
    if number is None:
        raise DataError(
            f"the phonenumbers package has no example number of type {kind} for {territory}: expected an example number."
        )
    return number


def _national(number: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)


def _zero(territory: str) -> str:
    """Returns the prefix 0 if people of the territory write it as part of a number, and an empty text otherwise. The American
    prefix 1 is not written as part of a number."""
    return "0" if phonenumbers.ndd_prefix_for_region(territory, True) == "0" else ""


def _longest(territory: str) -> int:
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(territory)
    zero = _national(_mobile(territory)).startswith("0")
    return int(max(metadata.mobile.possible_length)) + zero


def _area(territory: str, code: str, city: str) -> str:
    whole = f"{phonenumbers.country_code_for_region(territory)}{code}"
    # the geocoder stores the shortest prefix that identifies the place: 21 for Athens, whose code people know as 210
    known = (GEOCODE_DATA[whole[:end]].get("en", "nothing") for end in range(len(whole), 1, -1) if whole[:end] in GEOCODE_DATA)
    place = next(known, "nothing")
    if city not in place:
        raise DataError(f"area code {code} of {territory} is the code of {place}: expected {city}.")
    return _zero(territory) + code
