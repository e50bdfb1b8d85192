"""One pass kept, so that it can go on from any layer with another residual, and from the prompt's last token alone.

What lies below the first block that is edited is not computed again, and neither is what stands before the first token
that is: those tokens' keys and values are all that the others see of them.
"""

from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models.batches import TokenBatch
from steerlens.models.forward import residual_hook, run_blocks
from steerlens.models.passes import announced, claimed, of_this_thread

Call = tuple[tuple[Any, ...], dict[str, Any]]
KeyValues = Mapping[int, tuple[Float[Tensor, "_ head key d_head"], Float[Tensor, "_ head key d_head"]]]
"""Keys and values by layer, of tokens that later ones attend to. One row serves any number of rows."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What a pass left for ``resume``."""

    batch: TokenBatch
    start: int
    """The first column that is kept and run again; what stands before it does not change."""
    residuals: dict[int, Float[Tensor, "batch pos d_model"]]
    """``hook_resid_post`` by layer, from ``start`` on."""
    calls: tuple[Call, ...]
    """What each block was given besides its residual: mask, positions, rotary embeddings."""
    before: KeyValues
    """Of the shared prefix and of the columns before ``start``."""
    final: Float[Tensor, "batch pos d_model"]
    """After all blocks and the final norm, from ``start`` on."""


@torch.no_grad()
def record(tl: Any, batch: TokenBatch, layers: Sequence[int], start: int = 0, before: KeyValues | None = None) -> Recording:
    """Runs a batch once and keeps what ``resume`` needs for ``layers``.

    Args:
        before: keys and values of a prefix that all rows share.
    """
    calls: dict[int, Call] = {}
    residuals: dict[int, Tensor] = {}

    def keep_call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], index: int) -> None:
        calls[index] = (args[1:], {name: value for name, value in kwargs.items() if name != "hidden_states"})

    def keep_residual(residual: Tensor, hook: Any, layer: int) -> None:
        residuals[layer] = residual[:, start:].contiguous()

    hooks = [(residual_hook(layer), of_this_thread(partial(keep_residual, layer=layer))) for layer in layers]
    with claimed(tl), ExitStack() as stack:
        for index, block in enumerate(tl.blocks):
            handle = block.register_forward_pre_hook(of_this_thread(partial(keep_call, index=index)), with_kwargs=True)
            stack.callback(handle.remove)
        stack.enter_context(tl.hooks(fwd_hooks=hooks))
        kept = stack.enter_context(attending(tl, before, start))
        final = run_blocks(tl, batch)
    return Recording(
        batch, start, residuals, tuple(calls[index] for index in range(len(tl.blocks))), kept, final[:, start:].contiguous()
    )


def resume(
    tl: Any,
    recording: Recording,
    layer: int,
    residual: Float[Tensor, "row pos d_model"],
    before: KeyValues | None = None,
    keep: int = 0,
    *,
    a_copy_each: bool = False,
) -> tuple[Float[Tensor, "row pos d_model"], KeyValues]:
    """What the recorded pass would have ended in, had the residual after block ``layer`` been this one.

    Only the blocks above ``layer`` run (the bridge's own ``start_at_layer`` runs those below too), and only the columns
    from the recording's ``start`` on.

    Args:
        residual: of the batch's rows, or of several copies of them one after another, each edited in its own way.
        before: keys and values of what stands before ``start``, if not those that were recorded.
        keep: columns whose keys and values are kept.
        a_copy_each: ``before`` holds a row for each copy of the batch, not for each of its rows.

    Returns:
        The residual stream after all blocks and the final norm, and the keys and values kept.
    """
    batch = recording.batch
    copies = len(residual) // len(batch.rows)
    fitted = _Fitted(recording.start, batch.tokens.shape[1], len(batch.rows), copies)
    roles = batch.roles[:, recording.start :].repeat(copies, 1)
    seen = recording.before if before is None else before
    with claimed(tl), announced(tl, roles), attending(tl, seen, keep, a_copy_each=a_copy_each) as kept:
        for block, (args, kwargs) in zip(tl.blocks[layer + 1 :], recording.calls[layer + 1 :], strict=True):
            output = block(residual, *fitted(args), **fitted(kwargs))
            residual = output[0] if isinstance(output, tuple) else output
        return tl.ln_final(residual), kept


@contextmanager
def attending(tl: Any, before: KeyValues | None, keep: int, *, a_copy_each: bool = False) -> Iterator[KeyValues]:
    """Attention inside sees ``before`` in front of its own tokens: a row of it for each row, or for each copy of the batch.

    Yields:
        The keys and values of ``before`` and of the first ``keep`` tokens, filled in as blocks run.
    """
    kept: dict[int, tuple[Tensor, Tensor]] = dict(before or {})
    if not (before or keep):
        yield kept
        return
    with claimed(tl), ExitStack() as stack:
        for index, block in enumerate(tl.blocks):
            seen = _Seen(index, (before or {}).get(index), keep, kept, a_copy_each)
            handle = block.attn.register_forward_pre_hook(of_this_thread(partial(_given, seen)), with_kwargs=True)
            stack.callback(handle.remove)
        yield kept


def _given(seen: "_Seen", module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {**kwargs, "past_key_values": seen}


@dataclass(frozen=True, eq=False)
class _Seen:
    """Stands where a block's attention expects Hugging Face's key-value cache."""

    index: int
    before: tuple[Tensor, Tensor] | None
    keep: int
    kept: dict[int, tuple[Tensor, Tensor]]
    a_copy_each: bool

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """The keys and values that the block's queries see."""
        every = (keys, values)
        if self.before is not None:
            every = self._joined(self.before, keys, values)
        if self.keep:
            length = every[0].shape[2] - keys.shape[2] + self.keep
            self.kept[self.index] = (every[0][:, :, :length].contiguous(), every[1][:, :, :length].contiguous())
        return every

    def _joined(self, before: tuple[Tensor, Tensor], keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        times = len(keys) // len(before[0])
        if len(before[0]) == 1:
            earlier = [part.expand(times, -1, -1, -1) for part in before]
        elif self.a_copy_each:
            earlier = [part.repeat_interleave(times, 0) for part in before]
        else:
            earlier = [part.repeat(times, 1, 1, 1) for part in before]
        return torch.cat([earlier[0], keys], dim=2), torch.cat([earlier[1], values], dim=2)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """Cuts what a block was given to the columns from ``start`` on, and repeats it for copies of the batch."""

    start: int
    length: int
    rows: int
    copies: int
    done: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    """By the value's identity; the value is held, so that no other takes its place. Blocks share their masks."""

    def __call__(self, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(map(self, value))
        if isinstance(value, dict):
            return {name: self(part) for name, part in value.items()}
        if isinstance(value, UserDict):  # keys and values that blocks share; blocks that run again write theirs into it
            return self._once(value, self._shared)
        if not isinstance(value, Tensor) or (not self.start and self.copies == 1):
            return value
        return self._once(value, self._cut)

    def _once(self, value: Any, fit: Callable[[Any], Any]) -> Any:
        if id(value) not in self.done:
            self.done[id(value)] = (value, fit(value))
        return self.done[id(value)][1]

    def _shared(self, value: UserDict) -> UserDict:
        """A copy for one run, so that the recorded one stays as it is; what is attended to is not cut."""
        copied = copy(value)
        for name, pair in value.items():
            copied[name] = tuple(part.repeat(self.copies, *[1] * (part.ndim - 1)) for part in pair)
        return copied

    def _cut(self, value: Tensor) -> Tensor:
        if value.ndim == 4 and value.shape[2] == self.length:  # a mask: queries are the second to last axis
            cut = value[:, :, self.start :]
        elif value.ndim in (2, 3) and value.shape[1] == self.length:
            cut = value[:, self.start :]
        else:
            return value
        if len(cut) != self.rows:
            return cut
        return cut.repeat(self.copies, *[1] * (cut.ndim - 1)) if self.rows > 1 else cut.expand(self.copies, *cut.shape[1:])
