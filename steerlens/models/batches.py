"""Pads rows of tokens into batches. Each row contains a prompt, and all choices of this prompt after it.

A row contains the prompt once, and then every choice. Each choice attends to the prompt and to itself, but not to the other
choices, and its positions continue from the prompt's end. Therefore each token of a choice has the same residual as in a row that
contains only the prompt and this choice. The prompt's tokens, which are most of the row, are computed once instead of once per
choice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Int, Shaped
from torch import Tensor

from steerlens.errors import SettingsError
from steerlens.models.roles import FRONT, GENERATED, LAST, PAD, PROMPT

PaddingSide = Literal["left", "right"]
Layout = Literal["left", "right", "aligned"]
"""The side on which shorter rows are padded. ``aligned`` pads on both sides, so that all prompts end in the same column."""
_ALIKE = 0.85
"""The smallest allowed length of a row, divided by the length of the longest row in the batch. Once a batch is large enough,
shorter rows go into the next batch, because they would need too much padding."""
_ENOUGH, _MOST_COPIES = 1 / 8, 7
"""Two numbers that decide when a batch counts as large enough. The first number is the smallest share of the token budget that
such a batch must fill. Rows with choices are repeated once for each plan. For these rows, the share is divided by the number of
copies plus one. The second number is the largest number of copies that is used in this division."""


@dataclass(frozen=True)
class Row:
    """One prompt and the choices that follow it. Each choice starts right after the prompt."""

    prompt: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...] = ()
    front: int = 0
    """The number of tokens in front of the text, such as BOS. Tokens of the shared prefix count too."""
    offset: int = 0
    """The number of tokens in the shared prefix. The model runs the prefix separately, and the tokens of the row attend to the
    prefix."""
    ends: bool = True
    """Whether the prompt ends in this row. In the row of a shared prefix, the prompt does not end."""

    def __len__(self) -> int:
        return len(self.prompt) + sum(map(len, self.choices))

    @property
    def onward(self) -> int:
        """The number of tokens from the prompt's last token to the end of the row."""
        return 1 + len(self) - len(self.prompt)

    @property
    def ids(self) -> list[int]:
        """The token ids of the prompt, and then the token ids of all choices."""
        return [*self.prompt, *(token for choice in self.choices for token in choice)]

    @property
    def positions(self) -> list[int]:
        """The position of each token in the text. The positions of every choice continue from the prompt's end."""
        start = self.offset + len(self.prompt)
        return [*range(self.offset, start), *(start + i for choice in self.choices for i in range(len(choice)))]

    @property
    def segments(self) -> list[int]:
        """The part of the row to which each token belongs: 0 for the prompt, k for the k-th choice."""
        return [0] * len(self.prompt) + [k for k, choice in enumerate(self.choices, 1) for _ in choice]

    @property
    def roles(self) -> list[int]:
        """The role of each token, for hooks."""
        roles = [PROMPT] * len(self.prompt) + [GENERATED] * (len(self) - len(self.prompt))
        if self.ends:
            roles[len(self.prompt) - 1] = LAST
        for at in range(max(0, self.front - self.offset)):
            roles[at] = FRONT
        return roles

    def after(self, count: int) -> "Row":
        """Returns the row without its first ``count`` tokens. The positions in the new row continue from these tokens."""
        return replace(self, prompt=self.prompt[count:], offset=self.offset + count)


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Rows that are padded to one length."""

    tokens: Int[Tensor, "batch pos"]
    positions: Int[Tensor, "batch pos"]
    roles: Int[Tensor, "batch pos"]
    mask: Shaped[Tensor, "batch pos"] | Shaped[Tensor, "batch 1 pos key"]
    """The attention mask: 1 for a token and 0 for padding. For rows with several choices or a shared prefix, the mask contains
    numbers that are added to the attention scores. The keys of the mask are the tokens of the prefix and of the row."""
    starts: tuple[int, ...]
    """The column of each row's first token."""
    rows: tuple[Row, ...]

    @property
    def last(self) -> int:
        """The column that contains every prompt's last token in an aligned batch."""
        return min(start + len(row.prompt) - 1 for start, row in zip(self.starts, self.rows, strict=True))


def token_batch(
    rows: Sequence[Row], pad_id: int, device: torch.device, dtype: torch.dtype, layout: Layout = "right"
) -> TokenBatch:
    """Pads rows to one length."""
    length, longest = max(map(len, rows)), max(len(row.prompt) for row in rows)
    if layout == "aligned":
        length = longest - 1 + max(row.onward for row in rows)
    before = {"right": lambda _: 0, "left": lambda row: length - len(row), "aligned": lambda row: longest - len(row.prompt)}
    starts = tuple(map(before[layout], rows))

    def padded(values: list[list[int]], fill: int) -> Tensor:
        full = torch.full((len(rows), length), fill, dtype=torch.long)
        for line, start, row in zip(full, starts, values, strict=True):
            line[start : start + len(row)] = torch.tensor(row)
        return full

    roles = padded([row.roles for row in rows], PAD)
    tokens = padded([row.ids for row in rows], pad_id)
    positions = padded([row.positions for row in rows], 0)
    mask = (roles != PAD).long()
    if any(len(row.choices) > 1 or row.offset for row in rows):
        mask = _additive(padded([row.segments for row in rows], -1), rows[0].offset, dtype)
    tokens, positions, roles, mask = (tensor.to(device) for tensor in (tokens, positions, roles, mask))
    return TokenBatch(tokens, positions, roles, mask, starts, tuple(rows))


def _additive(segments: Int[Tensor, "batch pos"], prefix: int, dtype: torch.dtype) -> Shaped[Tensor, "batch 1 pos key"]:
    """Returns an additive attention mask: 0 if a token (second to last axis) may attend to another token (last axis), and
    otherwise the smallest number of the dtype. Every token attends to the prefix."""
    query, key = rearrange(segments, "b q -> b 1 q 1"), rearrange(segments, "b k -> b 1 1 k")
    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    sees = before & ((key == 0) | (key == query))  # padding (-1) sees padding, so that no row of scores is empty
    mask = torch.zeros(sees.shape, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)
    return torch.nn.functional.pad(mask, (prefix, 0))


def by_length(lengths: Sequence[int], batch_size: int | None, token_budget: int) -> Iterator[list[int]]:
    """Yields batches of row indices, the longest rows first. Rows of similar length are together, so a batch needs little
    padding. The first batch has the longest rows, so if the memory is too small, the error already occurs in this batch.

    Args:
        lengths: the number of tokens of each row.
        batch_size: the number of rows in a batch. With ``None``, the padded batch has at most ``token_budget`` tokens.
        token_budget: the number of tokens that the device can run at once.
    """
    return _batched([(0, length) for length in lengths], batch_size, token_budget, _ENOUGH)


def by_choices(rows: Sequence[Row], batch_size: int | None, token_budget: int, copies: int = 1) -> Iterator[list[int]]:
    """Yields aligned batches of indices of rows with choices. The rows with the longest choices come first.

    The tokens after the prompts are computed again for every plan. So rows with a similar number of tokens after the prompt are
    put together.

    Args:
        rows: prompts with their choices.
        batch_size, token_budget: see ``by_length``.
        copies: the number of plans that are run at once.
    """
    sizes = [(len(row.prompt) - 1, row.onward) for row in rows]
    return _batched(sizes, batch_size, token_budget, _ENOUGH / (1 + min(copies, _MOST_COPIES)))


def by_prompt(lengths: Sequence[int], new: int, copies: int, token_budget: int) -> Iterator[list[int]]:
    """Yields batches of indices of prompts for text generation, the longest prompts first.

    Args:
        lengths: the number of tokens of each prompt.
        new: the number of tokens that are generated after each prompt.
        copies: the number of texts that are generated at once after each prompt.
        token_budget: the number of tokens that the device can run at once, including generated tokens.
    """
    return _batched([(copies * length, copies * new) for length in lengths], None, token_budget, _ENOUGH)


def _batched(sizes: Sequence[tuple[int, int]], batch_size: int | None, budget: int, enough: float) -> Iterator[list[int]]:
    """Yields batches of indices, ordered by the number of tokens after the prompt. Each size is ``(prompt, onward)``: the number
    of tokens up to the end of the prompt, and the number of tokens from there on. Prompts are aligned at their end."""
    if batch_size is not None and batch_size < 1:
        raise SettingsError(f"batch size {batch_size} was given: expected at least 1, or None to choose the size automatically.")
    order = sorted(range(len(sizes)), key=lambda index: (-sizes[index][1], -sizes[index][0]))
    while order:
        onward, prompt, size = sizes[order[0]][1], 0, 0
        for index in order:
            padded = (max(prompt, sizes[index][0]) + onward) * (size + 1)
            ends = size == batch_size if batch_size else padded > budget
            shorter = sizes[index][1] < _ALIKE * onward and (prompt + onward) * size >= enough * budget
            if size and (ends or (shorter and not batch_size)):
                break
            prompt, size = max(prompt, sizes[index][0]), size + 1
        yield order[:size]
        order = order[size:]
