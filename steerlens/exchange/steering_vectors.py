"""Converts vectors of the package steering-vectors (https://github.com/steering-vectors/steering-vectors, version 0.12).

``SteeringVector.layer_activations`` maps block indices to tensors ``[d_model]``, and ``apply`` adds these tensors to the output
of the blocks (``layer_type="decoder_block"``). As in steerlens, the vectors are added after the blocks, and a layer number is the
index of a block. The package needs transformers below 5, and steerlens needs transformers 5.18. If the two packages cannot be
installed together, use a safetensors file to exchange vectors (``plan.export(path, "steering-vectors")``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steerlens.errors import ModelError, VectorError
from steerlens.exchange.additions import WORDS, Addition, only_addition
from steerlens.exchange.exported import Exported, said
from steerlens.exchange.incoming import incoming_vector, model_fingerprint
from steerlens.settings import SteeredTokens
from steerlens.steering.vectors import SteeringVector
from steerlens.storage import write_atomically

_BLOCK = "decoder_block"


def to_steering_vectors(plan: Any) -> Any:
    """Returns a plan as a ``SteeringVector`` of the package steering-vectors. Its tensors are the vectors that the plan adds
    after each block, multiplied by the strength.

    ``with vector.apply(hf_model):`` steers with the vector. The steered tokens are an argument of ``apply`` and not part of the
    vector. Without this argument, every token is steered.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.

    Raises:
        VectorError: the plan does more than add vectors, or its steps steer different tokens.
        ModelError: steering-vectors is not installed.
    """
    added = only_addition(plan, "steering-vectors")
    try:
        import steering_vectors
    except ImportError as error:
        raise ModelError(
            f"steering-vectors cannot be imported here ({error}). Install it with: pip install steering-vectors. If "
            "steering-vectors needs a different version of transformers than steerlens, write the file with "
            "plan.export('x.safetensors', 'steering-vectors'), and read the file in a separate environment for "
            "steering-vectors."
        ) from error
    said(_notes(plan, added))
    return steering_vectors.SteeringVector(layer_activations=added.vectors, layer_type=_BLOCK)


def write_steering_vectors(plan: Any, path: Path) -> Exported:
    """Writes the vectors that a plan adds, multiplied by the strength, as a safetensors file with one tensor for each block
    index.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the file, such as ``x.safetensors``.

    Raises:
        VectorError: the plan does more than add vectors, or its steps steer different tokens.
        FileError: the file cannot be written.
    """
    from safetensors.torch import save_file

    added = only_addition(plan, "steering-vectors")
    notes = said(_notes(plan, added))
    tensors = {str(layer): vector.contiguous() for layer, vector in added.vectors.items()}
    write_atomically(path, lambda part: save_file(tensors, part, {"plan": str(plan), "notes": " ".join(notes)}))
    use = (
        "from safetensors.torch import load_file\n"
        "from steering_vectors import SteeringVector\n\n"
        f"vector = SteeringVector({{int(layer): own for layer, own in load_file({str(path)!r}).items()}})\n"
        f"with vector.apply(hf_model{_APPLY[added.tokens]}):\n"
        "    logits = hf_model(**tokens).logits"
    )
    return Exported(path, "steering-vectors", use, notes)


def from_steering_vectors(vector: Any, model: Any, name: str = "steering-vectors") -> SteeringVector:
    """Returns a ``SteeringVector`` of the package steering-vectors as a steering vector of steerlens. Strength 1 is the same as
    multiplier 1 in the package.

    Args:
        vector: the package's ``SteeringVector`` object.
        model: the ``LensModel`` from which the vector was taken.
        name: the name of the vector.

    Raises:
        LayerError: the model does not have one of the layers.
        VectorError: ``vector`` is not a ``SteeringVector``, is not for the output of blocks, or has another width, or its numbers
            are not real and finite. The error is also raised if there is no model.
    """
    directions, place = getattr(vector, "layer_activations", None), getattr(vector, "layer_type", None)
    if not isinstance(directions, Mapping):
        raise VectorError(
            f"{type(vector).__name__} given: expected the class SteeringVector of the package steering-vectors, whose "
            "layer_activations are stored by block index."
        )
    if place != _BLOCK:
        raise VectorError(
            f"the vector has layer_type {place!r}: expected {_BLOCK!r}, because steerlens adds vectors after whole blocks. "
            f"Train the vector again with layer_type={_BLOCK!r}."
        )
    whose = "the vector of steering-vectors"
    return incoming_vector(directions, model_fingerprint(model, whose), whose, name, {})


_APPLY: dict[SteeredTokens, str] = {
    "all": "",
    "prompt": ", token_indices=...",
    "last_onward": ", min_token_index=tokens['input_ids'].shape[1] - 1",
    "generated": ", token_indices=...",
}


def _notes(plan: Any, added: Addition) -> list[str]:
    """Returns notes on the arguments of ``apply`` that steer the plan's tokens."""
    front = (
        f" steering-vectors also steers the first {n} tokens. The plan does not steer these tokens."
        if (n := len(plan.fingerprint.front))
        else ""
    )
    if added.tokens == "all" and not front:
        return []
    return [
        f"the plan steers {WORDS[added.tokens]}. In steering-vectors, the arguments min_token_index and token_indices of apply "
        "choose the tokens. Without these arguments, every token is steered. Tokens are numbered from 0 again in each pass, so "
        "with a key-value cache, a generated token has number 0." + front
    ]
