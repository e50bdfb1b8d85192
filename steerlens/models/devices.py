"""Device and dtype, chosen for the machine, and a digest of weights wherever they lie."""

from typing import Any

import torch

from steerlens.errors import SettingsError, UnknownNameError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, else a CUDA GPU, else the CPU.

    Raises:
        SettingsError: no such device on this machine.
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
    """The dtype asked for, else float32 on a CPU and bfloat16 on a GPU that computes in it.

    Raises:
        UnknownNameError: none of float32, bfloat16, float16.
    """
    if dtype is None:
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise UnknownNameError("dtype", name, _DTYPES)
    return _DTYPES[name]


def weights_digest(state: dict[str, Any]) -> str:
    """Digest of the name, dtype, shape and bytes of every tensor, so that one changed value shows.

    The bytes are hashed with xxHash (XXH3, 128 bits), about ten gigabytes a second; tensors that share memory are read once.
    """
    import hashlib

    from xxhash import xxh3_128

    digest, seen = hashlib.sha256(), {}
    for name, tensor in sorted(state.items()):
        place = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        if place not in seen:
            flat = tensor.detach().reshape(-1).contiguous().view(torch.uint8)
            seen[place] = xxh3_128(flat.cpu().numpy()).hexdigest()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} {seen[place]}".encode())
    return digest.hexdigest()
