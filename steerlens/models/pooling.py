"""Reads one vector from a prompt's residuals: the residual of the last token, the mean over the prompt's tokens, or the residual
of another token."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from einops import einsum
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.data import Prompt
from steerlens.errors import PromptError
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.roles import FRONT

Positions = str | int
"""``last``, ``mean``, or the index of a token in ``model.tokens(prompt)``."""


def described(positions: Positions) -> str:
    """Returns the position in words: ``last``, ``mean`` or ``token N``."""
    return positions if isinstance(positions, str) else f"token {positions}"


def tokens_read(row: Row, prompt: Prompt, positions: Positions) -> list[int]:
    """Returns the indices of the tokens in a row that are read: one token, or all of the prompt's own tokens for ``mean``.

    Raises:
        PromptError: the prompt does not have the token, or ``positions`` has no valid value.
    """
    if positions == "mean":
        return [index for index, role in enumerate(row.roles) if role != FRONT]
    if positions == "last":
        index = len(row) - 1
    elif isinstance(positions, int) and not isinstance(positions, bool):
        index = positions + len(row) if positions < 0 else positions
    else:
        raise PromptError(f"positions {positions!r} was given: expected 'last', 'mean' or the index of a token.")
    if not 0 <= index < len(row):
        raise PromptError(f"token {positions} was requested, but prompt {prompt.text!r} has only the tokens 0 to {len(row) - 1}.")
    return [index]


def reader(tokens: Sequence[Sequence[int]], batch: TokenBatch) -> Callable[[Tensor], Tensor]:
    """Returns a function from a residual stream ``[batch, pos, d_model]`` to its values at the tokens, in float32 ``[batch,
    d_model]``.

    Args:
        tokens: the tokens that are read in each row of the batch. With several tokens in a row, their mean is read.
        batch: the padded rows.
    """
    device = batch.tokens.device
    if all(len(own) == 1 for own in tokens):
        columns = torch.tensor([start + own[0] for start, own in zip(batch.starts, tokens, strict=True)], device=device)
        return partial(_at, rows=torch.arange(len(tokens), device=device), columns=columns)
    weights = torch.zeros(batch.tokens.shape)
    for line, start, own in zip(weights, batch.starts, tokens, strict=True):
        line[start + torch.tensor(own)] = 1 / len(own)
    return partial(_mean, weights=weights.to(device))


def _at(
    residual: Float[Tensor, "batch pos d_model"], rows: Int[Tensor, " batch"], columns: Int[Tensor, " batch"]
) -> Float[Tensor, "batch d_model"]:
    """Returns the residual at one token of each row."""
    return residual[rows.to(residual.device), columns.to(residual.device)].float()


def _mean(residual: Float[Tensor, "batch pos d_model"], weights: Float[Tensor, "batch pos"]) -> Float[Tensor, "batch d_model"]:
    """Returns the weighted sum of the residuals over each row's tokens."""
    weights = weights.to(residual.device)
    # where() keeps padding out of the sum even if it is not finite
    kept = torch.where(weights[..., None] != 0, residual.float(), 0.0)
    return einsum(kept, weights, "batch pos d_model, batch pos -> batch d_model")
