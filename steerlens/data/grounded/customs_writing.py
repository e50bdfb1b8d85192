"""Customs about how dates and times are written in each country, from the CLDR data in babel."""

import re
from collections.abc import Iterator
from datetime import date

from babel.dates import format_date, get_day_names

from steerlens.data.grounded.customs_base import Custom, Owner, as_written, by_owner, cldr, from_package, owners, plain, term

SHORT_DATE = date(2024, 7, 9)


def writing() -> Iterator[Custom]:
    """Yields the customs about writing dates and times."""
    dates = {one.code: own_digits(one, plain(format_date(SHORT_DATE, "short", locale=cldr(one.code)))) for one in owners()}
    source = from_package("babel", f"CLDR short date of {SHORT_DATE}, default numbering system")
    yield Custom("custom-short-date", "writing", source, dates, as_written)
    clocks = by_owner(lambda one: _clock(one.code))
    yield Custom("custom-clock-time", "writing", from_package("babel", "CLDR short time of 15:05"), clocks, _say_clock)
    days = by_owner(lambda one: cldr(one.code).first_week_day)
    yield Custom("custom-first-weekday", "time", from_package("babel", "CLDR week data, first day"), days, _weekday)


def own_digits(owner: Owner, text: str) -> str:
    """Returns a number or date in the digits that the locale writes. The conversion is needed because babel writes some numbers
    in Western digits."""
    return text.translate(str.maketrans("0123456789", owner.digits))


def time_text(asking: str, hour: int, minute: int) -> str:
    """Returns a time of day in the short format of the asking locale."""
    pattern = str(cldr(asking).time_formats["short"].pattern)
    separator = _separator(pattern)
    if "a" in pattern:
        return _twelve_hours(asking, hour, minute, separator)
    return f"{hour:0{pattern.count('H')}d}{separator}{minute:02d}"


def _clock(locale: str) -> tuple[bool, str]:
    """Returns whether the short time format counts twelve hours, and the separator between hour and minute."""
    pattern = str(cldr(locale).time_formats["short"].pattern)
    return "a" in pattern, _separator(pattern)


def _say_clock(asking: str, clock: tuple[bool, str]) -> str:
    twelve, separator = clock
    return _twelve_hours(asking, 15, 5, separator) if twelve else f"15{separator}05"


def _twelve_hours(asking: str, hour: int, minute: int, separator: str) -> str:
    # the word for "AM" and its position come from a term, because CLDR's abbreviation for Korean is in Latin letters
    return term(asking, "pm" if hour >= 12 else "am").format(f"{(hour - 1) % 12 + 1}{separator}{minute:02d}")


def _separator(pattern: str) -> str:
    found = re.search(r"[hH]([^\w\s])m", pattern)
    return found.group(1) if found else ":"


def _weekday(asking: str, day: int) -> str:
    name = get_day_names("wide", "stand-alone", cldr(asking))[day]
    return name[:1].upper() + name[1:]
