"""Running the blocks and nothing more: capture, recorded passes, resuming at a block, derivatives."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models.batches import TokenBatch
from steerlens.models.roles import announced

Hook = tuple[str, Callable[..., Any]]
Call = tuple[tuple[Any, ...], dict[str, Any]]


def residual_hook(layer: int) -> str:
    """Name of the hook after block ``layer``: where residuals are read and where vectors are added."""
    return f"blocks.{layer}.hook_resid_post"


class _SeenEnough(Exception):
    """Ends a pass whose remaining blocks nobody needs."""


def run_blocks(tl: Any, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
    """Residual stream after all blocks and the final norm; nothing is unembedded."""
    with announced(batch.roles):
        output = tl.original_model.base_model(
            input_ids=batch.tokens, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
        )
    return output.last_hidden_state


def residuals_after(tl: Any, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
    """What ``read`` makes of the residual stream ``[batch, pos, d_model]`` after each of ``layers``.

    The blocks above the highest of them are not run.
    """
    seen: dict[int, Tensor] = {}
    highest = max(layers)

    def keep(residual: Tensor, hook: Any, layer: int) -> None:
        seen[layer] = read(residual)
        if layer == highest:
            raise _SeenEnough

    hooks = [(residual_hook(layer), partial(keep, layer=layer)) for layer in layers]
    with suppress(_SeenEnough), tl.hooks(fwd_hooks=hooks):
        run_blocks(tl, batch)
    return seen


@dataclass(frozen=True, eq=False)
class Recording:
    """One pass, kept so that it can go on from any of its layers with another residual."""

    batch: TokenBatch
    residuals: dict[int, Float[Tensor, "batch pos d_model"]]
    """``hook_resid_post`` by layer."""
    calls: tuple[Call, ...]
    """What each block was given besides its residual: mask, positions, rotary embeddings."""
    final: Float[Tensor, "batch pos d_model"]
    """After all blocks and the final norm."""


def record(tl: Any, batch: TokenBatch, layers: Sequence[int]) -> Recording:
    """Runs a batch once and keeps what ``resume`` needs for ``layers``."""
    calls: dict[int, Call] = {}
    residuals: dict[int, Tensor] = {}

    def keep_call(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], index: int) -> None:
        calls[index] = (args[1:], {name: value for name, value in kwargs.items() if name != "hidden_states"})

    def keep_residual(residual: Tensor, hook: Any, layer: int) -> None:
        residuals[layer] = residual

    hooks = [(residual_hook(layer), partial(keep_residual, layer=layer)) for layer in layers]
    with ExitStack() as stack:
        for index, block in enumerate(tl.blocks):
            handle = block.register_forward_pre_hook(partial(keep_call, index=index), with_kwargs=True)
            stack.callback(handle.remove)
        stack.enter_context(tl.hooks(fwd_hooks=hooks))
        final = run_blocks(tl, batch)
    return Recording(batch, residuals, tuple(calls[index] for index in range(len(tl.blocks))), final)


def resume(
    tl: Any, recording: Recording, layer: int, residual: Float[Tensor, "batch pos d_model"]
) -> Float[Tensor, "batch pos d_model"]:
    """What the recorded pass would have ended in, had the residual after block ``layer`` been this one.

    Only the blocks above ``layer`` run: the bridge's own ``start_at_layer`` runs those below too.
    """
    with announced(recording.batch.roles):
        for block, (args, kwargs) in zip(tl.blocks[layer + 1 :], recording.calls[layer + 1 :], strict=True):
            output = block(residual, *args, **kwargs)
            residual = output[0] if isinstance(output, tuple) else output
        return tl.ln_final(residual)


def residual_gradients(
    tl: Any, batch: TokenBatch, layers: Sequence[int], final_gradient: Callable[[Tensor], Tensor]
) -> dict[int, Float[Tensor, "batch pos d_model"]]:
    """Derivative of a number that is read off the final residual, with respect to the residual after each of ``layers``.

    One pass forward and one backward, through the blocks above the lowest layer only. Parameters take no gradient.

    Args:
        final_gradient: from the normed final residual ``[batch, pos, d_model]`` to the number's derivative with respect to it.
    """
    kept: dict[int, Tensor] = {}

    def keep(residual: Tensor, hook: Any, layer: int) -> Tensor:
        if kept:
            residual.retain_grad()
        else:
            residual = residual.detach().requires_grad_()  # a leaf: nothing below is differentiated
        kept[layer] = residual
        return residual

    hooks = [(residual_hook(layer), partial(keep, layer=layer)) for layer in sorted(layers)]
    with _frozen(tl), torch.enable_grad(), tl.hooks(fwd_hooks=hooks):
        final = run_blocks(tl, batch)
        torch.autograd.backward(final, final_gradient(final.detach()))
    return {layer: residual.grad for layer, residual in kept.items() if residual.grad is not None}


@contextmanager
def _frozen(tl: Any) -> Iterator[None]:
    """No parameter asks for a gradient inside; afterwards each asks as before."""
    asking = [parameter for parameter in tl.original_model.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


@contextmanager
def hooked(tl: Any, hooks: Sequence[Hook]) -> Iterator[None]:
    """Adds hooks and, however the block ends, removes these and no others."""
    with torch.no_grad(), tl.hooks(fwd_hooks=list(hooks)):
        yield
