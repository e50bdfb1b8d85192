"""Public holidays, from the holidays package."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date

import holidays
from babel.dates import format_skeleton

from steerlens.data.grounded.customs_base import TERRITORY, Custom, cldr, from_package, plain, term
from steerlens.errors import DataError

YEARS = (2026, 2027)
"""What comes first or last must be the same in these years."""
FIXED_YEARS = range(2026, 2031)
"""A holiday has a fixed date if it begins on the same date in each of these years."""
NAMES = {
    "New Year's Day": "new_year",
    "Martin Luther King Jr. Day": "mlk",
    "Washington's Birthday": "presidents",
    "Memorial Day": "memorial",
    "Epiphany": "epiphany",
    "Good Friday": "good_friday",
    "Labor Day": "labor",
    "International Labor Day": "labor",
    "Assumption Day": "assumption",
    "Dormition of the Mother of God": "assumption",
    "Christmas Day": "christmas",
    "Chinese New Year (Spring Festival)": "lunar_new_year",
    "Chinese New Year's Eve": "lunar_new_year",
    "The day preceding Korean New Year": "lunar_new_year",
    "Korean New Year": "lunar_new_year",
    "The second day of Korean New Year": "lunar_new_year",
    "Lunar New Year": "lunar_new_year",
    "Tomb-Sweeping Day": "qingming",
    "National Day": "national",
    "Isra' and Mi'raj": "isra_miraj",
    "Day of Silence": "nyepi",
    "Independence Day": "independence",
    "Independence Movement Day": "march_first",
    "Liberation Day": "liberation",
    "Coptic Christmas Day": "coptic_christmas",
    "January 25th Revolution and National Police Day": "january_revolution",
    "Eid al-Fitr": "eid_al_fitr",
    "July 23 Revolution Day": "july_revolution",
    "Armed Forces Day": "armed_forces",
    "Green Monday": "clean_monday",
    "Glorifying Mother of God": "synaxis",
}
"""The package's English names and our terms. Names that are one holiday share a term; others keep their own name."""
_NOT_A_HOLIDAY = re.compile(r"substituted|Alternative|Temporary|Election")
_Days = list[tuple[date, str]]


def festivals() -> Iterator[Custom]:
    """The customs of public holidays."""
    key = f"{YEARS[0]} and {YEARS[1]}, substitute and election days left out"
    for number, concept in enumerate(("custom-holiday-first-after", "custom-holiday-second-after", "custom-holiday-third-after")):
        values = {locale: _after_new_year(territory, number) for locale, territory in TERRITORY.items()}
        yield Custom(concept, "festivals", from_package("holidays", f"names in {key}"), values, term)
    source = from_package("holidays", f"dates that are the same in {FIXED_YEARS[0]} to {FIXED_YEARS[-1]}")
    year, autumn, end = YEARS[0], date(YEARS[0], 9, 1), date(YEARS[0], 12, 25)
    picks: tuple[tuple[str, Callable[[_Days], tuple[date, str]]], ...] = (
        ("custom-holiday-last", lambda days: days[-1]),
        ("custom-holiday-fixed-summer", lambda days: [day for day in days if day[0] < autumn][-1]),
        ("custom-holiday-fixed-first", lambda days: next(day for day in days if day[0] > date(year, 1, 1))),
        ("custom-holiday-fixed-last", lambda days: [day for day in days if day[0] < end][-1]),
    )
    for concept, pick in picks:
        found = {locale: pick(_fixed(territory)) for locale, territory in TERRITORY.items()}
        if concept in ("custom-holiday-fixed-first", "custom-holiday-fixed-last"):
            yield Custom(concept, "festivals", source, {at: day for at, (day, _) in found.items()}, _month_day)
        else:
            yield Custom(concept, "festivals", source, {at: name for at, (_, name) in found.items()}, term)


def _starts(territory: str, year: int) -> dict[str, date]:
    """First day of each public holiday of one year, by our term or else the package's name."""
    calendar = holidays.country_holidays(territory, years=year, observed=False, language="en_US")
    first: dict[str, date] = {}
    for day in sorted(calendar):
        for name in calendar.get_list(day):
            name = name.removesuffix(" (estimated)")
            if not _NOT_A_HOLIDAY.search(name):
                first.setdefault(NAMES.get(name, name), day)
    return first


def _after_new_year(territory: str, number: int) -> str:
    """The holiday in the given place after January 1."""
    found = set()
    for year in YEARS:
        days = sorted((day, name) for name, day in _starts(territory, year).items() if day > date(year, 1, 1))
        found.add(days[number][1])
    if len(found) > 1:
        raise DataError(f"holiday {number + 1} after New Year's Day in {territory} is {found}: expected the same one in {YEARS}.")
    return found.pop()


def _fixed(territory: str) -> _Days:
    """Holidays with a fixed date, in the order of the year."""
    dates: dict[str, set[tuple[int, int]]] = defaultdict(set)
    years: dict[str, int] = defaultdict(int)
    for year in FIXED_YEARS:
        for name, day in _starts(territory, year).items():
            dates[name].add((day.month, day.day))
            years[name] += 1
    return sorted(
        (date(YEARS[0], *days.copy().pop()), name)
        for name, days in dates.items()
        if len(days) == 1 and years[name] == len(FIXED_YEARS)
    )


def _month_day(asking: str, day: date) -> str:
    return plain(format_skeleton("MMMMd", day, locale=cldr(asking)))
