"""Chooses the number of tokens that a batch may contain. On a GPU, the number follows from the memory that a pass needs. The
memory of a pass is measured once and stored."""

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
"""The token budget of a batch on a CPU, where a larger batch is not faster and only needs more memory. On a GPU, the token budget
is at least this number, unless an earlier batch did not fit into the memory."""
_MOST = 1 << 16
"""The largest number of tokens of a batch. A larger batch is not faster on any GPU."""
_TRIALS = 1024, 4096
"""The numbers of tokens in the two test passes whose memory is measured. The test passes are short, so measuring takes only a
moment."""
_USUAL = 64
"""The number of tokens in each row of the test passes."""
_MOST_HALVINGS = 3
"""The largest number of halvings that is stored. Further halvings may have another cause, such as a large ``batch_size``, or
another program that uses the memory."""


@dataclass(frozen=True)
class Memory:
    """Functions that read the state of a GPU's memory, in bytes."""

    name: str
    """The kind of GPU and the size of its memory."""
    free: Callable[[], int]
    """Returns the number of bytes that are free now."""
    taken: Callable[[Callable[[], None]], int]
    """Runs a function, and returns the peak number of bytes that the function needed, without the bytes that were in use
    before."""
    device: torch.device | None = None
    """The GPU itself."""


@dataclass(frozen=True)
class _Measured:
    """The stored measurements of a model on a GPU."""

    bytes_per_token: int
    halvings: int = 0
    """The number of times that a batch did not fit into the memory, at most ``_MOST_HALVINGS``."""

    def budget(self, free: int) -> int:
        """Returns the number of tokens of a batch: half of the number that would fit into a pass, because scoring needs more
        memory than a pass alone. The number is a power of two, so that small differences in free memory give the same batches."""
        half = max(1, free // self.bytes_per_token // 2)
        return max(_LEAST, min(_MOST, 1 << (half.bit_length() - 1)) >> self.halvings)


def memory_of(device: torch.device) -> Memory | None:
    """Returns the functions that read the memory of a CUDA GPU; ``None`` for any other device."""
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
    """Returns the number of tokens that a batch of a model may contain.

    The memory per token is the difference in memory between two small passes, divided by the difference in their numbers of
    tokens. The memory per token is measured once for each kind of model, GPU, dtype and PyTorch version, and stored in the cache
    folder. No pass of the chosen size is tried, because such a pass would take too long. If a batch does not fit into the memory
    when it runs, the batch is halved.

    Args:
        model: the model.
        memory: the functions that read the memory of the model's device. With ``None``, the number for a CPU is returned.
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
    """Stores that a batch of a model did not fit into the memory. Later runs then have half the token budget.

    Args:
        model, memory: see ``token_budget``. If the memory was not measured, nothing is stored.
    """
    if memory is None:
        return
    name = _name(model, memory)
    measured = _kept().get(name)
    if measured is not None and measured.halvings < _MOST_HALVINGS:
        _keep(name, _Measured(measured.bytes_per_token, measured.halvings + 1))


def _bytes_per_token(memory: Memory, trial: Callable[[int], None]) -> int:
    small, large = _TRIALS
    trial(small)  # the first pass also reserves memory that later passes use again, such as space for matrix products
    less, more = (memory.taken(partial(trial, tokens)) for tokens in (small, large))
    return max(1, (more - less) // (large - small))


@torch.no_grad()
def _trial(model: "LensModel", tokens: int) -> None:
    """Runs the blocks on ``tokens`` tokens. Each row has ``_USUAL`` tokens. If the model's context is shorter, each row has as
    many tokens as the context."""
    length = min(_USUAL, model.backend.context or _USUAL)
    model.backend.final(model.batch([model.row([5] * length)] * (tokens // length)))


def _name(model: "LensModel", memory: Memory) -> str:
    """Returns a text with everything that affects the memory per token. The values of the weights do not affect it."""
    count = sum(parameter.numel() for parameter in model.backend.parameters())
    shape = f"{model.backend.architecture}, {model.n_layers} layers of {model.d_model}, {count} parameters"
    return f"{shape}, {model.dtype}, {memory.name}{_share(model, memory)}, torch {torch.__version__}"


def _share(model: "LensModel", memory: Memory) -> str:
    """Returns a text with the number of blocks that run on the GPU, or an empty text if all blocks run there. Two GPUs of the
    same kind may run different numbers of a model's blocks."""
    own = sum(device == memory.device for device in model.block_devices)
    return "" if memory.device is None or own == model.n_layers else f", {own} of the blocks"


def _file() -> Path:
    return cache_folder() / "batch-memory.json"


def _kept() -> dict[str, _Measured]:
    """Returns all stored measurements. Entries that cannot be read are left out, and are measured again."""
    try:
        found: Any = json_value(_file().read_bytes())
        return {name: _Measured(*numbers) for name, numbers in found.items() if _is_valid(numbers)}
    except (OSError, ValueError, AttributeError):
        return {}


def _is_valid(numbers: Any) -> bool:
    whole = isinstance(numbers, list) and [type(number) for number in numbers] == [int, int]
    return whole and numbers[0] > 0 and 0 <= numbers[1] <= _MOST_HALVINGS


def _keep(name: str, measured: _Measured) -> None:
    """Stores a measurement. If the file cannot be written, a later run measures again."""
    every = {**_kept(), name: measured}
    with suppress(FileError):
        write_text(_file(), json.dumps({name: [m.bytes_per_token, m.halvings] for name, m in every.items()}, indent=1))
