"""Checks whether a backward pass gives derivatives through all parts of a model's blocks. Kernels for quantized weights may have
no derivatives."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from steerlens.models.backends.watching import modules_of
from steerlens.models.batches import Row, token_batch
from steerlens.models.devices import number_of
from steerlens.models.hooks import residual_hook
from steerlens.models.passes import of_this_thread

if TYPE_CHECKING:
    from steerlens.models.backends.bridge import BridgeBackend


@torch.inference_mode(False)
def lets_derivatives_through(backend: "BridgeBackend") -> bool:
    """Returns whether PyTorch's derivatives pass through every part of every block above the first block.

    If a kernel has no derivative, PyTorch computes only the derivative of the residual stream around the kernel. This result
    would be wrong, and PyTorch would raise no error.

    Args:
        backend: the model. During the check, the model's parameters get no gradient.
    """
    from steerlens.models.gradients import frozen

    cut: list[str] = []

    def begin(residual: Tensor, hook: Any) -> Tensor:
        return residual.detach().requires_grad_()

    def look(module: torch.nn.Module, given: Any, output: Any) -> None:
        asks, own = any(tensor.requires_grad for tensor in _numbers(given)), list(_numbers(output))
        if asks and own and not any(tensor.requires_grad for tensor in own):
            cut.append(type(module).__name__)

    parts = [module for block in list(backend.tl.blocks)[1:] for module in modules_of(block)]
    own = [module for module in parts if module._parameters or module._buffers or not module._modules]
    batch = token_batch([Row((1, 2, 3))], 0, backend.device, number_of(backend.parameters()))
    try:
        with torch.enable_grad(), frozen(backend), ExitStack() as stack:
            for module in own:
                stack.callback(module.register_forward_hook(of_this_thread(look)).remove)
            stack.enter_context(backend.hooked([(residual_hook(0), begin)]))
            final = backend.final(batch)
            torch.autograd.backward(final.float().sum())
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError):  # a kernel that reports a missing derivative itself
        return False
    return not cut


def _numbers(value: Any) -> Iterator[Tensor]:
    """Yields the tensors of floating-point numbers in a module's input or output."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _numbers(each)
