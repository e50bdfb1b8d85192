"""Running the blocks and nothing more: capture, recorded passes, resuming at a block, unembedding where it is needed.

The unembedding of a multilingual model is larger than all its blocks (Gemma 3 270M: 168 of 268 million parameters), so
it is applied only to the tokens whose logits are asked for.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
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


@dataclass(frozen=True, eq=False)
class Targets:
    """Tokens whose log probabilities are asked for."""

    places: Int[Tensor, " n"]
    """Which of the places given predicts each of them."""
    tokens: Int[Tensor, " n"]


def log_probabilities(tl: Any, final: Float[Tensor, "place d_model"], targets: Targets, chunk: int) -> Float[Tensor, " n"]:
    """Log probability of each target, in float32. The logits of ``chunk`` places are held at once.

    Args:
        final: normed residuals of the places.
    """
    out = torch.empty(len(targets.tokens), device=final.device)
    for start in range(0, len(final), chunk):
        here, values = _in_chunk(tl, final[start : start + chunk], start, targets)
        out[here] = values
    return out


def log_probability_gradient(
    tl: Any, final: Float[Tensor, "place d_model"], targets: Targets, weights: Float[Tensor, " n"], chunk: int
) -> Float[Tensor, "place d_model"]:
    """Derivative of the targets' weighted sum of log probabilities with respect to ``final``, ``chunk`` places at a time."""
    gradient = torch.empty_like(final)
    for start in range(0, len(final), chunk):
        states = final[start : start + chunk].detach().requires_grad_()
        here, values = _in_chunk(tl, states, start, targets)
        (gradient[start : start + chunk],) = torch.autograd.grad((values * weights[here]).sum(), states)
    return gradient


def _in_chunk(tl: Any, states: Float[Tensor, "place d_model"], start: int, targets: Targets) -> tuple[Tensor, Tensor]:
    """Which targets the places from ``start`` predict, and their log probabilities."""
    here = ((targets.places >= start) & (targets.places < start + len(states))).nonzero()[:, 0]
    rows = targets.places[here] - start
    logits = logits_of(tl, states).float()
    return here, logits[rows, targets.tokens[here]] - logits.logsumexp(dim=1)[rows]


def logits_of(tl: Any, final: Float[Tensor, "*n d_model"]) -> Float[Tensor, "*n d_vocab"]:
    """Logits of normed residuals, with the soft cap that Gemma 2 puts on them."""
    logits = tl.unembed(final)
    cap = getattr(tl.original_model.config.get_text_config(), "final_logit_softcapping", None)
    return logits if cap is None else torch.tanh(logits / cap) * cap


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
