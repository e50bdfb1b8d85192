"""Computes a digest (a SHA-256) of a class's code. Two definitions with the same name have different digests, for example
after a notebook cell was changed."""

import hashlib
from types import CodeType, FunctionType
from typing import Any


def code_digest(owner: type) -> str:
    """Returns the SHA-256 of the bytecode of a class's methods, including the methods of its base classes. Functions outside
    the class are not included.

    Args:
        owner: the class whose code is digested.
    """
    found = hashlib.sha256()
    for one in owner.__mro__:
        for name, value in sorted(vars(one).items()):
            for function in _functions(value):
                found.update(repr((name, _content(function.__code__), function.__defaults__)).encode())
    return found.hexdigest()


def _functions(value: Any) -> list[FunctionType]:
    """Returns the functions of a class attribute: the getter, setter and deleter of a property, or the inner function of a
    static or class method."""
    inside = (value, *(getattr(value, name, None) for name in ("fget", "fset", "fdel", "__func__")))
    return [one for one in inside if isinstance(one, FunctionType)]


def _content(code: CodeType) -> tuple[Any, ...]:
    constants = [_content(one) if isinstance(one, CodeType) else one for one in code.co_consts]
    return code.co_code, code.co_names, constants
