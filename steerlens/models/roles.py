"""What each token of a forward pass is, so that a hook can tell which to touch."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from jaxtyping import Int
from torch import Tensor

PAD, BOS, PROMPT, LAST, GENERATED = range(5)
"""Padding; the first token; the prompt; its last token; what follows it (generated, or a choice that is scored)."""

_announced: ContextVar[Tensor | None] = ContextVar("steerlens_roles", default=None)


@contextmanager
def announced(roles: Int[Tensor, "batch pos"]) -> Iterator[None]:
    """Tells the hooks of the passes inside what their tokens are."""
    token = _announced.set(roles)
    try:
        yield
    finally:
        _announced.reset(token)


def announced_roles() -> Tensor | None:
    """Roles of the pass that runs now, if steerlens itself runs it."""
    return _announced.get()


def roles_of(tokens: Int[Tensor, "batch pos"], bos_id: int | None, pad_id: int | None) -> Int[Tensor, "batch pos"]:
    """Roles read off the tokens alone, for passes that somebody else runs.

    A row that begins with BOS, after padding if any, is a prompt. A row that does not continues a generation with its
    key-value cache, and so does a single token where the model has no BOS. Padding may be on either side, and may be
    the same token as BOS, as in GPT-2: then of the leading run the last one is BOS.
    """
    batch, length = tokens.shape
    place = torch.arange(length, device=tokens.device).expand(batch, length)
    special = torch.zeros_like(tokens, dtype=torch.bool)
    for token in (bos_id, pad_id):
        if token is not None:
            special |= tokens == token
    start = _leading(special)
    is_pad = tokens == pad_id if pad_id is not None else torch.zeros_like(special)
    end = length - _leading(is_pad.flip(1))
    begins = (start > 0) & (tokens.gather(1, (start - 1).clamp(min=0)[:, None])[:, 0] == bos_id) if bos_id is not None else None
    continues = torch.full((batch,), length == 1, device=tokens.device) if begins is None else ~begins

    roles = torch.full_like(tokens, PROMPT)
    roles[place < start[:, None]] = PAD
    if begins is not None:
        roles[(place == start[:, None] - 1) & begins[:, None]] = BOS
    roles[(place == end[:, None] - 1) & (place >= start[:, None])] = LAST
    roles[place >= end[:, None]] = PAD
    return torch.where(continues[:, None], torch.full_like(roles, GENERATED), roles)


def _leading(flags: Tensor) -> Tensor:
    """Length of the run of true values at the front of each row."""
    return flags.long().cumprod(dim=1).sum(dim=1)
