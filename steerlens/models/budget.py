"""How many tokens a batch may contain: on a GPU, from what a pass takes of its memory, which is measured once and kept."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from steerlens.errors import FileError
from steerlens.models.cache import cache_folder
from steerlens.storage import json_value, write_text

if TYPE_CHECKING:
    from steerlens.models.lens import LensModel

_LEAST = 2048
"""Tokens at once on a CPU: more does not run faster there and only takes memory. On a GPU, the least that is chosen."""
_MOST = 1 << 16
"""More tokens at once keep no GPU busier."""
_TRIALS = 1024, 4096
"""Tokens of the passes whose memory is measured, few enough to take a moment."""
_USUAL = 64
"""Tokens of a row in these passes."""
_MOST_HALVINGS = 3
"""So many halvings are remembered: a batch size of the user's own, or another program's memory, may be the cause of more."""


@dataclass(frozen=True)
class Memory:
    """What can be read of a GPU's memory, in bytes."""

    name: str
    """Which kind of GPU it is, and how much memory it has."""
    free: Callable[[], int]
    """Returns the bytes that could be taken now."""
    taken: Callable[[Callable[[], None]], int]
    """Runs something, and returns the bytes that it took at its peak beyond those that were taken before."""
    device: torch.device | None = None
    """The GPU itself."""


@dataclass(frozen=True)
class _Measured:
    """What is kept of a model on a GPU."""

    bytes_per_token: int
    halvings: int = 0
    """How often a batch did not fit the memory in real work, up to ``_MOST_HALVINGS``."""

    def budget(self, free: int) -> int:
        """Half of the tokens whose pass would fit, since scoring keeps more than a bare pass does; a power of two, so that a
        little more or less free memory makes the same batches."""
        half = max(1, free // self.bytes_per_token // 2)
        return max(_LEAST, min(_MOST, 1 << (half.bit_length() - 1)) >> self.halvings)


def memory_of(device: torch.device) -> Memory | None:
    """Returns how the memory of a CUDA GPU is read; ``None`` for any other device."""
    if device.type != "cuda":
        return None

    def free() -> int:
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused

    def taken(run: Callable[[], None]) -> int:
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before

    return Memory(f"{torch.cuda.get_device_name(device)}, {torch.cuda.mem_get_info(device)[1]} bytes", free, taken, device)


def token_budget(model: "LensModel", memory: Memory | None) -> int:
    """Returns how many tokens a batch of a model may contain.

    What a token takes is the difference between two small passes, divided by that of their tokens; it is measured once for a
    kind of model, GPU, dtype and PyTorch, and kept in the cache folder. No pass of the size that is chosen is tried: it would
    take longer than all else, and a batch that does not fit after all is halved where it is run.

    Args:
        model: the model.
        memory: how the memory of its device is read; ``None`` where it cannot be, which gives a CPU's number.
    """
    if memory is None:
        return _LEAST
    name = _name(model, memory)
    measured = _kept().get(name)
    if measured is None:
        try:
            measured = _Measured(_bytes_per_token(memory, partial(_trial, model)))
        except torch.OutOfMemoryError:
            return _LEAST
        _keep(name, measured)
    return measured.budget(memory.free())


def remember_halving(model: "LensModel", memory: Memory | None) -> None:
    """Keeps that a batch of a model did not fit the memory, so that the budget of later runs is half as large.

    Args:
        model, memory: as for ``token_budget``; nothing is kept where it was not measured.
    """
    if memory is None:
        return
    name = _name(model, memory)
    measured = _kept().get(name)
    if measured is not None and measured.halvings < _MOST_HALVINGS:
        _keep(name, _Measured(measured.bytes_per_token, measured.halvings + 1))


def _bytes_per_token(memory: Memory, trial: Callable[[int], None]) -> int:
    small, large = _TRIALS
    trial(small)  # the first pass also takes what later ones use again, such as room for matrix products
    less, more = (memory.taken(partial(trial, tokens)) for tokens in (small, large))
    return max(1, (more - less) // (large - small))


@torch.no_grad()
def _trial(model: "LensModel", tokens: int) -> None:
    """Runs the blocks on as many tokens, in rows of a usual length, or of the longest that the model takes."""
    length = min(_USUAL, model.backend.context or _USUAL)
    model.backend.final(model.batch([model.row([5] * length)] * (tokens // length)))


def _name(model: "LensModel", memory: Memory) -> str:
    """What decides how much memory a token takes. The weights' values do not, and their digest is slow to take."""
    count = sum(parameter.numel() for parameter in model.backend.parameters())
    shape = f"{model.backend.architecture}, {model.n_layers} layers of {model.d_model}, {count} parameters"
    return f"{shape}, {model.dtype}, {memory.name}{_share(model, memory)}, torch {torch.__version__}"


def _share(model: "LensModel", memory: Memory) -> str:
    """The number of blocks that run on the GPU, where others run elsewhere: GPUs of one kind may have unlike shares."""
    own = sum(device == memory.device for device in model.block_devices)
    return "" if memory.device is None or own == model.n_layers else f", {own} of the blocks"


def _file() -> Path:
    return cache_folder() / "batch-memory.json"


def _kept() -> dict[str, _Measured]:
    """What was measured so far. What cannot be read is left out, and measured again."""
    try:
        found: Any = json_value(_file().read_bytes())
        return {name: _Measured(*numbers) for name, numbers in found.items() if _is_valid(numbers)}
    except (OSError, ValueError, AttributeError):
        return {}


def _is_valid(numbers: Any) -> bool:
    whole = isinstance(numbers, list) and [type(number) for number in numbers] == [int, int]
    return whole and numbers[0] > 0 and 0 <= numbers[1] <= _MOST_HALVINGS


def _keep(name: str, measured: _Measured) -> None:
    """Adds to what is kept; where it cannot be written, it is measured again another time."""
    every = {**_kept(), name: measured}
    with suppress(FileError):
        write_text(_file(), json.dumps({name: [m.bytes_per_token, m.halvings] for name, m in every.items()}, indent=1))
