"""Device, dtype and batch size, chosen for the machine."""

from collections.abc import Callable
from typing import Any

import torch

from steerlens.errors import SettingsError, UnknownNameError

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_CPU_TOKENS = 2048
"""Tokens at once on a CPU: more does not run faster there and only takes memory."""
_MOST_TOKENS = 1 << 17
"""More at once keeps no GPU busier."""


def choose_device(device: str | torch.device | None) -> torch.device:
    """The device asked for, else a CUDA GPU, else the CPU.

    Raises:
        SettingsError: no such device on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(
            f"device {device!r} cannot be used here ({error}). Expected 'cpu', or a GPU that this PyTorch sees."
        ) from error
    return chosen


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


def token_budget(device: torch.device, trial: Callable[[int], None]) -> int:
    """How many tokens a batch may hold on this device.

    On a GPU a trial pass is doubled until memory says no, or to 131,072 tokens, which keep any busy; half of the last that
    went well is used, since scoring keeps more than a bare pass does.

    Args:
        trial: runs a pass over that many tokens; raises ``torch.OutOfMemoryError`` where they do not fit.
    """
    if device.type == "cpu":
        return _CPU_TOKENS
    tokens = _CPU_TOKENS
    while tokens < _MOST_TOKENS:
        try:
            trial(2 * tokens)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            break
        tokens *= 2
    return max(_CPU_TOKENS, tokens // 2)


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
