"""What a piece of work asks of a machine, in counts that are the same on every machine: block calls, operations, waits."""

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
"""ATen operations that compute nothing, and are not known as views by their signature."""
_WAITING = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive"}
"""ATen operations whose answer, or the size of whose answer, the processor needs."""
_INDEXED = {"index", "index_put", "index_put_", "_unsafe_index_put"}
"""ATen operations that read the size of their answer off a mask, if they are given one."""
_COPIES = {"_to_copy", "copy_"}
_READ = {Tensor.cpu, Tensor.tolist}


@dataclass
class Counts:
    """What was counted so far."""

    blocks: int = 0
    """Calls of the model's blocks, on a batch of any size."""
    operations: int = 0
    """ATen operations that compute or copy; views are not among them. On a GPU one such operation is about one kernel."""
    waits: int = 0
    """Operations at which the processor waits for a device to finish all that it was given. On a CPU those that would make it
    wait if the tensors lay on a GPU."""


@contextmanager
def counted(blocks: Iterable[torch.nn.Module], device: torch.device) -> Iterator[Counts]:
    """Counts the work of the block: calls of the model's blocks, operations, and waits for the device.

    No hook is put on the model, since results are kept for the hooks that it has. Waits on a GPU are the copies between its
    memory and the processor's that are not told to go on meanwhile, numbers read off a tensor, and tensors whose size depends
    on their numbers (``nonzero``, indexing with a mask). On a CPU every call of ``.cpu()`` and ``.tolist()`` counts in place of
    the copies, also where the tensor would lie on the CPU anyway; a copy to the device, and a tensor that is made on it from
    numbers, cannot be told from any other.

    Args:
        blocks: the model's blocks, as ``model.tl.blocks``.
        device: where the model lies.

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
    """Counts ATen operations, and those among them that wait."""

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
    """Counts, where the model lies on a CPU, the calls that would copy a tensor of a GPU's to the CPU."""

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
    """Whether an operation does work: not a view, whose result shares the memory of what it was given unwritten."""
    views = any(found.alias_info is not None and not found.alias_info.is_write for found in func._schema.returns)
    return func.namespace == "aten" and not views and _name(func) not in _EMPTY


def _waits(func: OpOverload, args: Sequence[Any], given: Mapping[str, Any], device: torch.device) -> bool:
    """Whether an operation on tensors of the model's device needs an answer from it."""
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
