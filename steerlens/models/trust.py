"""Faster ways of computing are compared with the plain one at their first use on a model, on the batch at hand.

What an architecture can be asked to do is not known for certain: keys may be shared between layers, positions counted by
column, states kept beside keys. So the first time that a way is taken, a few of its numbers are computed the plain way too.
Where they differ, or the way raises an error that the plain one does not, the plain way serves from then on.
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
"""Nats by which a choice's summed log probability may differ: rounding, not another computation."""
_RELATIVE = {torch.float32: 1e-3, torch.float64: 1e-3, torch.float16: 2e-2, torch.bfloat16: 5e-2}

Way = tuple[object, ...]
"""What is done: the job and everything about it that makes another computation of it."""
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
    """The fast way's result where it may be trusted, else the plain one's.

    Args:
        model: the model that computes.
        way: what the result of the comparison is kept under, in ``model.trusted``.
        fast: computes the result; at its first use it may raise what a wrong call raises.
        plain: computes it the plain way.
        same: compares the fast result with a part of the plain one.
        possible: the model's backend can go the fast way at all.
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
        "%s: whole passes are used for %s, which is slower, because the faster way does not work for this model (%s)",
        model.name,
        way[0],
        reason,
    )
    return served


def sums_agree(model: LensModel, ours: Iterable[float], plain: Iterable[float]) -> bool:
    """Whether sums of log probabilities are the same but for rounding in the model's dtype."""
    absolute, relative = _CLOSE.get(model.dtype, 0.5), _RELATIVE.get(model.dtype, 5e-2)
    return all(
        math.isclose(a, b, rel_tol=relative, abs_tol=absolute) or (not math.isfinite(a) and not math.isfinite(b))
        for a, b in zip(ours, plain, strict=True)
    )


def derivatives_agree(model: LensModel, ours: torch.Tensor, plain: torch.Tensor) -> bool:
    """Whether derivatives are the same but for rounding in the model's dtype."""
    tolerance = 10 * _RELATIVE.get(model.dtype, 5e-2)
    return bool((ours - plain).norm() <= tolerance * plain.norm())
