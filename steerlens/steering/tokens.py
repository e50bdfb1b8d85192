"""The tokens of a pass that are steered."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from steerlens.models.roles import GENERATED, LAST, PROMPT
from steerlens.settings import SteeredTokens

_STEERED = {
    "all": (PROMPT, LAST, GENERATED),
    "prompt": (PROMPT, LAST),
    "last_onward": (LAST, GENERATED),
    "generated": (GENERATED,),
}


def steered_tokens(roles: Int[Tensor, "batch pos"], tokens: SteeredTokens) -> Bool[Tensor, "batch pos"]:
    """Returns which tokens of a pass are steered. Padding and the tokens in front of the text are never steered."""
    steered = torch.zeros_like(roles, dtype=torch.bool)
    for role in _STEERED[tokens]:
        steered |= roles == role
    return steered


def leaves_prompt(tokens: SteeredTokens) -> bool:
    """Returns whether no token before the prompt's last token is steered."""
    return PROMPT not in _STEERED[tokens]
