"""Runs a plan on a Hugging Face model without TransformerLens, with plain PyTorch forward hooks on the blocks."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from steerlens.exchange.hugging_face import blocks_of, check_model, stream_of, with_stream
from steerlens.models.backends.watching import watched
from steerlens.models.passes import ModelState, running_roles, steered_here


@contextmanager
def torch_hooks(plan: Any, model: Any, *, same_weights: bool = True) -> Iterator[Any]:
    """Steers every pass of a Hugging Face model inside the ``with`` block, including ``generate``. The hooks are removed
    afterwards.

    Every operation and every choice of tokens works in the same way as on a ``LensModel``. All tokens of a pass that begins a
    text count as prompt tokens. A token that continues from a cache counts as generated. In ``generate``, the end of the prompt
    is found with and without a cache. Padding and the tokens in front of the prompt are found from the token ids and the
    attention mask. Each pass must therefore get token ids. Gradients can be computed as usual. Inside the ``with`` block, passes
    of other threads raise an error.

    Args:
        plan: a ``SteeringPlan``.
        model: the Hugging Face model, as returned by ``AutoModelForCausalLM.from_pretrained``.
        same_weights: whether the model must have the weights for which the plan was made. All weights are read for this check.

    Yields:
        The model.

    Raises:
        FingerprintError: the model has other weights or another dtype.
        ModelError: ``model`` is not a Hugging Face model, or its blocks do not return the residual stream.
        PromptError: a pass inside the ``with`` block did not get token ids, or the end of its prompt cannot be found.
    """
    check_model(model, plan.fingerprint, f"plan ({plan})", same_weights=same_weights)
    blocks, handles = blocks_of(model, plan.fingerprint), []
    with watched(model) as state, steered_here(state, lambda: False):
        try:
            for layer in plan.layers:
                hook = partial(_steer, plan=plan, layer=layer, state=state)
                handles.append(blocks[layer].register_forward_hook(hook))
            yield model
        finally:
            for handle in handles:
                handle.remove()


def _steer(_: nn.Module, __: Any, output: Any, *, plan: Any, layer: int, state: ModelState) -> Any:
    """Returns the output of a block after the plan changed the residual stream."""
    known = plan.fingerprint
    stream: Tensor = stream_of(output, known.d_model)
    roles = running_roles(state, (stream.shape[0], stream.shape[1]), known.front, known.bos_id, known.pad_id)
    return with_stream(output, plan.edit(layer, stream, roles.to(stream.device)))
