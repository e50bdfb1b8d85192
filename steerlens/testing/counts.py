"""Counts the work that code needs: block calls, operations and waits. The counts are the same on every machine."""

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
"""ATen operations for which the CPU must know the result, or the size of the result."""
_INDEXED = {"index", "index_put", "index_put_", "_unsafe_index_put"}
"""ATen operations that read the size of their result from a mask, if a mask is given."""
_COPIES = {"_to_copy", "copy_"}
_READ = {Tensor.cpu, Tensor.tolist}


@dataclass
class Counts:
    """The numbers of block calls, operations and waits so far."""

    blocks: int = 0
    """The number of calls of the model's blocks, on a batch of any size."""
    operations: int = 0
    """The number of ATen operations that compute or copy. Views are not counted. On a GPU, one counted operation is about one
    kernel."""
    waits: int = 0
    """The number of operations at which the CPU waits until a device has finished all its work. If the model is on a CPU, this is
    the number of operations at which the CPU would wait for a GPU."""


@contextmanager
def counted(blocks: Iterable[torch.nn.Module], device: torch.device) -> Iterator[Counts]:
    """Counts the work inside the ``with`` block: calls of the model's blocks, operations, and waits for the device.

    No hook is put on the model, because a new hook would drop cached results. On a GPU, three kinds of operations count as
    waits. The first kind is a blocking copy between GPU and CPU memory. The second kind reads a number from a tensor. The third
    kind makes a tensor whose size depends on values (``nonzero``, indexing with a mask). On a CPU, every call of ``.cpu()`` and
    ``.tolist()`` counts as a wait, in place of the copies. Calls for tensors that would be on the CPU even with a GPU are also
    counted. On a CPU, copies to the device are not counted as waits, because they cannot be distinguished from other
    operations.

    Args:
        blocks: the model's blocks, for example ``model.tl.blocks``.
        device: the device of the model.

    Yields:
        The counts, which grow while code runs inside the ``with`` block.
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
    """Counts ATen operations, and the operations at which the CPU waits for a device."""

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
    """Returns whether an operation computes or copies something. A view does neither, because its result shares unchanged
    memory with its argument."""
    views = any(found.alias_info is not None and not found.alias_info.is_write for found in func._schema.returns)
    return func.namespace == "aten" and not views and _name(func) not in _EMPTY


def _waits(func: OpOverload, args: Sequence[Any], given: Mapping[str, Any], device: torch.device) -> bool:
    """Returns whether an operation on tensors of the model's device waits for a result from the device."""
    if not args or not isinstance(args[0], Tensor) or args[0].device.type != device.type:
        return False
    masks = (index for index in args[1] if isinstance(index, Tensor)) if _name(func) in _INDEXED else ()
    sized = _name(func) == "repeat_interleave" and given.get("output_size") is None
    return _name(func) in _WAITING or sized or any(index.dtype in (torch.bool, torch.uint8) for index in masks)


def _copies(func: OpOverload, args: Sequence[Any], given: Mapping[str, Any], found: object) -> bool:
    """Returns whether an operation copies between the memory of a device and of the CPU, and returns only after the copy is
    done."""
    if _name(func) not in _COPIES or not isinstance(found, Tensor):
        return False
    places = {found.device.type, *(tensor.device.type for tensor in args[:2] if isinstance(tensor, Tensor))}
    meanwhile = given.get("non_blocking", _name(func) == "copy_" and len(args) > 2 and args[2])
    return len(places) > 1 and not meanwhile
