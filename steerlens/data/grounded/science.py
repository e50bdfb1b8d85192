"""Facts of chemistry: elements, their symbols and their numbers."""

from collections.abc import Iterator
from functools import cache

from steerlens.data.grounded.concepts import Fact
from steerlens.data.grounded.grammar import Thing, grammar
from steerlens.data.grounded.likeness import plain
from steerlens.data.grounded.packages import named, need
from steerlens.data.grounded.subjects import ELEMENTS, NUMBERED, SYMBOLS

_LATIN = ("en-US", "es-ES", "id-ID")


@cache
def _number(symbol: str) -> int:
    return int(need("mendeleev").element(symbol).atomic_number)


def _names(symbol: str) -> list[str]:
    """The element's names in the languages that could give the symbol away."""
    return [plain(grammar(tag).name(Thing("element", symbol))) for tag in _LATIN]


def _source(symbol: str) -> str:
    return f"{named('mendeleev')}: element {_number(symbol)}, {symbol}; names by hand"


def symbols() -> Iterator[Fact]:
    """An element's symbol, where it does not begin the name; wrong ones begin with a letter of name or symbol."""
    every = [symbol for symbol in dict.fromkeys((*ELEMENTS, *NUMBERED)) if len(symbol) == 2]
    for symbol in SYMBOLS:
        initials = {symbol[0].lower(), *(name[0] for name in _names(symbol))}
        yield Fact(
            concept=f"symbol-{symbol}",
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
    """The element of a symbol; names of the wrong ones begin with the symbol's letter where there are such."""
    every = tuple(dict.fromkeys((*ELEMENTS, *NUMBERED)))
    for symbol in ELEMENTS:
        yield Fact(
            concept=f"element-{symbol}",
            topic="science",
            relation="element",
            subject=Thing("text", symbol),
            answer=Thing("element", symbol),
            near=tuple(Thing("element", s) for s in every if any(name[0] == symbol[0].lower() for name in _names(s))),
            far=tuple(Thing("element", s) for s in every),
            source=_source(symbol),
        )


def atomic_numbers() -> Iterator[Fact]:
    """An element's number; the wrong ones are those around it."""
    for symbol in NUMBERED:
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
