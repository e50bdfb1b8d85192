"""Computes derivatives of a scalar that is computed from the final residual. One backward pass gives the derivatives with respect
to the residual after every layer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models.backends.protocol import Backend, CachedPass
from steerlens.models.batches import TokenBatch
from steerlens.models.hooks import residual_hook


def residual_gradients(
    backend: Backend,
    cached: CachedPass,
    layers: Sequence[int],
    final_gradient: Callable[[Tensor], Tensor],
) -> dict[int, Float[Tensor, "batch pos d_model"]]:
    """Returns the derivative of a scalar with respect to the residual after each of ``layers``. The scalar is computed from the
    final residual.

    The derivatives of all layers take one forward and one backward pass. The two passes run only the blocks above the lowest
    layer, and only the cached columns. The keys and values of earlier tokens are constants. Parameters get no gradient.

    Args:
        backend: the model.
        cached: the pass that is differentiated.
        layers: the layers in ascending order; the cached pass contains the residuals after the first of these layers.
        final_gradient: a function that takes the normed final residual ``[batch, pos, d_model]``, and returns the derivative of
            the scalar with respect to this residual.
    """
    lowest, *above = layers
    leaf = cached.residuals[lowest].detach().requires_grad_()  # the blocks below are not differentiated
    kept: dict[int, Tensor] = {lowest: leaf}

    def keep(residual: Tensor, hook: Any, layer: int) -> None:
        residual.retain_grad()
        kept[layer] = residual

    hooks = [(residual_hook(layer), partial(keep, layer=layer)) for layer in above]
    with torch.enable_grad(), frozen(backend), backend.hooked(hooks):
        final, _ = backend.resume(cached, {lowest: leaf})
        torch.autograd.backward(final, final_gradient(final.detach()))
    return {layer: residual.grad for layer, residual in kept.items() if residual.grad is not None}


def whole_gradients(
    backend: Backend, batch: TokenBatch, layers: Sequence[int], final_gradient: Callable[[Tensor], Tensor]
) -> dict[int, Float[Tensor, "batch pos d_model"]]:
    """Returns the same derivatives as ``residual_gradients``, but computes them from a full pass. The only requirement on the
    architecture is that it can be differentiated.

    Args:
        backend: the model.
        batch: the rows.
        layers, final_gradient: see ``residual_gradients``.
    """
    kept: dict[int, Tensor] = {}

    def keep(residual: Tensor, hook: Any, layer: int) -> Tensor:
        if layer == layers[0]:
            residual = residual.detach().requires_grad_()  # the blocks below are not differentiated
        else:
            residual = residual.clone()  # a hook's input may be a view of several streams, which gets no gradient
            residual.retain_grad()
        kept[layer] = residual
        return residual

    hooks = [(residual_hook(layer), partial(keep, layer=layer)) for layer in layers]
    with torch.enable_grad(), frozen(backend), backend.hooked(hooks):
        final = backend.final(batch)
        torch.autograd.backward(final, final_gradient(final.detach()))
    return {layer: residual.grad for layer, residual in kept.items() if residual.grad is not None}


@contextmanager
def frozen(backend: Any) -> Iterator[None]:
    """Switches off the gradients of all parameters inside the ``with`` block, and restores the earlier state afterwards.

    Args:
        backend: the model.
    """
    asking = [parameter for parameter in backend.parameters() if parameter.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
