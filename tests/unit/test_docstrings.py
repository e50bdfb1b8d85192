"""Public docstrings: every argument is documented, and the first line says what is done, verb first."""

import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

import steerlens as sl

_MODULES = ("activations", "data.parallel", "fingerprint", "notebook", "scores", "settings", "tables")
PARTS = (*(name for name in sl.__all__ if inspect.ismodule(getattr(sl, name))), *_MODULES)


def documented_functions(part: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public functions of a part, and public methods of its classes and of their bases, with their names."""
    module = import_module(f"steerlens.{part}")
    own = [name for name, found in vars(module).items() if getattr(found, "__module__", "") == module.__name__ and name[0] != "_"]
    for name in getattr(module, "__all__", own):
        found = getattr(module, name)
        if inspect.isfunction(found):
            yield f"{part}.{name}", found
        elif inspect.isclass(found):
            yield from ((f"{part}.{name}.{method}", function) for method, function in _methods(found))


def _methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for base in cls.__mro__:
        for name, member in vars(base).items():
            function = member.__func__ if isinstance(member, staticmethod | classmethod) else member
            written = name == "__init__" and not hasattr(base, "__dataclass_fields__")
            own = inspect.isfunction(function) and function.__qualname__ == f"{base.__name__}.{name}"
            if own and (written or not name.startswith("_")):
                yield name, function


def faults_of(function: Callable[..., Any]) -> list[str]:
    """What is wrong with a function's docstring."""
    plain = inspect.unwrap(function)
    text = (plain.__doc__ and inspect.cleandoc(plain.__doc__)) or ""
    first = text.partition("\n")[0]
    faults = [] if re.match(r"[A-Z][a-z]+s\b ", first) else [f"begins {first!r}, not with a verb such as Returns"]
    for name in inspect.signature(plain).parameters:
        entry = rf"^ +(?:[\w]+, )*{name}(?:, [\w]+)*: \S"
        if name not in ("self", "cls") and not re.search(entry, text, re.MULTILINE) and f"``{name}``" not in text:
            faults.append(f"does not say what {name} is")
    return faults


@pytest.mark.parametrize("part", PARTS)
def test_docstrings_say_what_is_done_and_what_each_argument_is(part: str) -> None:
    functions = {
        name: function
        for name, function in documented_functions(part)
        if inspect.unwrap(function).__module__.startswith("steerlens.")
    }
    assert {name: faults for name, function in functions.items() if (faults := faults_of(function))} == {}


def test_every_part_has_functions() -> None:
    """A part in which the walk finds nothing would pass without a word."""
    counts = {part: len(list(documented_functions(part))) for part in PARTS}
    assert min(counts.values()) >= 1
    assert "data.Items.split" in dict(documented_functions("data"))
    assert "probing.Separability.save" in dict(documented_functions("probing"))


def test_faults_are_found() -> None:
    def fragment(items: int, seed: int = 0) -> None:
        """The items that are left.

        Args:
            items: the number of items.
        """

    def whole(items: int, *, seed: int = 0, draws: int = 1) -> None:
        """Draws some items, by ``seed``.

        Args:
            items, draws: the numbers of items and of draws.
        """

    def bare(items: int) -> None: ...

    assert faults_of(fragment) == [
        "begins 'The items that are left.', not with a verb such as Returns",
        "does not say what seed is",
    ]
    assert faults_of(whole) == []
    assert len(faults_of(bare)) == 2
