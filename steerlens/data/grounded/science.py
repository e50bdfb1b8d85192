"""Facts about chemistry: elements, their symbols and their numbers."""

from collections.abc import Iterator
from functools import cache

from steerlens.data.grounded.concepts import Fact
from steerlens.data.grounded.grammar import Thing, latin_names
from steerlens.data.grounded.packages import named, need
from steerlens.data.grounded.subjects import subjects


@cache
def _numbers() -> dict[str, int]:
    table = need("mendeleev.fetch").fetch_table("elements")  # one query; an object per element takes a third of a second
    return dict(zip(table["symbol"], table["atomic_number"].tolist(), strict=True))


def _number(symbol: str) -> int:
    return _numbers()[symbol]


def _every() -> tuple[str, ...]:
    return tuple(dict.fromkeys((*subjects("elements"), *subjects("numbered"))))


def _names(symbol: str) -> list[str]:
    """Returns the names of an element in the languages in which the name could reveal the symbol."""
    return latin_names(Thing("element", symbol))


def _source(symbol: str) -> str:
    return f"{named('mendeleev')}: element {_number(symbol)}, {symbol}; names by hand"


def symbols() -> Iterator[Fact]:
    """Yields a fact about the symbol of each listed element. The wrong symbols begin with the first letter of the name or of the
    symbol. ``may_resemble`` is False for an element whose name begins with its symbol, because the name reveals the symbol."""
    every = [symbol for symbol in _every() if len(symbol) == 2]
    for symbol in subjects("symbols"):
        initials = {symbol[0].lower(), *(name[0] for name in _names(symbol))}
        yield Fact(
            concept=f"chemical-symbol-{symbol}#symbol",
            topic="science",
            relation="symbol",
            subject=Thing("element", symbol),
            answer=Thing("text", symbol),
            near=tuple(Thing("text", other) for other in every if other[0].lower() in initials),
            far=tuple(Thing("text", other) for other in every),
            source=_source(symbol),
            may_resemble=not any(name.startswith(symbol.lower()) for name in _names(symbol)),
        )


def elements() -> Iterator[Fact]:
    """Yields the facts about the element of a symbol. The wrong names begin with the first letter of the symbol if there are
    enough of these names."""
    every = _every()
    for symbol in subjects("elements"):
        yield Fact(
            concept=f"chemical-symbol-{symbol}#element",
            topic="science",
            relation="element",
            subject=Thing("text", symbol),
            answer=Thing("element", symbol),
            near=tuple(Thing("element", s) for s in every if any(name[0] == symbol[0].lower() for name in _names(s))),
            far=tuple(Thing("element", s) for s in every),
            source=_source(symbol),
        )


def atomic_numbers() -> Iterator[Fact]:
    """Yields the facts about the atomic number of an element. The wrong answers are numbers close to the right number."""
    for symbol in subjects("numbered"):
        number = _number(symbol)
        around = [n for n in range(number - 4, number + 5) if n > 0 and n != number]
        yield Fact(
            concept=f"atomic-number-{symbol}",
            topic="science",
            relation="atomic-number",
            subject=Thing("element", symbol),
            answer=Thing("text", str(number)),
            near=tuple(Thing("text", str(n)) for n in around),
            far=(),
            source=_source(symbol),
        )
