"""Runs a pass of a bridge that can be continued from any layer with another residual, and from the prompt's last token.

Blocks below the first edited block are not computed again. Tokens before the first edited token are not computed again either:
later tokens see only their keys and values.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models.backends.arguments import Arguments, Fitted, named
from steerlens.models.backends.protocol import CachedPass, KeyValues
from steerlens.models.batches import TokenBatch
from steerlens.models.hooks import residual_hook
from steerlens.models.passes import announced, of_this_thread

if TYPE_CHECKING:
    from steerlens.models.backends.bridge import BridgeBackend


@dataclass(frozen=True, eq=False)
class _Own:
    """The data that a cached pass of a bridge keeps, in addition to the data that all backends keep."""

    calls: tuple[Arguments, ...]
    """The arguments of each block in addition to its residual: mask, positions, rotary embeddings."""
    before: KeyValues
    """The keys and values of the shared prefix and of the columns before the first kept column."""


@torch.no_grad()
def cached_pass(
    backend: "BridgeBackend", batch: TokenBatch, layers: Sequence[int], start: int = 0, before: KeyValues | None = None
) -> CachedPass:
    """Runs a batch once and keeps what ``resume`` needs for ``layers``.

    Args:
        backend: the model.
        batch: the rows.
        layers: the layers after which the residual stream is kept.
        start: the first column that is kept.
        before: keys and values of a prefix that all rows share.
    """
    calls: dict[int, Arguments] = {}
    residuals: dict[int, Tensor] = {}

    def keep_call(block: Any, args: tuple[Any, ...], kwargs: dict[str, Any], index: int) -> None:
        calls[index] = named(block, args, kwargs)

    def keep_residual(residual: Tensor, hook: Any, layer: int) -> None:
        residuals[layer] = residual[:, start:].contiguous()

    with backend.claimed(), ExitStack() as stack:
        for index, block in enumerate(backend.tl.blocks):
            handle = block.register_forward_pre_hook(of_this_thread(partial(keep_call, index=index)), with_kwargs=True)
            stack.callback(handle.remove)
        stack.enter_context(backend.hooked([(residual_hook(layer), partial(keep_residual, layer=layer)) for layer in layers]))
        kept = stack.enter_context(attending(backend, before, start))
        final = backend.final(batch)
    own = _Own(tuple(calls[index] for index in range(backend.n_layers)), kept)
    return CachedPass(batch, start, residuals, final[:, start:].contiguous(), own)


def resume(
    backend: "BridgeBackend",
    cached: CachedPass,
    entering: Mapping[int, Float[Tensor, "_ pos d_model"]],
    before: KeyValues | None = None,
    keep: int = 0,
    *,
    a_copy_each: bool = False,
) -> tuple[Float[Tensor, "row pos d_model"], KeyValues]:
    """Returns the results that the cached pass would have had with other residual streams after some blocks.

    ``Backend.resume`` documents the arguments and the result.

    Raises:
        NotImplementedError: a block gets a tensor, and steerlens does not know which part of it belongs to which token.
    """
    batch, own, lowest = cached.batch, cached.own, min(entering)
    seen = own.before if before is None else before
    residual, fitted = entering[lowest], Fitted(cached.start, batch.tokens.shape[1], len(batch.rows), 0)
    with (
        backend.claimed(),
        attending(backend, seen, keep, a_copy_each=a_copy_each) as kept,
        backend.wrappers.aside(),
    ):
        for layer in range(lowest, backend.n_layers):
            if layer in entering:
                residual = entering[layer] if layer == lowest else torch.cat([residual, entering[layer]])
                fitted = fitted.grown(len(residual) // len(batch.rows))
                roles = batch.roles[:, cached.start :].repeat(fitted.copies, 1)
            if layer + 1 < backend.n_layers:
                with announced(backend.state, roles):
                    output = backend.tl.blocks[layer + 1](residual, **fitted(own.calls[layer + 1]))
                residual = output[0] if isinstance(output, tuple) else output
        with announced(backend.state, roles):
            return backend.final_norm(residual).to(batch.tokens.device), kept


@contextmanager
def attending(backend: "BridgeBackend", before: KeyValues | None, keep: int, *, a_copy_each: bool = False) -> Iterator[KeyValues]:
    """Makes attention inside the ``with`` block see the tokens of ``before`` in front of a pass's own tokens. ``before`` has one
    row for each row of the batch, or for each copy of the batch.

    Yields:
        The keys and values of ``before`` and of the first ``keep`` tokens, which are filled in as blocks run.
    """
    kept: dict[int, tuple[Tensor, Tensor]] = dict(before or {})
    if not (before or keep):
        yield kept
        return
    from steerlens.models.backends.earlier import Earlier, EarlierCache

    with backend.claimed(), ExitStack() as stack:
        for index, block in enumerate(backend.tl.blocks):
            cache = EarlierCache(Earlier(index, (before or {}).get(index), keep, kept, a_copy_each))
            given = of_this_thread(partial(_given, cache))
            _on_both.add(given)
            for module in (block.attn, block.attn.original_component):
                stack.callback(module.register_forward_pre_hook(given, with_kwargs=True).remove)
        yield kept


_on_both: "WeakSet[Any]" = WeakSet()


def stands_on_both(hook: object) -> bool:
    """Returns whether a hook is both on a wrapper and on Hugging Face's module inside the wrapper. A hook on both modules has the
    same effect whether it runs once or twice."""
    return hook in _on_both


def _given(cache: Any, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return args, {**kwargs, "past_key_values": cache}
