"""Compares each fast way of computing with the plain way, when the fast way is first used on a model.

No list says what every architecture supports. For example, several layers may use the same keys, positions may be counted by
column, and a layer may keep a state in addition to keys. When a fast way is used for the first time, some of its results are
therefore computed in the plain way too. If the numbers differ, or if the fast way raises an error that the plain way does not
raise, the plain way is used from then on.
"""

import logging
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

from steerlens.models.lens import LensModel

_log = logging.getLogger(__name__)
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
_CLOSE = {torch.float32: 1e-2, torch.float64: 1e-2, torch.float16: 0.2, torch.bfloat16: 0.5}
"""The largest difference, in nats, between two summed log probabilities that count as equal, by dtype. Rounding causes smaller
differences, and a different computation causes larger differences."""
_RELATIVE = {torch.float32: 1e-3, torch.float64: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}

Way = tuple[object, ...]
"""The key of a computation: its task, and every property that changes how the result is computed."""
T = TypeVar("T")


def by_trust(
    model: LensModel,
    way: Way,
    fast: Callable[[], T],
    plain: Callable[[], T],
    same: Callable[[T], bool],
    *,
    possible: bool = True,
) -> T:
    """Returns the result of the fast way if it can be trusted, otherwise the result of the plain way.

    Args:
        model: the model that computes.
        way: the key in ``model.trusted`` under which the result of the comparison is kept.
        fast: computes the result in the fast way. If ``fast`` raises an error at its first use, the plain way is used.
        plain: computes the result in the plain way.
        same: returns whether the fast result agrees with a part of the plain result.
        possible: whether the model's backend supports the fast way.
    """
    possible = possible and model.pads_left  # batches of choices are padded on both sides
    known = model.trusted.get(way) if possible else False
    if known is not None:
        return fast() if known else plain()
    try:
        result = fast()
        if same(result):
            model.trusted[way] = True
            return result
        reason = "the faster way gave other numbers"
    except torch.OutOfMemoryError:
        raise
    except _FAILURES as error:
        reason = f"{type(error).__name__}: {error}"
    served = plain()
    model.trusted[way] = False
    _log.warning(
        "%s: slower full forward passes are used for %s, because the faster way does not work for this model (%s)",
        model.name,
        way[0],
        reason,
    )
    return served


def sums_agree(model: LensModel, ours: Iterable[float], plain: Iterable[float]) -> bool:
    """Returns whether two lists of summed log probabilities are the same, except for rounding in the model's dtype."""
    absolute, relative = _CLOSE.get(model.dtype, 0.5), _RELATIVE.get(model.dtype, 5e-2)
    return all(
        math.isclose(a, b, rel_tol=relative, abs_tol=absolute) or (not math.isfinite(a) and not math.isfinite(b))
        for a, b in zip(ours, plain, strict=True)
    )


def derivatives_agree(model: LensModel, ours: torch.Tensor, plain: torch.Tensor) -> bool:
    """Returns whether two tensors of derivatives are the same, except for rounding in the model's dtype."""
    tolerance = 10 * _RELATIVE.get(model.dtype, 5e-2)
    return bool((ours - plain).norm() <= tolerance * plain.norm())
