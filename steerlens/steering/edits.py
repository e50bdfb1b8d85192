"""The edits themselves, as functions of tensors, and which tokens they touch."""

from typing import Literal, get_args

import torch
from einops import einsum
from jaxtyping import Bool, Float, Int
from torch import Tensor

from steerlens.models.roles import GENERATED, LAST, PROMPT
from steerlens.settings import Which

Operation = Literal["add", "ablate", "project"]
"""Add the direction; remove the residual's component along it; set that component to a given value."""

OPERATIONS: tuple[Operation, ...] = get_args(Operation)

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


def set_component(
    residual: Float[Tensor, "batch pos d_model"],
    direction: Float[Tensor, " d_model"],
    value: float,
    strength: float,
    steered: Bool[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos d_model"]:
    """The residual with its component along ``direction`` set to ``value`` at the steered tokens.

    ``h + strength * (value - h . u) u`` with the unit direction ``u``. Value 0 is directional ablation (Arditi et al., arXiv
    2406.11717, section 2.4). The component is taken in float32.

    Args:
        direction: of any length; only where it points counts.
        value: in the residual stream's units.
        strength: share of the way to ``value``; 1 sets it. 0 returns the residual unchanged, bit for bit.
    """
    if strength == 0:
        return residual
    unit = torch.nn.functional.normalize(direction.to(residual.device, torch.float32), dim=0)
    component = einsum(residual.float(), unit, "batch pos d_model, d_model -> batch pos")
    step = einsum(strength * (value - component), unit, "batch pos, d_model -> batch pos d_model")
    return torch.where(steered[..., None], residual + step.to(residual.dtype), residual)


def steered_tokens(roles: Int[Tensor, "batch pos"], which: Which) -> Bool[Tensor, "batch pos"]:
    """Which tokens of a pass are steered. What stands in front and padding never are."""
    steered = torch.zeros_like(roles, dtype=torch.bool)
    for role in _STEERED[which]:
        steered |= roles == role
    return steered


def leaves_prompt(which: Which) -> bool:
    """No token before the prompt's last one is steered."""
    return PROMPT not in _STEERED[which]
