"""Chooses a device and a dtype for the machine, and computes a digest of weights on any device."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from steerlens.errors import SettingsError, UnknownNameError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The dtypes that a model can be loaded in, by name."""


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device that is asked for; otherwise a CUDA GPU if there is one, and the CPU if not.

    Raises:
        SettingsError: this machine has no such device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device  # with its number: "cuda" is "cuda:0"
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {device!r} cannot be used here ({error}). Expected 'cpu', or a GPU that this PyTorch sees."
        ) from error


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The dtype that is asked for; otherwise float32 on a CPU and bfloat16 on a GPU that computes in it.

    Raises:
        UnknownNameError: the name is not float32, bfloat16 or float16.
    """
    if dtype is None:
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise UnknownNameError("dtype", name, DTYPES)
    return DTYPES[name]


def number_of(parameters: Iterable[Tensor]) -> torch.dtype:
    """The number type that a model computes in: the type of its first weight that is not quantized.

    Args:
        parameters: its weights. Quantized weights are integers, or numbers of one byte.
    """
    first = None
    for parameter in parameters:
        first = first or parameter.dtype
        if parameter.is_floating_point() and parameter.dtype.itemsize > 1:
            return parameter.dtype
    return first or torch.float32


def weights_digest(state: Mapping[str, Tensor | Callable[[], Tensor]]) -> str:
    """Digest of the name, dtype, shape and bytes of every tensor, so that one changed value changes the digest. The device does
    not matter.

    The bytes are hashed with xxHash (XXH3, 128 bits), about ten gigabytes a second. Tensors that share memory are read once.

    Args:
        state: tensors by name, or functions that read a tensor which is stored elsewhere. Each such tensor is released before
            the next is read.
    """
    import hashlib

    from xxhash import xxh3_128

    def hashed(tensor: Tensor) -> str:
        flat: Any = tensor.detach().reshape(-1).contiguous().view(torch.uint8).cpu().numpy()
        return xxh3_128(flat).hexdigest()

    digest = hashlib.sha256()
    seen: dict[tuple[object, ...], str] = {}
    for name, held in sorted(state.items()):
        if callable(held):  # its memory may be another's next: never looked up
            tensor = held()
            found = hashed(tensor)
        else:
            tensor = held
            place = (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
            found = seen[place] if place in seen else seen.setdefault(place, hashed(tensor))
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {found}".encode())
    return digest.hexdigest()
