"""Converts arguments of the command line to arguments of the library."""

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import fields

from steerlens.data import ENGLISH, KINDS, Items, Kind, atlas, atlas_locales, load_items
from steerlens.errors import DataError, SettingsError
from steerlens.models import EMBEDDED, LensModel, load
from steerlens.models.layer_count import layer_count
from steerlens.numeric import layers_of
from steerlens.options import settings_of, value_of
from steerlens.settings import QUICK, StudySettings


def items(args: Namespace, kinds: Iterable[Kind] = KINDS, *, english: bool = True) -> tuple[Items, tuple[str, ...]]:
    """Returns the items of the requested locales and of English, and the codes of the requested locales.

    Args:
        args: the parsed arguments, with ``items`` and either ``locales`` or ``locale``.
        kinds: the kinds of items that every locale must have.
        english: whether items in English are also required.

    Raises:
        UnknownNameError: the atlas or the file does not have a locale.
        DataError: a locale has no items of a kind, or required items in English are missing.
        SettingsError: no locale was requested, and the file contains several locales or only English.
    """
    own = load_items(args.items) if args.items else None
    codes = _codes(args, own.locales if own else atlas_locales(), from_file=own is not None)
    given = own or atlas(codes)
    if english and ENGLISH not in given.locales:
        raise DataError(
            f"{given.name} has no items in {ENGLISH}: expected some items, because the other locales are compared with "
            f"{ENGLISH}. Add rows in {ENGLISH}."
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
    """Returns the codes of the requested locales, or of the default locales if no locale was requested."""
    others = tuple(code for code in have if code != ENGLISH)
    if "locale" in args:
        if args.locale is None and from_file and len(others) != 1:
            raise SettingsError(
                f"{args.items} contains items in {', '.join(have)}: expected one locale. Choose a locale with --locale."
            )
        return (args.locale or (others[0] if from_file else args.atlas_locale),)
    text = args.locales or ("all" if from_file else args.atlas_locales)
    return others if text == "all" else value_of("locales", text, tuple[str, ...])


def study(args: Namespace, locales: tuple[str, ...]) -> StudySettings:
    """Returns the settings of a study. ``--quick`` also sets fields that are not options.

    Args:
        args: the parsed arguments of ``steerlens demo``.
        locales: the codes of the requested locales.
    """
    usual = QUICK if args.quick else StudySettings()
    others = {each.name: getattr(usual, each.name) for each in fields(usual) if each.name not in args}
    return settings_of(StudySettings, args, **{**others, "locales": locales})


def model(args: Namespace) -> LensModel:
    """Loads and returns the requested model. The licence of an embedded model is logged.

    Raises:
        LayerError: the model does not have a requested layer. If the number of layers can be read without loading the model, the
            error is raised before the model is loaded.
    """
    import logging

    _check_layers(args)
    if args.model in EMBEDDED:
        logging.getLogger("steerlens").info(
            "Model: %s. Licence: %s", EMBEDDED[args.model].description, EMBEDDED[args.model].licence
        )
    return load(args.model, args.device, args.dtype, device_map=args.device_map, max_memory=_sizes(args.max_memory))


def _check_layers(args: Namespace) -> None:
    given = [part.strip() for part in str(getattr(args, "layers", None) or "").split(",")]
    n_layers = layer_count(args.model) if all(part.lstrip("-").isdecimal() for part in given) else None
    if n_layers is not None:
        layers_of([int(part) for part in given], range(n_layers), f"model {args.model}")


def _sizes(text: str | None) -> dict[str | int, str | int] | None:
    """Returns the memory limit of each device, by the number or name of the device.

    Raises:
        SettingsError: the text does not have the form ``0=20GiB,cpu=60GiB``.
    """
    if text is None:
        return None
    pairs = [part.partition("=") for part in text.split(",")]
    if not all(place.strip() and size.strip() for place, _, size in pairs):
        raise SettingsError(f"--max-memory {text!r} given: expected a size for each device, such as 0=20GiB,cpu=60GiB.")
    named = [(place.strip(), size.strip()) for place, _, size in pairs]
    return {int(place) if place.isdecimal() else place: int(size) if size.isdecimal() else size for place, size in named}
