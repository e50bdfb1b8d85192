"""Converts arguments of the command line to the library's arguments."""

from argparse import Namespace
from collections.abc import Iterable

from steerlens.data import ENGLISH, KINDS, Items, Kind, atlas, atlas_locales, load_items
from steerlens.errors import DataError, SettingsError
from steerlens.models import EMBEDDED, LensModel, load
from steerlens.options import value_of


def items(args: Namespace, kinds: Iterable[Kind] = KINDS, *, english: bool = True) -> tuple[Items, tuple[str, ...]]:
    """The items on which a command works, those of the requested locales and of English, and these locales.

    Args:
        args: parsed arguments, with ``items`` and either ``locales`` or ``locale``.
        kinds: the kinds; every locale must have items of each.
        english: whether there must be items in English, too.

    Raises:
        UnknownNameError: the atlas or the file does not have a locale.
        DataError: a locale has no items of a kind, or there are none in English although they are needed.
        SettingsError: no locale was requested, and the file does not determine it.
    """
    own = load_items(args.items) if args.items else None
    codes = _codes(args, own.locales if own else atlas_locales(), from_file=own is not None)
    given = own or atlas(codes)
    if english and ENGLISH not in given.locales:
        raise DataError(
            f"{given.name} has no items in {ENGLISH}: expected some, because the other locales are compared with {ENGLISH}. "
            f"Add rows in {ENGLISH}."
        )
    for code in (*((ENGLISH,) if english else ()), *codes):
        held = given.of(locale=code)
        for kind in kinds:
            if not held.of(kind=kind):
                raise DataError(
                    f"{given.name} has no {kind} items in {code}: expected {' and '.join(kinds)} items in this locale. Add "
                    "rows of this kind, or choose another locale."
                )
    return given.where(lambda item: item.locale in (ENGLISH, *codes)), codes


def _codes(args: Namespace, have: tuple[str, ...], *, from_file: bool) -> tuple[str, ...]:
    """The codes of the requested locales, or the default locales if none was requested."""
    others = tuple(code for code in have if code != ENGLISH)
    if "locale" in args:
        if args.locale is None and from_file and len(others) != 1:
            raise SettingsError(
                f"{args.items} contains items in {', '.join(have)}: expected a choice of one locale. Choose it with --locale."
            )
        return (args.locale or (others[0] if from_file else args.atlas_locale),)
    text = args.locales or ("all" if from_file else args.atlas_locales)
    return others if text == "all" else value_of("locales", text, tuple[str, ...])


def model(args: Namespace) -> LensModel:
    """The requested model. Its licence is shown."""
    import logging

    if args.model in EMBEDDED:
        logging.getLogger("steerlens").info(
            "Model: %s. Licence: %s", EMBEDDED[args.model].description, EMBEDDED[args.model].licence
        )
    return load(args.model, args.device, args.dtype, device_map=args.device_map, max_memory=_sizes(args.max_memory))


def _sizes(text: str | None) -> dict[str | int, str | int] | None:
    """The most memory to use on each device, by its number or name.

    Raises:
        SettingsError: it is not written in the form ``0=20GiB,cpu=60GiB``.
    """
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(place.strip() and size.strip() for place, _, size in pairs):
        raise SettingsError(f"--max-memory {text!r} given: expected a size for each device, such as 0=20GiB,cpu=60GiB.")
    named = [(place.strip(), size.strip()) for place, _, size in pairs]
    return {int(place) if place.isdecimal() else place: int(size) if size.isdecimal() else size for place, size in named}
