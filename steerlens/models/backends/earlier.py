"""Gives keys and values of earlier tokens to a Hugging Face block."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache


@dataclass(frozen=True, eq=False)
class Earlier:
    """The earlier tokens that one block's attention sees in front of the tokens of a pass, and the keys and values that are
    kept."""

    index: int
    """The index of the block."""
    before: tuple[Tensor, Tensor] | None
    """The keys and the values of the earlier tokens, each ``[row, head, key, d_head]``."""
    keep: int
    """The number of the pass's first tokens whose keys and values are kept."""
    kept: dict[int, tuple[Tensor, Tensor]]
    """The kept keys and values by block, for the earlier tokens and for the first ``keep`` tokens of the pass."""
    a_copy_each: bool
    """Whether ``before`` contains one row for each copy of the batch, and not one row for each row of the batch."""

    def joined(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the keys and values that the block's queries see."""
        every = (keys, values) if self.before is None else _joined(self.before, keys, values, a_copy_each=self.a_copy_each)
        if self.keep:
            length = every[0].shape[2] - keys.shape[2] + self.keep
            self.kept[self.index] = (every[0][:, :, :length].contiguous(), every[1][:, :, :length].contiguous())
        return every


class EarlierCache(Cache):  # type: ignore[misc]
    """A cache for one block that never grows: each pass sees the same earlier tokens."""

    def __init__(self, earlier: Earlier) -> None:
        super().__init__(layers=[])
        self.earlier = earlier

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Returns the keys and values that the block's queries see. The block's number in the call is not used."""
        return self.earlier.joined(key_states, value_states)

    def get_seq_length(self, *_: Any, **__: Any) -> int:
        """Returns the number of earlier tokens."""
        return 0 if self.earlier.before is None else int(self.earlier.before[0].shape[2])

    def get_mask_sizes(self, query_length: int, *_: Any, **__: Any) -> tuple[int, int]:
        """Returns the number of keys that the block's queries see, and the position of the first key, which is 0."""
        return self.get_seq_length() + query_length, 0


def _joined(before: tuple[Tensor, Tensor], keys: Tensor, values: Tensor, *, a_copy_each: bool) -> tuple[Tensor, Tensor]:
    times = len(keys) // len(before[0])
    if len(before[0]) == 1:
        earlier = [part.expand(times, -1, -1, -1) for part in before]
    elif a_copy_each:
        earlier = [part.repeat_interleave(times, 0) for part in before]
    else:
        earlier = [part.repeat(times, 1, 1, 1) for part in before]
    return torch.cat([earlier[0], keys], dim=2), torch.cat([earlier[1], values], dim=2)
