"""The subjects of questions: well-known countries, cities, languages and elements, written by hand in ``subjects.json``.
Everything else is looked up.

``capitals``, ``called`` and ``domains`` leave out the countries of the atlas's locales, as cultural items ask about these.
``continents`` leaves out countries on two continents (Russia, Turkey, Egypt, Kazakhstan, Indonesia). ``called`` leaves out
countries that share a calling code. ``scripts`` leaves out languages with two scripts or with a script of the same name.
``near_by_sea_or_claim`` contains pairs of countries that have no border on land, or only a disputed one: neither country is
used as a wrong answer about the other. ``units`` contains the words that people use for a currency at home. It leaves out
dollars, as their Chinese names contain the country.
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
    """The currencies with a sign that no other currency has, and for each a locale whose people write it."""
    return dict(_all()["signs"])


def cities() -> list[tuple[str, str, str]]:
    """Key, country and GeoNames' name of each city. The key is a time zone if CLDR names the city as its exemplar city."""
    return [(key, owner, name) for key, (owner, name) in _all()["cities"].items()]
