"""Customs about clocks, from the time zones of the capitals in the tz database of the tzdata package."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

from babel.dates import get_day_names, get_month_names

from steerlens.data.grounded.customs_base import Custom, as_written, by_owner, from_package, term
from steerlens.data.grounded.customs_writing import time_text
from steerlens.errors import DataError

YEARS = range(2024, 2029)


def clocks() -> Iterator[Custom]:
    """Yields the customs about clocks."""
    hours = by_owner(lambda one: _winter_hours(one.zone))
    source = from_package("tzdata", "zone of the capital, offset on January 15")
    yield Custom("custom-utc-offset", "time", source, {at: f"UTC{offset:+d}" for at, offset in hours.items()}, as_written)
    yield Custom("custom-noon-london", "time", source, {at: (12 + offset) % 24 for at, offset in hours.items()}, _full_hour)
    forward = by_owner(lambda one: _forward(one.zone))
    source = from_package("tzdata", f"zone of the capital, day of the step forward in {YEARS[0]} to {YEARS[-1]}")
    yield Custom("custom-clock-forward", "time", source, forward, term)


def _full_hour(asking: str, hour: int) -> str:
    return time_text(asking, hour, 0)


def _zone(key: str) -> ZoneInfo:
    """Returns the time zone from the package. The system's data is not used, because its version is not pinned."""
    with resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return zone.utcoffset(moment) or timedelta()


def _winter_hours(key: str) -> int:
    return int(_offset(_zone(key), datetime(2026, 1, 15)) / timedelta(hours=1))


def _forward(key: str) -> str:
    """Returns the day on which clocks go forward, as the key of a term. The day must be the same in every year in ``YEARS``."""
    found = [_forward_in(_zone(key), year) for year in YEARS]
    common = frozenset.intersection(*found)
    if not common:
        raise DataError(f"clocks of {key} go forward on {sorted(map(sorted, found))}: expected one rule for all years.")
    return min(common, key=len)


def _forward_in(zone: ZoneInfo, year: int) -> frozenset[str]:
    """Returns all names of the day on which clocks go forward in a year. A name counts the weekday from the start of the month,
    for example ``second_sunday_march``. If the weekday is the last in the month, there is also a name with ``last``."""
    noons = [datetime(year, 1, 1, 12) + timedelta(days=day) for day in range(365)]
    steps = [after for before, after in pairwise(noons) if _offset(zone, after) > _offset(zone, before)]
    if not steps:
        return frozenset({"never"})
    day = f"{get_day_names(locale='en')[steps[0].weekday()]}_{get_month_names(locale='en')[steps[0].month]}".lower()
    place = ("first", "second", "third", "fourth", "fifth")[(steps[0].day - 1) // 7]
    last = {f"last_{day}"} if (steps[0] + timedelta(days=7)).month != steps[0].month else set()
    return frozenset({f"{place}_{day}", *last})
