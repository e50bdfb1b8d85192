"""Running the blocks and nothing more: capture and hooks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from steerlens.models.batches import TokenBatch
from steerlens.models.passes import announced, body_of, claimed, of_this_thread

Hook = tuple[str, Callable[..., Any]]


def residual_hook(layer: int) -> str:
    """Name of the hook after block ``layer``: where residuals are read and where vectors are added."""
    return f"blocks.{layer}.hook_resid_post"


class _SeenEnough(Exception):
    """Ends a pass whose remaining blocks nobody needs."""


def run_blocks(tl: Any, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
    """Residual stream after all blocks and the final norm; nothing is unembedded."""
    with claimed(tl), announced(tl, batch.roles):
        output = body_of(tl.original_model)(
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

    hooks = [(residual_hook(layer), of_this_thread(partial(keep, layer=layer))) for layer in layers]
    with claimed(tl), suppress(_SeenEnough), tl.hooks(fwd_hooks=hooks):
        run_blocks(tl, batch)
    return seen


@contextmanager
def hooked(tl: Any, hooks: Sequence[Hook]) -> Iterator[None]:
    """Adds hooks and, however the block ends, removes these and no others."""
    with claimed(tl), tl.hooks(fwd_hooks=[(name, of_this_thread(hook)) for name, hook in hooks]):
        yield
