"""Converts a user's numbers to Python numbers and float32 tensors. The user's numbers may also be NumPy or PyTorch numbers and
arrays."""

import math
import operator
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

from steerlens.errors import LayerError, SettingsError, VectorError

if TYPE_CHECKING:
    from torch import Tensor

Layers = Iterable[SupportsIndex] | SupportsIndex
"""The index of one layer or the indices of several layers, as whole numbers of Python, NumPy or PyTorch."""


def whole_number(given: Any) -> int | None:
    """Returns a whole number as a Python ``int``. Returns ``None`` for any other value, including 2.0 and ``True``."""
    if isinstance(given, bool):
        return None
    try:
        return operator.index(given)
    except (TypeError, ValueError):
        return None


def finite_number(given: SupportsFloat, what: str, whose: str) -> float:
    """Returns a number as a Python ``float``.

    Args:
        what: the name of the number, for the error message.
        whose: the name of the object to which the number belongs, for the error message.

    Raises:
        VectorError: ``given`` is not a finite number.
    """
    try:
        number = math.nan if isinstance(given, str | bytes | bool) else float(given)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not math.isfinite(number):
        raise VectorError(f"{what} {given!r} given for {whose}: expected a finite number.")
    return number


def seconds_of(given: str | float) -> float:
    """Returns a time in seconds.

    Args:
        given: a number of seconds, or a text such as ``90``, ``90s``, ``5m`` or ``1.5h``.

    Raises:
        SettingsError: ``given`` is a text in another form, or a time that is not above 0.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", str(given))
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0.0
    if not seconds > 0:
        raise SettingsError(
            f"time {given!r} given: expected a number of seconds above 0, or a text such as '90s', '5m' or '1.5h'."
        )
    return seconds


def divisor_of(given: SupportsFloat, whose: str) -> float:
    """Returns a divisor as a Python ``float``.

    Raises:
        VectorError: ``given`` is 0 or is not a finite number.
    """
    divisor = finite_number(given, "divisor", whose)
    if divisor == 0:
        raise VectorError(f"{whose} cannot be divided by 0. Give another number.")
    return divisor


def finite_numbers(given: Iterable[SupportsFloat] | SupportsFloat, what: str, whose: str) -> tuple[float, ...]:
    """Returns one number or several numbers as Python ``float`` values, in their order and without repeated values.

    Raises:
        VectorError: a value is not a finite number.
    """
    several: Any = (
        given if isinstance(given, Iterable) and not isinstance(given, str) and getattr(given, "ndim", True) else [given]
    )
    return tuple(dict.fromkeys(finite_number(number, what, whose) for number in several))


def layer_of(given: Any, available: Sequence[int], whose: str) -> int:
    """Returns a layer as a Python ``int``.

    Raises:
        LayerError: ``given`` is not a whole number or is not an available layer.
    """
    layer = whole_number(given)
    if layer is None or layer not in available:
        raise LayerError(given, available, whose)
    return layer


def layers_of(given: Layers, available: Sequence[int], whose: str) -> tuple[int, ...]:
    """Returns layers in ascending order, without repeated layers.

    Raises:
        LayerError: no layer is given, or a layer is not a whole number or not available.
    """
    several = given if isinstance(given, Iterable) and getattr(given, "ndim", True) else [given]
    layers = sorted({layer_of(layer, available, whose) for layer in several})
    if not layers:
        raise LayerError("none", available, whose)
    return tuple(layers)


def float_tensor(given: Any, what: str) -> "Tensor":
    """Returns numbers as a float32 tensor on the CPU without a gradient.

    If ``given`` is already such a tensor, it is returned without a copy.

    Raises:
        VectorError: ``given`` does not contain real numbers in a plain tensor or array.
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
    """Raises an error if a tensor contains NaN or infinity.

    Raises:
        VectorError: the tensor contains NaN or infinity.
    """
    if not bool(tensor.isfinite().all()):
        raise VectorError(
            f"{what} contains NaN or infinity: expected finite numbers. Compute the numbers again, with the model in "
            "bfloat16 or float32."
        )
