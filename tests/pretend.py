"""Devices that are not the CPU, for machines without a GPU: their numbers lie in the CPU's memory, under another name.

There are two, ``pretend:0`` and ``pretend:1``, which refuse what GPUs refuse: an operation on tensors of several devices (a host
tensor without dimensions excepted), a view of their tensors in NumPy, and a generator of the host's.
``STEERLENS_TEST_DEVICE=pretend`` runs the tests on the first, so that a tensor on the wrong device is found without a GPU. They
need a PyTorch that takes backends written in Python, as that of ``constraints.txt``. TorchScript, which LEACE's package uses,
does not run with them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
_aten = torch.ops.aten
_INDEXED = {_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default}
"""Indices, the second argument, may be the host's, as on a GPU."""
_MOVES = {_aten.copy_.default, _aten._to_copy.default}
_MATH = 0
"""PyTorch's number for attention in plain operations."""


class Pretended(torch.Tensor):
    """A tensor on one of the devices."""

    held: torch.Tensor
    """The same on the CPU."""
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor, index: int = 0, *, requires_grad: bool = False) -> "Pretended":
        if held.is_meta:  # accelerate makes parameters by the class of those that they replace
            return torch.nn.Parameter(held, requires_grad=requires_grad)  # type: ignore[return-value]
        if isinstance(held, Pretended):
            return torch.nn.Parameter(held.detach(), requires_grad=requires_grad)  # type: ignore[return-value]
        form = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype, "layout": held.layout}
        made = torch.Tensor._make_wrapper_subclass(cls, held.shape, **form, device=f"{NAME}:{index}", requires_grad=requires_grad)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, *args, **(kwargs or {}))

    def __getitem__(self, at: Any) -> torch.Tensor:
        return super().__getitem__(_without_lists(at))

    def __setitem__(self, at: Any, value: Any) -> None:
        super().__setitem__(_without_lists(at), value)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Pretended":
        if id(self) not in memo:
            memo[id(self)] = Pretended(self.held.clone(), self.device.index).requires_grad_(self.requires_grad)
            vars(memo[id(self)]).update({name: value for name, value in vars(self).items() if name != "held"})
        return memo[id(self)]

    def tolist(self) -> Any:
        return self.held.tolist()

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def __repr__(self) -> str:
        return f"{NAME} {self.held!r}"


def run(func: Any, *args: Any, **kwargs: Any) -> Any:
    """Runs an operation on the CPU, and gives its result the device that a GPU's would have.

    Raises:
        RuntimeError: a GPU would refuse the operation's arguments.
    """
    given = (args[0], *args[2:]) if func in _INDEXED and isinstance(args[0], Pretended) else args
    here = [leaf for leaf in _tensors((*args, *kwargs.values())) if isinstance(leaf, Pretended)]
    if here and func not in _MOVES:
        _refuse_mixed(func, (*given, *kwargs.values()))
    place = here[0].device if here else torch.device("cpu")
    place = place if kwargs.get("device") is None else torch.device(kwargs["device"])
    to_here = place.type == NAME
    if to_here and kwargs.get("generator") is not None:
        raise RuntimeError(f"{func} draws numbers on the device with a generator of the host's")
    if to_here and func is _aten._fused_sdp_choice.default:
        return _MATH
    found = func(*map(_held, args), **_on_cpu(kwargs))
    if any(leaf.shape != leaf.held.shape for leaf in here):
        raise NotImplementedError(f"{func} changed the shape of a tensor in place, which the {NAME} device does not follow")
    if not to_here:
        return args[0] if func is _aten.copy_.default else found
    found = _pretended(found, place.index or 0)
    return return_and_correct_aliasing(func, args, kwargs, found) if here and _aliases(func) else found


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _refuse_mixed(func: Any, values: Iterable[Any]) -> None:
    placed = {tensor.device: tuple(tensor.shape) for tensor in _tensors(values) if isinstance(tensor, Pretended) or tensor.ndim}
    if len(placed) > 1:
        raise RuntimeError(f"{func} is given tensors of several devices, of these shapes: {placed}")


@cache
def _aliases(func: Any) -> bool:
    """Whether a result may share an argument's memory."""
    return any(each.alias_info is not None for each in (*func._schema.arguments, *func._schema.returns))


def _pretended(found: Any, index: int) -> Any:
    if isinstance(found, torch.Tensor):
        return Pretended(found, index)
    return type(found)(_pretended(each, index) for each in found) if type(found) in (list, tuple) else found


def _held(value: Any) -> Any:
    if isinstance(value, Pretended):
        return value.held
    return type(value)(map(_held, value)) if type(value) in (list, tuple) else value


def _on_cpu(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: torch.device("cpu") if name == "device" and value is not None and torch.device(value).type == NAME else _held(value)
        for name, value in kwargs.items()
        if name != "pin_memory"
    }


def _without_lists(at: Any) -> Any:
    """An index whose lists are tensors, which PyTorch's own making of them would lose on its way to Python."""
    if isinstance(at, tuple):
        return tuple(map(_without_lists, at))
    return torch.tensor(at, dtype=torch.bool if at and isinstance(at[0], bool) else torch.long) if isinstance(at, list) else at


def _moved(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A function that makes a tensor on the CPU and moves it, which PyTorch's own does where no Python is called."""

    def made(*args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is None or torch.device(device).type != NAME:
            return make(*args, device=device, **kwargs)
        return make(*args, **kwargs).to(device)

    return made


class _Module:
    """What PyTorch asks of ``torch.pretend``."""

    def is_available(self) -> bool:
        return True

    def is_initialized(self) -> bool:
        return True

    def device_count(self) -> int:
        return 2

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


_setup_privateuseone_for_python_backend(NAME, _Module())
_library = torch.library.Library("_", "IMPL")
_library.fallback(run, "PrivateUse1")
_device_constructors()  # PyTorch notes its own functions here, once: they must be noted before others take their place
for _name in ("tensor", "as_tensor", "arange", "eye", "linspace", "randperm"):
    setattr(torch, _name, _moved(getattr(torch, _name)))
