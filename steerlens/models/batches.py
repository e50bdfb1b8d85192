"""Rows of tokens, padded into batches; the choices of a prompt packed behind it in one row.

A prompt with its choices is one row: the prompt once, then every choice. Each choice sees the prompt and itself, not
the others, and counts its positions from the prompt's end, so each token's residual is what it would be if the prompt
and that choice stood alone. The prompt's tokens, most of the row, are computed once instead of once a choice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Int, Shaped
from torch import Tensor

from steerlens.models.roles import BOS, GENERATED, LAST, PAD, PROMPT

PaddingSide = Literal["left", "right"]


@dataclass(frozen=True)
class Row:
    """One prompt and the choices that follow it, each from the same place."""

    prompt: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...] = ()
    has_bos: bool = True

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.choices))

    @property
    def ids(self) -> list[int]:
        """The prompt, then all choices."""
        return [*self.prompt, *(token for choice in self.choices for token in choice)]

    @property
    def positions(self) -> list[int]:
        """Positions in the text: every choice counts on from the prompt's end."""
        start = len(self.prompt)
        return [*range(start), *(start + i for choice in self.choices for i in range(len(choice)))]

    @property
    def segments(self) -> list[int]:
        """0 for the prompt, k for the k-th choice."""
        return [0] * len(self.prompt) + [k for k, choice in enumerate(self.choices, 1) for _ in choice]

    @property
    def roles(self) -> list[int]:
        """What each token is, for hooks."""
        roles = [PROMPT] * len(self.prompt) + [GENERATED] * (len(self) - len(self.prompt))
        roles[len(self.prompt) - 1] = LAST
        if self.has_bos:
            roles[0] = BOS
        return roles


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Rows padded to one length."""

    tokens: Int[Tensor, "batch pos"]
    positions: Int[Tensor, "batch pos"]
    roles: Int[Tensor, "batch pos"]
    mask: Shaped[Tensor, "batch pos"] | Shaped[Tensor, "batch 1 pos pos"]
    """1 for a token and 0 for padding, or, for rows with several choices, what is added to each attention score."""
    starts: tuple[int, ...]
    """Where each row's first token stands."""
    rows: tuple[Row, ...]


def token_batch(
    rows: Sequence[Row], pad_id: int, device: torch.device, dtype: torch.dtype, side: PaddingSide = "right"
) -> TokenBatch:
    """Pads rows to the longest of them."""
    length = max(map(len, rows))
    starts = tuple(length - len(row) if side == "left" else 0 for row in rows)

    def padded(values: list[list[int]], fill: int) -> Tensor:
        full = torch.full((len(rows), length), fill, dtype=torch.long)
        for line, start, row in zip(full, starts, values, strict=True):
            line[start : start + len(row)] = torch.tensor(row)
        return full

    roles = padded([row.roles for row in rows], PAD)
    tokens = padded([row.ids for row in rows], pad_id)
    positions = padded([row.positions for row in rows], 0)
    mask = (roles != PAD).long()
    if any(len(row.choices) > 1 for row in rows):
        mask = _additive(padded([row.segments for row in rows], -1), dtype)
    tokens, positions, roles, mask = (tensor.to(device) for tensor in (tokens, positions, roles, mask))
    return TokenBatch(tokens, positions, roles, mask, starts, tuple(rows))


def _additive(segments: Int[Tensor, "batch pos"], dtype: torch.dtype) -> Shaped[Tensor, "batch 1 pos pos"]:
    """0 where a token (second to last axis) may see another (last axis), the dtype's least number elsewhere."""
    query, key = rearrange(segments, "b q -> b 1 q 1"), rearrange(segments, "b k -> b 1 1 k")
    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    sees = before & ((key == 0) | (key == query))  # padding (-1) sees padding, so that no row of scores is empty
    return torch.zeros(sees.shape, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)


def by_length(lengths: Sequence[int], batch_size: int | None, token_budget: int) -> Iterator[list[int]]:
    """Indices in batches, longest first, so that a batch pads little and one too large for memory fails at once.

    Args:
        lengths: tokens of each row.
        batch_size: rows in a batch; for ``None``, as many as keep the padded batch within ``token_budget`` tokens.
        token_budget: tokens that the device takes at once.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    while order:
        size = batch_size or max(1, token_budget // max(1, lengths[order[0]]))
        yield order[:size]
        order = order[size:]
