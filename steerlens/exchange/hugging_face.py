"""Hugging Face models without TransformerLens: their blocks, and whether they have the weights for which a plan was made."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from steerlens.errors import FingerprintError, ModelError
from steerlens.fingerprint import Fingerprint
from steerlens.models.backends.unbridged import unbridged_digest
from steerlens.models.devices import number_of
from steerlens.models.identity import described_number
from steerlens.models.quantized import quantization_of

_ASIDE = ("vision", "audio", "expert", "mtp")
"""Words in the names of lists of modules that are not decoders."""


def check_model(model: Any, fingerprint: Fingerprint, whose: str, *, same_weights: bool = True) -> None:
    """Refuses a Hugging Face model for which a plan was not made.

    Args:
        model: a ``PreTrainedModel``.
        fingerprint: the fingerprint of the model for which the plan was made.
        whose: the plan, in words.
        same_weights: whether all weights are read and compared, as for a ``LensModel``. If not, any model with the same number
            of blocks and width is accepted.

    Raises:
        FingerprintError: the weights or their dtype differ, or the plan was made after the weights were processed.
        ModelError: it is not a Hugging Face model, it has no unembedding, or TransformerLens does not know it, so that weights
            cannot be compared.
    """
    from transformers import PreTrainedModel

    if not isinstance(model, PreTrainedModel):
        raise ModelError(
            f"{type(model).__name__} given: expected a model of the library transformers, as "
            "AutoModelForCausalLM.from_pretrained returns. To steer a LensModel, use plan.applied(model)."
        )
    if model.base_model is model and model.get_output_embeddings() is None:
        raise ModelError(
            f"{type(model).__name__} given: this model ends after its last block, but a model with an unembedding was "
            "expected. Load the model with AutoModelForCausalLM.from_pretrained."
        )
    if not same_weights:
        return
    if fingerprint.weight_processing != "none":
        raise FingerprintError(
            f"{whose} was made with weights that TransformerLens had processed ({fingerprint.weight_processing}), so the "
            "residual stream of the Hugging Face model is a different one. Load the model with sl.load, which does not "
            "process weights, and take the vectors again."
        )
    dtype = described_number(number_of(model.parameters()), quantization_of(model.config))
    weights = unbridged_digest(model) if dtype == fingerprint.dtype else "not read"
    given = replace(fingerprint, weights=weights, dtype=dtype)
    if differences := fingerprint.differences(given):
        raise FingerprintError(
            f"{whose} was made for {fingerprint.name or 'another model'}, but a different model was given. The two models "
            f"differ in (made for, given): {'; '.join(differences)}. Load the same revision with dtype={fingerprint.dtype!r}. "
            "If you want to use a different model, give same_weights=False."
        )


def blocks_of(model: Any, fingerprint: Fingerprint) -> nn.ModuleList:
    """Returns the decoder's blocks: the list of modules with as many entries as the plan's model has blocks. Of several, it is
    the outermost.

    Args:
        model: a ``PreTrainedModel``.
        fingerprint: the fingerprint of the model for which the plan was made.

    Raises:
        ModelError: no list of modules has this length, or two such lists are equally far out.
    """
    found = [
        (name.count("."), name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) == fingerprint.n_layers
        and not any(part in name.lower() for part in _ASIDE)
    ]
    outermost = [one for one in found if one[0] == min(found)[0]] if found else []
    if len(outermost) != 1:
        names = ", ".join(one[1] for one in outermost) or "none"
        raise ModelError(
            f"the {fingerprint.n_layers} blocks of {type(model).__name__} cannot be found: expected one list of modules with "
            f"this length, found {names}. Load the model with sl.load and steer it with plan.applied(model)."
        )
    return outermost[0][2]


def stream_of(output: Any, d_model: int) -> Tensor:
    """Returns the residual stream in a block's output, ``[batch, pos, d_model]``.

    Args:
        output: the block's output, a tensor or a tuple that begins with it.
        d_model: the width of the residual stream.

    Raises:
        ModelError: there is no such tensor.
    """
    stream = output[0] if isinstance(output, tuple | list) else output
    if not isinstance(stream, torch.Tensor) or stream.ndim != 3 or stream.shape[-1] != d_model:
        shape = tuple(getattr(stream, "shape", ()))
        raise ModelError(
            f"a block of the model returned {type(stream).__name__} of shape {shape}: expected the residual stream, [batch, "
            f"pos, {d_model}]. Load this model with sl.load and steer it with plan.applied(model)."
        )
    return stream


def with_stream(output: Any, stream: Tensor) -> Any:
    """Returns a block's output with another residual stream.

    Args:
        output: the block's output.
        stream: the other residual stream.
    """
    return type(output)([stream, *output[1:]]) if isinstance(output, tuple | list) else stream
