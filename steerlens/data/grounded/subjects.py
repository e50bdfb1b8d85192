"""The subjects of questions: well-known countries, cities, languages and elements, written by hand in ``subjects.json``. All
other data is looked up in packages.

The lists ``capitals``, ``called`` and ``domains`` leave out the countries of the atlas's locales, because cultural items ask
about these countries. ``continents`` leaves out countries on two continents (Russia, Turkey, Egypt, Kazakhstan, Indonesia).
``called`` leaves out countries that share a calling code. ``scripts`` leaves out languages with two scripts or with a script of
the same name. ``near_by_sea_or_claim`` contains pairs of countries that have no border on land, or only a disputed border. A
country of a pair is not used as a wrong answer about the other country. ``units`` contains the words that people use for a
currency in its country. Dollars are left out, because their Chinese names contain the country.
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
    """Returns the codes of one list, in the order of the file."""
    return tuple(" ".join(_all()[name]).split())


def units() -> dict[str, str]:
    """Returns the unit of each currency, by ISO code."""
    return {code: unit for unit, codes in _all()["units"].items() for code in codes.split()}


def signs() -> dict[str, str]:
    """Returns the currencies with a sign that no other currency has. The value of each currency is a locale in which people write
    the sign."""
    return dict(_all()["signs"])


def cities() -> list[tuple[str, str, str]]:
    """Returns the key, the country and the GeoNames name of each city. The key is a time zone if CLDR names the city as the
    exemplar city of the time zone."""
    return [(key, owner, name) for key, (owner, name) in _all()["cities"].items()]
