"""Finds the tokens of a forward pass that are steered."""

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
    """Returns a mask of the tokens of a pass that are steered. Padding and the special tokens in front of the text (such as
    BOS) are never steered."""
    steered = torch.zeros_like(roles, dtype=torch.bool)
    for role in _STEERED[tokens]:
        steered |= roles == role
    return steered


def leaves_prompt(tokens: SteeredTokens) -> bool:
    """Returns whether all tokens before the prompt's last token are left unsteered."""
    return PROMPT not in _STEERED[tokens]
