"""What is asked about: well-known countries, cities, languages and elements, typed in ``subjects.json``; the rest is looked up.

Of ``capitals``, ``called`` and ``domains`` the countries of the atlas's locales are left out, which cultural items ask about.
``continents`` leaves out countries on two of them (Russia, Turkey, Egypt, Kazakhstan, Indonesia), ``called`` those that share
a calling code, ``scripts`` languages with two scripts or a script of their own name. ``near_by_sea_or_claim`` are pairs of
countries that share no border on land, or none beyond dispute: neither is a wrong answer about the other. ``units`` are what
people call a currency at home; dollars are left out, whose Chinese names tell the country.
"""

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def _all() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.files(__package__).joinpath("subjects.json").read_text(encoding="utf-8"))
    return found


def subjects(name: str) -> tuple[str, ...]:
    """The codes of one list, in its order."""
    return tuple(" ".join(_all()[name]).split())


def units() -> dict[str, str]:
    """The unit of each currency, by ISO code."""
    return {code: unit for unit, codes in _all()["units"].items() for code in codes.split()}


def signs() -> dict[str, str]:
    """Currencies that have a sign to themselves, and a locale whose people write it."""
    return dict(_all()["signs"])


def cities() -> list[tuple[str, str, str]]:
    """Key, country and GeoNames' name; the key is a time zone where CLDR names the city for one."""
    return [(key, owner, name) for key, (owner, name) in _all()["cities"].items()]
