"""Arguments of the command line, turned into what the library takes."""

from argparse import Namespace
from collections.abc import Callable
from typing import TypeVar

from steerlens.data import ENGLISH, Items, atlas_locales, load_items
from steerlens.errors import SettingsError
from steerlens.models import EMBEDDED, LensModel, load
from steerlens.models.pooling import Positions

T = TypeVar("T")


def listed(text: str, what: str, kind: Callable[[str], T]) -> tuple[T, ...]:
    """Values with commas between them.

    Raises:
        SettingsError: one of them is none.
    """
    try:
        values = tuple(kind(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        values = ()
    if not values:
        raise SettingsError(f"--{what} {text!r} given: expected values with commas between them, as in 1,2,4.")
    return values


def locales(text: str, known: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Codes with commas between them, or every locale but English for ``all``."""
    if text == "all":
        return tuple(code for code in (known or atlas_locales()) if code != ENGLISH)
    return listed(text, "locales", str)


def layers(text: str) -> tuple[int, ...] | str:
    """``strided``, ``all``, or indices with commas between them."""
    return text if text in ("strided", "all") else listed(text, "layers", int)


def concepts(text: str, part: str) -> int | None:
    """How many concepts of each kind, or all."""
    return None if text == "all" else listed(text, f"{part}-concepts", int)[0]


def positions(text: str) -> Positions:
    """``last``, ``mean`` or a token's index."""
    return text if text in ("last", "mean") else listed(text, "positions", int)[0]


def items(args: Namespace) -> Items | None:
    """The user's own items, if a file was given."""
    return load_items(args.items) if args.items else None


def model(args: Namespace) -> LensModel:
    """The model asked for; its licence is named."""
    import logging

    if args.model in EMBEDDED:
        logging.getLogger("steerlens").info(
            "Model: %s. Licence: %s", EMBEDDED[args.model].description, EMBEDDED[args.model].licence
        )
    return load(args.model, args.device, args.dtype)
