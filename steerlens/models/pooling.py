"""What is read of a prompt's residuals: its last token, the mean over its tokens, or one of them."""

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steerlens.data import Prompt
from steerlens.errors import PromptError
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.roles import FRONT

Positions = str | int
"""``last``, ``mean`` or the index of a token, as ``model.tokens(prompt)`` counts them."""


def described(positions: Positions) -> str:
    """Where something was read, in words: ``last``, ``mean`` or ``token N``."""
    return positions if isinstance(positions, str) else f"token {positions}"


def reading_weights(row: Row, prompt: Prompt, positions: Positions) -> list[float]:
    """How much each token of a row counts in what is read."""
    length, roles = len(row), row.roles
    if positions == "mean":
        inner = [float(role != FRONT) for role in roles]
        return [weight / sum(inner) for weight in inner]
    if positions == "last":
        index = length - 1
    elif isinstance(positions, int) and not isinstance(positions, bool):
        index = positions + length if positions < 0 else positions
    else:
        raise PromptError(f"positions {positions!r} given: expected 'last', 'mean' or the index of a token.")
    if not 0 <= index < length:
        raise PromptError(f"token {positions} asked for, but prompt {prompt.text!r} has {length} tokens, 0 to {length - 1}.")
    return [float(place == index) for place in range(length)]


def placed(weights: list[list[float]], batch: TokenBatch) -> Float[Tensor, "batch pos"]:
    """The rows' weights where their tokens stand in a padded batch; 0 at padding."""
    full = torch.zeros(batch.tokens.shape)
    for line, start, values in zip(full, batch.starts, weights, strict=True):
        line[start : start + len(values)] = torch.tensor(values)
    return full.to(batch.tokens.device)


def read(residual: Float[Tensor, "batch pos d_model"], weights: Float[Tensor, "batch pos"]) -> Float[Tensor, "batch d_model"]:
    """The weighted sum over each row's tokens, in float32."""
    # where() keeps what stands at padding out of the sum even if it is not finite
    kept = torch.where(weights[..., None] != 0, residual.float(), 0.0)
    return einsum(kept, weights, "batch pos d_model, batch pos -> batch d_model")
