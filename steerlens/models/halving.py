"""Runs inputs in halves if the memory is too small to run all inputs at once."""

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
    """Runs a function on many inputs at once. If the device's memory is too small, the inputs are halved until they fit.

    After a halving, all later batches are also half as large.

    Args:
        model: the model that runs the inputs.
        run: the function that does the work.
        many: the inputs of ``run``.

    Yields:
        Some of the inputs, in their order, and the result of ``run`` for these inputs.

    Raises:
        torch.OutOfMemoryError: even a single input does not fit into the memory.
    """
    try:
        result = run(many)
    except torch.OutOfMemoryError:
        if len(many) < 2:
            raise
    else:
        yield many, result
        return
    # outside of the handler, because the error keeps tensors on the device
    for half in halved(model, many):
        yield from in_halves(model, run, half)


def halved(model: "LensModel", many: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Returns the two halves of inputs that did not fit into the memory. From now on, the model's batches are half as large.
    Later runs of the program also use the smaller size. A log message reports this.

    Args:
        model: the model.
        many: the inputs that did not fit, at least two.
    """
    if any(device.type == "cuda" for device in model.devices):
        torch.cuda.empty_cache()
    model.token_budget = max(1, model.token_budget // 2)
    for device in model.devices:
        remember_halving(model, memory_of(device))
    _log.warning(
        "%d rows or plans at once did not fit into the memory of %s. They now run in two halves, and from now on a batch "
        "holds at most %d tokens. To begin with smaller batches, pass batch_size to functions that accept it.",
        *(len(many), " or ".join(map(str, model.devices)), model.token_budget),
    )
    middle = len(many) // 2
    return many[:middle], many[middle:]
