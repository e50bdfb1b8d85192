"""Work that memory does not hold at once is done in halves."""

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
    """Runs many things at once, or in halves, and halves of these, where the device's memory does not hold them.

    Batches that are made from then on are half as large, too.

    Args:
        model: the model that runs them.
        run: does the work.
        many: what it is done with.

    Yields:
        Some of the things, in their order, and what ``run`` gave for them.

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
    """The halves of what did not fit the memory; the model's batches are half as large from now on, in later runs too, and the
    log says so.

    Args:
        model: the model.
        many: what did not fit, at least two things.
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
