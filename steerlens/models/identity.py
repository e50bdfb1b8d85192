"""Computes the identity of a model from its weights and its tokenizer."""

from typing import TYPE_CHECKING, Any

import torch

from steerlens.fingerprint import Fingerprint

if TYPE_CHECKING:
    from steerlens.models.lens import LensModel


def described_number(dtype: torch.dtype, quantization: Any) -> str:
    """Returns the number type of weights in words, for example ``float32``, or ``bfloat16, bitsandbytes 4 bit (nf4)``.

    Args:
        dtype: the number type in which the model computes.
        quantization: how the weights are quantized; ``None`` if they are not.
    """
    number = str(dtype).removeprefix("torch.")
    return number if quantization is None else f"{number}, {quantization}"


def fingerprint_of(model: "LensModel") -> Fingerprint:
    """Returns the fingerprint of a model with its current weights. All weights are read."""
    tokenizer = model.tokenizer
    return Fingerprint(
        weights=model.backend.weights_digest(),
        tokenizer=tokenizer.digest(),
        dtype=described_number(model.dtype, getattr(model.backend, "quantization", None)),
        weight_processing=model.backend.weight_processing,
        n_layers=model.n_layers,
        d_model=model.d_model,
        front=tokenizer.front,
        bos_id=tokenizer.bos_id,
        pad_id=tokenizer.pad_id,
        name=model.name,
    )
