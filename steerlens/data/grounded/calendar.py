"""Facts about the calendar: which month or weekday comes before or after another month or weekday."""

from collections.abc import Iterator

from steerlens.data.grounded.concepts import Fact
from steerlens.data.grounded.grammar import Thing
from steerlens.data.grounded.packages import named

_LENGTHS = {"month": 12, "weekday": 7}
_STEPS = {"after": 1, "before": -1}


def calendar() -> Iterator[Fact]:
    """Yields facts about the month before or after a month, and about the weekday before or after a weekday."""
    for kind, length in _LENGTHS.items():
        every = tuple(Thing(kind, str(number)) for number in range(1, length + 1))
        for side, step in _STEPS.items():
            for place, thing in enumerate(every):
                answer = every[(place + step) % length]
                first, second = (thing, answer) if step > 0 else (answer, thing)
                yield Fact(
                    concept=f"{kind}-{first.code}-{second.code}#{side}",
                    topic="time",
                    relation=f"{kind}-{side}",
                    subject=thing,
                    answer=answer,
                    near=every,
                    far=(),
                    source=f"{named('babel')}: {kind}s",
                    may_resemble=True,
                )
