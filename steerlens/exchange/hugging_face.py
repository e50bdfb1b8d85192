"""Finds the blocks of Hugging Face models without TransformerLens, and checks whether a model has the weights for which a plan
was made."""

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
"""Parts of the names of lists of modules. A list with one of these parts in its name does not contain the decoder's blocks."""


def check_model(model: Any, fingerprint: Fingerprint, whose: str, *, same_weights: bool = True) -> None:
    """Raises an error if a plan was not made for the given Hugging Face model.

    Args:
        model: a ``PreTrainedModel``.
        fingerprint: the fingerprint of the model for which the plan was made.
        whose: a description of the plan, for errors.
        same_weights: whether all weights are read and compared, as for a ``LensModel``. With ``False``, any model with the same
            number of blocks and the same width is accepted.

    Raises:
        FingerprintError: the weights or their dtype differ, or the plan was made with weights that TransformerLens had processed.
        ModelError: ``model`` is not a Hugging Face model, has no unembedding, or has an architecture that TransformerLens does
            not know. Weights of an unknown architecture cannot be compared.
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
            "Hugging Face model has a different residual stream. Load the model with sl.load, which does not process weights, "
            "and take the vectors again."
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
    """Returns the list of modules that contains the decoder's blocks. Its length is the number of blocks of the plan's model. If
    several lists have this length, the outermost list is returned.

    Args:
        model: a ``PreTrainedModel``.
        fingerprint: the fingerprint of the model for which the plan was made.

    Raises:
        ModelError: no list of modules has this length, or two lists with this length are at the same depth.
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
        output: the block's output, which is the residual stream or a tuple that begins with the residual stream.
        d_model: the width of the residual stream.

    Raises:
        ModelError: the output contains no tensor of this width.
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
        stream: the residual stream that replaces the residual stream in the output.
    """
    return type(output)([stream, *output[1:]]) if isinstance(output, tuple | list) else stream
