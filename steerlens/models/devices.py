"""Chooses a device and a dtype for the machine, and computes a digest of weights on any device."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from steerlens.errors import SettingsError, UnknownNameError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""The dtypes in which a model can be loaded, by name."""


def choose_device(device: str | torch.device | None) -> torch.device:
    """Returns the requested device. With ``None``, returns a CUDA GPU if there is one, and otherwise the CPU.

    Raises:
        SettingsError: this machine does not have the requested device.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device  # the device with its number: "cuda" becomes "cuda:0"
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {device!r} cannot be used here ({error}). Expected 'cpu', or a GPU that PyTorch finds."
        ) from error


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Returns the requested dtype. With ``None``, returns bfloat16 on a CUDA GPU that supports it, and otherwise float32.

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
    """Returns the number type in which a model computes: the type of its first weight that is not quantized.

    Args:
        parameters: the model's weights. Quantized weights are integers, or numbers of one byte.
    """
    first = None
    for parameter in parameters:
        first = first or parameter.dtype
        if parameter.is_floating_point() and parameter.dtype.itemsize > 1:
            return parameter.dtype
    return first or torch.float32


def weights_digest(state: Mapping[str, Tensor | Callable[[], Tensor]]) -> str:
    """Returns a digest of the name, dtype, shape and bytes of every tensor. One changed value changes the digest. The digest does
    not depend on the device.

    The bytes are hashed with xxHash (XXH3, 128 bits), at about ten gigabytes per second. Tensors that share memory are read once.

    Args:
        state: tensors by name, or functions that read a tensor which is stored elsewhere. Each tensor that a function reads is
            released before the next tensor is read.
    """
    import hashlib

    from xxhash import xxh3_128

    def hashed(tensor: Tensor) -> str:
        flat: Any = tensor.detach().reshape(-1).contiguous().view(torch.uint8).cpu().numpy()
        return xxh3_128(flat).hexdigest()

    digest = hashlib.sha256()
    seen: dict[tuple[object, ...], str] = {}
    for name, held in sorted(state.items()):
        if callable(held):  # its memory may be used for another tensor next, so its digest is not reused
            tensor = held()
            found = hashed(tensor)
        else:
            tensor = held
            place = (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
            found = seen[place] if place in seen else seen.setdefault(place, hashed(tensor))
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {found}".encode())
    return digest.hexdigest()
