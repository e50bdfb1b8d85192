"""Converts a user's numbers, including numbers and arrays of NumPy and PyTorch, to Python's own numbers and float32 tensors."""

import math
import operator
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

from steerlens.errors import LayerError, SettingsError, VectorError

if TYPE_CHECKING:
    from torch import Tensor

Layers = Iterable[SupportsIndex] | SupportsIndex
"""One layer or several: whole numbers of Python, NumPy or PyTorch."""


def whole_number(given: Any) -> int | None:
    """A whole number as Python's own; ``None`` for anything else, including 2.0 and ``True``."""
    if isinstance(given, bool):
        return None
    try:
        return operator.index(given)
    except (TypeError, ValueError):
        return None


def finite_number(given: SupportsFloat, what: str, whose: str) -> float:
    """A number as Python's own.

    Args:
        what: the name of the number, for the error.
        whose: the object for which it is given.

    Raises:
        VectorError: it is not a number, or not finite.
    """
    try:
        number = math.nan if isinstance(given, str | bytes | bool) else float(given)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise VectorError(f"{what} {given!r} given for {whose}: expected a finite number.")
    return number


def seconds_of(given: str | float) -> float:
    """A time in seconds.

    Args:
        given: a number of seconds, or a text such as ``90``, ``90s``, ``5m`` or ``1.5h``.

    Raises:
        SettingsError: it is not such a text, or not above 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(given))
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not seconds > 0:
        raise SettingsError(
            f"time {given!r} given: expected a number of seconds above 0, or a text such as '90s', '5m' or '1.5h'."
        )
    return seconds


def divisor_of(given: SupportsFloat, whose: str) -> float:
    """A divisor as Python's own number.

    Raises:
        VectorError: it is 0, not a number, or not finite.
    """
    divisor = finite_number(given, "divisor", whose)
    if divisor == 0:
        raise VectorError(f"{whose} cannot be divided by 0. Give another number.")
    return divisor


def finite_numbers(given: Iterable[SupportsFloat] | SupportsFloat, what: str, whose: str) -> tuple[float, ...]:
    """One number or several as Python's own, each once, in their order.

    Raises:
        VectorError: one of them is not a number, or not finite.
    """
    several: Any = (
        given if isinstance(given, Iterable) and not isinstance(given, str) and getattr(given, "ndim", True) else [given]
    )
    return tuple(dict.fromkeys(finite_number(number, what, whose) for number in several))


def layer_of(given: Any, available: Sequence[int], whose: str) -> int:
    """A layer as Python's own number.

    Raises:
        LayerError: it is not a whole number, or not available.
    """
    layer = whole_number(given)
    if layer is None or layer not in available:
        raise LayerError(given, available, whose)
    return layer


def layers_of(given: Layers, available: Sequence[int], whose: str) -> tuple[int, ...]:
    """Layers in ascending order, each once.

    Raises:
        LayerError: there are none, or one is not a whole number or not available.
    """
    several = given if isinstance(given, Iterable) and getattr(given, "ndim", True) else [given]
    layers = sorted({layer_of(layer, available, whose) for layer in several})
    if not layers:
        raise LayerError("none", available, whose)
    return tuple(layers)


def float_tensor(given: Any, what: str) -> "Tensor":
    """Numbers as a float32 tensor on the CPU, through which no gradient flows.

    A tensor that already has this form is returned without a copy.

    Raises:
        VectorError: these are not real numbers.
    """
    import numpy as np
    import torch

    try:
        tensor = given.detach() if isinstance(given, torch.Tensor) else torch.from_numpy(np.array(given, order="C"))
    except (TypeError, ValueError, RuntimeError) as error:
        raise VectorError(
            f"{what} cannot be converted to a tensor ({error}): expected a tensor or an array of real numbers."
        ) from error
    if tensor.is_complex() or tensor.dtype == torch.bool or tensor.layout != torch.strided:
        raise VectorError(
            f"{what} contains {tensor.dtype} in layout {tensor.layout}: expected real numbers in a plain tensor or array."
        )
    return tensor.to("cpu", torch.float32)


def check_finite(tensor: "Tensor", what: str) -> None:
    """Refuses numbers that are not finite.

    Raises:
        VectorError: there are such numbers.
    """
    if not bool(tensor.isfinite().all()):
        raise VectorError(
            f"{what} contains NaN or infinity: expected finite numbers. Compute these numbers again, with the model in "
            "bfloat16 or float32."
        )
