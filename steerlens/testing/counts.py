"""The amount of work that code needs, in counts that are the same on every machine: block calls, operations, waits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_EMPTY = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "_unsafe_view",
    "_local_scalar_dense",
}
"""ATen operations that compute nothing, but whose signature does not show that they are views."""
_WAITING = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}
"""ATen operations whose result, or its size, must be known to the processor."""
_INDEXED = {"index", "index_put", "index_put_", "_unsafe_index_put"}
"""ATen operations that read the size of their result from a mask, if they are given one."""
_COPIES = {"_to_copy", "copy_"}
_READ = {Tensor.cpu, Tensor.tolist}


@dataclass
class Counts:
    """The counts so far."""

    blocks: int = 0
    """The number of calls of the model's blocks, on a batch of any size."""
    operations: int = 0
    """The number of ATen operations that compute or copy; views are not counted. On a GPU one such operation is about one
    kernel."""
    waits: int = 0
    """The number of operations at which the processor waits until a device has finished all its work. On a CPU, the number that
    would wait if the tensors were on a GPU."""


@contextmanager
def counted(blocks: Iterable[torch.nn.Module], device: torch.device) -> Iterator[Counts]:
    """Counts the work inside the block: calls of the model's blocks, operations, and waits for the device.

    No hook is put on the model, since results are cached for the hooks that it has. The waits on a GPU are blocking copies
    between its memory and the processor's, numbers that are read from a tensor, and tensors whose size depends on their values
    (``nonzero``, indexing with a mask). On a CPU, every call of ``.cpu()`` and ``.tolist()`` counts in place of the copies,
    even if the tensor would be on the CPU anyway. A copy to the device, and a tensor made on it from numbers, cannot be
    distinguished from other operations.

    Args:
        blocks: the model's blocks, for example ``model.tl.blocks``.
        device: the device of the model.

    Yields:
        The counts, which grow while the block runs.
    """
    counts, every = Counts(), set(blocks)

    def called(module: torch.nn.Module, _: object) -> None:
        counts.blocks += module in every

    handle = register_module_forward_pre_hook(called)
    try:
        with _Reads(counts, device), _Operations(counts, device):
            yield counts
    finally:
        handle.remove()


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts ATen operations, and those that wait."""

    def __init__(self, counts: Counts, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counts, self.device = counts, device

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        found = func(*args, **given)
        self.counts.operations += _computes(func)
        self.counts.waits += _waits(func, args, given, self.device) or _copies(func, args, given, found)
        return found


class _Reads(TorchFunctionMode):
    """Counts the calls that would copy a tensor from a GPU to the CPU, if the model is on a CPU."""

    def __init__(self, counts: Counts, device: torch.device) -> None:
        super().__init__()
        self.counts, self.device = counts, device

    def __torch_function__(
        self, func: Any, types: object, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.counts.waits += self.device.type == "cpu" and func in _READ
        return func(*args, **(kwargs or {}))


def _name(func: OpOverload) -> str:
    return func._schema.name.removeprefix("aten::")


def _computes(func: OpOverload) -> bool:
    """Whether an operation does work. A view does not: its result shares unchanged memory with its argument."""
    views = any(found.alias_info is not None and not found.alias_info.is_write for found in func._schema.returns)
    return func.namespace == "aten" and not views and _name(func) not in _EMPTY


def _waits(func: OpOverload, args: Sequence[Any], given: Mapping[str, Any], device: torch.device) -> bool:
    """Whether an operation on tensors of the model's device waits for a result from the device."""
    if not args or not isinstance(args[0], Tensor) or args[0].device.type != device.type:
        return False
    masks = (index for index in args[1] if isinstance(index, Tensor)) if _name(func) in _INDEXED else ()
    sized = _name(func) == "repeat_interleave" and given.get("output_size") is None
    return _name(func) in _WAITING or sized or any(index.dtype in (torch.bool, torch.uint8) for index in masks)


def _copies(func: OpOverload, args: Sequence[Any], given: Mapping[str, Any], found: object) -> bool:
    """Whether an operation copies between a device's memory and the processor's, and returns only when it is done."""
    if _name(func) not in _COPIES or not isinstance(found, Tensor):
        return False
    places = {found.device.type, *(tensor.device.type for tensor in args[:2] if isinstance(tensor, Tensor))}
    meanwhile = given.get("non_blocking", _name(func) == "copy_" and len(args) > 2 and args[2])
    return len(places) > 1 and not meanwhile
