"""The checker that tests run the package under: arrays must have the shapes that annotations give.

Other hints are mypy's: a test that gives a wrong word, to read the error that names the right ones, must get through to it.
"""

from collections.abc import Callable
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function that refuses arrays of other shapes or dtypes than its annotations give, as jaxtyping's checker."""
    hints = {name: hint for name, hint in function.__annotations__.items() if _names_a_shape(hint)}
    function.__annotations__ = {name: hints.get(name, Any) for name in function.__annotations__}
    return beartype(function) if hints else function


def _names_a_shape(hint: Any) -> bool:
    """Says whether a hint is an annotated array, or a tuple, mapping, function … of such."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(_names_a_shape, hint if isinstance(hint, list) else get_args(hint)))
