"""Customs about public holidays, from the holidays package."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date

import holidays
from babel.dates import format_skeleton

from steerlens.data.grounded.customs_base import Custom, Owner, cldr, from_package, owners, plain, term

FIXED_YEARS = range(2026, 2031)
"""The years that are compared. A holiday has a fixed date if it begins on the same date in each of these years."""
_NOT_A_HOLIDAY = re.compile(r"substituted|Alternative|Temporary|Election")
_Days = list[tuple[date, str]]


def festivals() -> Iterator[Custom]:
    """Yields the customs about public holidays."""
    source = from_package("holidays", f"dates that are the same in {FIXED_YEARS[0]} to {FIXED_YEARS[-1]}")
    year = FIXED_YEARS[0]
    autumn, end = date(year, 9, 1), date(year, 12, 25)
    picks: tuple[tuple[str, Callable[[_Days], tuple[date, str]]], ...] = (
        ("custom-holiday-last", lambda days: days[-1]),
        ("custom-holiday-fixed-summer", lambda days: [day for day in days if day[0] < autumn][-1]),
        ("custom-holiday-fixed-first", lambda days: next(day for day in days if day[0] > date(year, 1, 1))),
        ("custom-holiday-fixed-last", lambda days: [day for day in days if day[0] < end][-1]),
    )
    for concept, pick in picks:
        found = {one.code: pick(_fixed(one)) for one in owners()}
        if concept in ("custom-holiday-fixed-first", "custom-holiday-fixed-last"):
            yield Custom(concept, "festivals", source, {at: day for at, (day, _) in found.items()}, _month_day)
        else:
            yield Custom(concept, "festivals", source, {at: name for at, (_, name) in found.items()}, term)


def _starts(owner: Owner, year: int) -> dict[str, date]:
    """Returns the first day of each public holiday of one year. The keys are the terms of the atlas, or the names in the package
    for holidays without a term."""
    calendar = holidays.country_holidays(owner.territory, years=year, observed=False, language="en_US")
    first: dict[str, date] = {}
    for day in sorted(calendar):
        for name in calendar.get_list(day):
            name = name.removesuffix(" (estimated)")
            if not _NOT_A_HOLIDAY.search(name):
                first.setdefault(owner.holidays.get(name, name), day)
    return first


def _fixed(owner: Owner) -> _Days:
    """Returns the holidays with a fixed date, in the order of the year."""
    dates: dict[str, set[tuple[int, int]]] = defaultdict(set)
    years: dict[str, int] = defaultdict(int)
    for year in FIXED_YEARS:
        for name, day in _starts(owner, year).items():
            dates[name].add((day.month, day.day))
            years[name] += 1
    return sorted(
        (date(FIXED_YEARS[0], *days.copy().pop()), name)
        for name, days in dates.items()
        if len(days) == 1 and years[name] == len(FIXED_YEARS)
    )


def _month_day(asking: str, day: date) -> str:
    return plain(format_skeleton("MMMMd", day, locale=cldr(asking)))
