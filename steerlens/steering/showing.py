"""A readable table of the steering at each token of a prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from wcwidth import ljust, width

from steerlens.models.batches import Row
from steerlens.models.roles import FRONT, GENERATED, LAST, PAD, PROMPT
from steerlens.models.tokens import Tokens
from steerlens.settings import SteeredTokens
from steerlens.steering.tokens import steered_tokens

_ROLE_NAMES = {PAD: "padding", FRONT: "in front", PROMPT: "prompt", LAST: "last of prompt", GENERATED: "generated"}


@dataclass(frozen=True)
class ShownToken:
    """The steering at one token of a prompt."""

    text: str
    role: str
    steered_at: tuple[int, ...]
    """The layers at which the token is steered."""


class Shown(tuple[ShownToken, ...]):
    """The tokens of a prompt, with the steering at each token. Printing this object shows a table."""

    def __str__(self) -> str:
        rows = [(repr(t.text), t.role, ", ".join(map(str, t.steered_at)) or "-") for t in self]
        rows.insert(0, ("token", "read as", "steered at layers"))
        first, second = (max(width(row[column]) for row in rows) for column in range(2))
        return "\n".join(f"{ljust(a, first)}  {ljust(b, second)}  {c}" for a, b, c in rows)

    __repr__ = __str__


def shown(tokens: Tokens, steps: Sequence[tuple[int, SteeredTokens]]) -> Shown:
    """Returns for each token of a prompt the layers at which some steps steer this token.

    Args:
        tokens: the prompt's tokens.
        steps: the layer of each step, and the tokens that it steers.
    """
    roles = torch.tensor([Row(tokens.ids, front=tokens.n_front).roles])
    steered = [(layer, steered_tokens(roles, which)[0]) for layer, which in steps]
    return Shown(
        ShownToken(text, _ROLE_NAMES[int(role)], tuple(sorted({layer for layer, mask in steered if mask[at]})))
        for at, (text, role) in enumerate(zip(tokens.texts, roles[0], strict=True))
    )
