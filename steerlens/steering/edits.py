"""The edit itself, as a function of tensors, and which tokens it touches."""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from steerlens.models.roles import GENERATED, LAST, PROMPT

Which = Literal["all", "prompt", "last_onward", "generated"]
"""Tokens that are steered: all but BOS; the prompt's; from its last token onward; only those generated after it."""

WHICH: tuple[Which, ...] = get_args(Which)

_STEERED = {
    "all": (PROMPT, LAST, GENERATED),
    "prompt": (PROMPT, LAST),
    "last_onward": (LAST, GENERATED),
    "generated": (GENERATED,),
}


def add_direction(
    residual: Float[Tensor, "batch pos d_model"],
    direction: Float[Tensor, " d_model"],
    strength: float,
    steered: Bool[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos d_model"]:
    """``residual + strength * direction`` at the steered tokens, the residual itself elsewhere.

    The argument is left as it was. Strength 0 returns it unchanged, bit for bit.
    """
    if strength == 0:
        return residual
    step = (strength * direction).to(residual.device, residual.dtype)
    return torch.where(steered[..., None], residual + step, residual)


def steered_tokens(roles: Int[Tensor, "batch pos"], which: Which) -> Bool[Tensor, "batch pos"]:
    """Which tokens of a pass are steered. BOS and padding never are."""
    steered = torch.zeros_like(roles, dtype=torch.bool)
    for role in _STEERED[which]:
        steered |= roles == role
    return steered


def leaves_prompt(which: Which) -> bool:
    """No token before the prompt's last one is steered."""
    return PROMPT not in _STEERED[which]
