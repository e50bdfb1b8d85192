"""Makes command-line options from settings classes. A field of a settings class gives the name, the default, the allowed values
and the explanation of an option."""

import ast
import inspect
import re
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from steerlens.errors import SettingsError, UnknownNameError

T = TypeVar("T")

_ALL = "all"
"""The word for ``None`` on the command line."""
_WORDS = {str: "a text", int: "a whole number", float: "a number"}


def add_settings(command: ArgumentParser, settings: type, names: Sequence[str]) -> None:
    """Adds one option for each named field of a settings class.

    Args:
        command: the command's parser.
        settings: a dataclass in which each field is followed by its docstring.
        names: the names of the fields. The field ``dev_concepts`` becomes the option ``--dev-concepts``.
    """
    hints, texts = get_type_hints(settings), explanations(settings)
    for each in fields(settings):
        if each.name not in names:
            continue
        flag, explained = f"--{each.name.replace('_', '-')}", texts[each.name].replace("%", "%%")
        if hints[each.name] is bool:
            default = getattr(settings(), each.name)
            action = BooleanOptionalAction if default else "store_true"
            command.add_argument(flag, action=action, default=default, help=explained)
        else:
            usual, values = getattr(settings(), each.name), _expected(hints[each.name])
            default = _none(hints[each.name]) if usual is None else given_as(usual)
            command.add_argument(
                flag, default=default, metavar="VALUE", help=f"{explained} Values: {values}. Default: %(default)s."
            )


def settings_of(settings: type[T], args: Namespace, **others: Any) -> T:
    """Returns the settings from the arguments. Fields whose option was not given keep their defaults.

    Args:
        settings: the settings class.
        args: the parsed arguments of options that ``add_settings`` added.
        others: the values of some fields. A value in ``others`` has priority over the argument for the same field.

    Raises:
        SettingsError: a value does not have the field's type.
        UnknownNameError: an argument is not one of the words that the field allows.
    """
    hints = get_type_hints(settings)
    names = [name for name in hints if getattr(args, name, None) is not None and name not in others]
    return settings(**{name: value_of(name, getattr(args, name), hints[name]) for name in names}, **others)


def value_of(name: str, text: str | bool, kind: Any) -> Any:
    """Returns the value that a text on the command line describes.

    Args:
        name: the field's name, for the error message.
        text: the given text. For a switch, ``True`` or ``False``.
        kind: the field's type: a number, a text, words (``Literal``), several values of one type (``tuple``), or a union of these
            types.

    Raises:
        SettingsError: the text does not fit the type.
        UnknownNameError: the type allows only words, and the text is not one of these words.
    """
    if isinstance(text, bool):
        return text
    flag = f"--{name.replace('_', '-')}"
    if NoneType in get_args(kind) and text == _none(kind):
        return None
    if get_origin(kind) is Literal and text not in get_args(kind):
        raise UnknownNameError(flag, text, get_args(kind))
    for one in _kinds(kind):
        try:
            return _read(text, one)
        except ValueError:
            continue
    raise SettingsError(f"{flag} {text!r} given: expected {_expected(kind)}.")


def given_as(value: Any) -> str:
    """Returns a value as it is written on the command line. Several values are separated by commas, and ``None`` is written as
    ``all``."""
    if value is None:
        return _ALL
    return (
        ",".join(map(given_as, value)) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    )


@cache
def explanations(settings: type) -> dict[str, str]:
    """Returns the docstring of each field of a class, without backticks and without the words that explain ``None``."""
    found = {}
    for one, beneath in pairwise(ast.parse(inspect.getsource(settings)).body[0].body):  # type: ignore[attr-defined]
        if isinstance(one, ast.AnnAssign) and isinstance(beneath, ast.Expr) and isinstance(beneath.value, ast.Constant):
            text = " ".join(str(beneath.value.value).split()).replace("or ``None`` for all", "").replace("``", "")
            found[ast.unparse(one.target)] = re.sub(r"[ ,]+\.", ".", text)
    return found


def _kinds(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _read(text: str, kind: Any) -> Any:
    """Returns the text as a value of one type. Raises a ``ValueError`` if the text does not fit the type."""
    if kind is NoneType or get_origin(kind) is Literal:
        if text not in (get_args(kind) or (_ALL,)):
            raise ValueError(text)
        return None if kind is NoneType else text
    if get_origin(kind) is tuple:
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise ValueError(text)
        return tuple(_read(part, get_args(kind)[0]) for part in parts)
    return kind(text)


def _expected(kind: Any) -> str:
    """Returns a description of the values that a type allows."""
    return " or ".join(_none(kind) if one is NoneType else _one_expected(one) for one in _kinds(kind))


def _none(kind: Any) -> str:
    """Returns the word for ``None`` in a type: ``all`` for a number of things, ``none`` for a text."""
    return "none" if str in get_args(kind) else _ALL


def _one_expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return f"values separated by commas, each one {_one_expected(get_args(kind)[0])}"
    return _WORDS[kind]
