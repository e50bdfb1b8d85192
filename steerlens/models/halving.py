"""Runs work in halves if the memory is too small to run it at once."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch

from steerlens.models.budget import memory_of, remember_halving

if TYPE_CHECKING:
    from steerlens.models.lens import LensModel

_log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")


def in_halves(model: "LensModel", run: Callable[[Sequence[T]], R], many: Sequence[T]) -> Iterator[tuple[Sequence[T], R]]:
    """Runs many things at once or, if the device's memory is too small, in halves, and halves of these.

    Batches that are made afterwards are half as large, too.

    Args:
        model: the model that runs them.
        run: the function that does the work.
        many: the things that it works on.

    Yields:
        Some of the things, in their order, and the result of ``run`` for them.

    Raises:
        torch.OutOfMemoryError: not even one of them fits.
    """
    try:
        result = run(many)
    except torch.OutOfMemoryError:
        if len(many) < 2:
            raise
    else:
        yield many, result
        return
    # outside of the handler, since the error holds what was on the device
    for half in halved(model, many):
        yield from in_halves(model, run, half)


def halved(model: "LensModel", many: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """The halves of things that did not fit the memory. The model's batches are half as large from now on, in later runs too,
    and the log says so.

    Args:
        model: the model.
        many: the things that did not fit, at least two.
    """
    if any(device.type == "cuda" for device in model.devices):
        torch.cuda.empty_cache()
    model.token_budget = max(1, model.token_budget // 2)
    for device in model.devices:
        remember_halving(model, memory_of(device))
    _log.warning(
        "%d rows or plans at once did not fit into the memory of %s. They are now run in two halves, and from now on a batch "
        "holds at most %d tokens. To begin with smaller batches, give batch_size where a call takes this argument.",
        *(len(many), " or ".join(map(str, model.devices)), model.token_budget),
    )
    middle = len(many) // 2
    return many[:middle], many[middle:]
