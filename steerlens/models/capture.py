"""Reads the residual stream of many prompts, batch by batch."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steerlens.data import Prompt
from steerlens.errors import PromptError
from steerlens.models.batches import PaddingSide
from steerlens.models.halving import in_halves
from steerlens.models.pooling import Positions, reader, tokens_read
from steerlens.progress import SHOW_FROM, progress

if TYPE_CHECKING:
    from steerlens.models.lens import LensModel

_KEPT = 1 << 29
"""The number of bytes of results that stay on the device before they are moved to the CPU."""


def prompts_of(prompts: Sequence[Prompt | str] | Prompt | str) -> tuple[Prompt, ...]:
    """Returns texts and prompts as a tuple of prompts. A single text or prompt becomes a tuple of one prompt.

    Raises:
        PromptError: there are no prompts.
    """
    each = [prompts] if isinstance(prompts, str | Prompt) else prompts
    given = tuple(p if isinstance(p, Prompt) else Prompt(p) for p in each)
    if not given:
        raise PromptError("no prompts were given: expected at least one prompt.")
    return given


def read_all(
    model: "LensModel",
    prompts: Sequence[Prompt],
    layers: Sequence[int],
    positions: Positions,
    batch_size: int | None,
    side: PaddingSide = "right",
) -> Iterator[tuple[list[int], Tensor]]:
    """Yields the residual stream of prompts after layers, at one position of each prompt.

    Args:
        model: the model.
        prompts: the prompts.
        layers: block indices.
        positions: the position that is read in each prompt.
        batch_size: the number of prompts at once; ``None`` chooses the number for the device.
        side: the side on which shorter prompts of a batch are padded.

    Yields:
        The indices of a batch's prompts, and their residuals as float32 ``[layer, prompt, d_model]``, on the model's device.

    Raises:
        PromptError: a prompt is empty, or does not have the requested token.
    """
    rows = [model.row(model.tokenizer.ids(prompt)) for prompt in prompts]
    tokens = [tokens_read(row, prompt, positions) for row, prompt in zip(rows, prompts, strict=True)]

    def run(indices: Sequence[int]) -> Tensor:
        batch = model.batch([rows[i] for i in indices], side)
        seen = model.backend.residuals_after(batch, layers, reader([tokens[i] for i in indices], batch))
        return torch.stack([seen[layer] for layer in layers])

    with progress(len(rows), "Residuals", "prompt", show=len(rows) >= SHOW_FROM) as bar:
        for indices in model.batches([len(row) for row in rows], batch_size):
            for some, seen in in_halves(model, run, indices):
                yield list(some), seen
                bar.update(len(some))


def brought_home(found: Iterable[tuple[list[int], Tensor]], most: int = _KEPT) -> Iterator[tuple[list[int], Tensor]]:
    """Moves results from a device to the CPU. The results are collected on the device. They are moved whenever they fill ``most``
    bytes, and once more at the end.

    The results are collected because each move waits for the device, and the device cannot do other work during a move.

    Args:
        found: the results of ``read_all``.
        most: the number of bytes that are collected before a move.
    """
    indices: list[int] = []
    gathered: list[Tensor] = []
    for some, seen in found:
        indices, gathered = [*indices, *some], [*gathered, seen]
        if seen.device.type == "cpu" or sum(each.nbytes for each in gathered) >= most:
            yield indices, torch.cat(gathered, dim=1).cpu()
            indices, gathered = [], []
    if gathered:
        yield indices, torch.cat(gathered, dim=1).cpu()
