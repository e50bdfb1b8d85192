"""Which model one is, found from its weights and its tokenizer."""

from typing import TYPE_CHECKING

from steerlens.fingerprint import Fingerprint

if TYPE_CHECKING:
    from steerlens.models.lens import LensModel


def fingerprint_of(model: "LensModel") -> Fingerprint:
    """The fingerprint of a model as its weights are now, which are all read."""
    tokenizer = model.tokenizer
    return Fingerprint(
        weights=model.backend.weights_digest(),
        tokenizer=tokenizer.digest(),
        dtype=str(model.dtype).removeprefix("torch."),
        weight_processing=model.backend.weight_processing,
        n_layers=model.n_layers,
        d_model=model.d_model,
        front=tokenizer.front,
        bos_id=tokenizer.bos_id,
        pad_id=tokenizer.pad_id,
        name=model.name,
    )
