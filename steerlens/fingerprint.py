"""The identity of the model from which an artifact was taken."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from steerlens.errors import FingerprintError
from steerlens.storage import restored


@dataclass(frozen=True)
class Fingerprint:
    """The properties of a model. A vector from one model has a meaning in another model only if the properties are equal."""

    weights: str
    """Digest of the name, shape and bytes of every parameter and buffer."""
    tokenizer: str
    """Digest of the vocabulary, of the tokens of some test texts, and of the tokens that the tokenizer puts in front of a
    text."""
    dtype: str
    """The dtype of the weights, such as ``float32``. For quantized weights, the method is added, for example ``bfloat16, gptq 4
    bit``."""
    weight_processing: str
    """How the weights were changed after loading. ``none``: the weights are Hugging Face's. ``compatibility``:
    ``enable_compatibility_mode()`` was called. For a ``HookedTransformer``, the changes that can be seen in the weights are
    listed: ``folded norms``, ``centred writing weights``, ``centred unembedding``."""
    n_layers: int
    """The number of blocks."""
    d_model: int
    """The width of the residual stream."""
    front: tuple[int, ...]
    """The ids of the tokens in front of every text, such as BOS. These tokens are never included in a mean and never steered."""
    bos_id: int | None
    """The id of the BOS token that the tokenizer declares, even if the tokenizer does not put BOS in front of texts."""
    pad_id: int | None
    """The id of the token with which shorter rows are padded."""
    name: str = ""
    """The user's name for the model. Two fingerprints that differ only in the name describe the same model."""

    def differences(self, other: "Fingerprint") -> list[str]:
        """Returns the fields in which this model and the ``other`` model differ. Each entry is ``field: this model's value, other
        value``. The name is ignored."""
        names = [field.name for field in fields(self) if field.name != "name"]
        return [f"{n}: {getattr(self, n)}, {getattr(other, n)}" for n in names if getattr(self, n) != getattr(other, n)]

    def check(self, model: "Fingerprint", whose: str) -> None:
        """Raises an error if the fingerprint of a model differs from this fingerprint.

        Args:
            model: the fingerprint of the model that is used.
            whose: a short description of the checked object for the error, such as ``the vector given to keep``.

        Raises:
            FingerprintError: the two models differ. The message names the two models and every field that differs.
        """
        differences = self.differences(model)
        if differences:
            raise FingerprintError(
                f"{whose} was taken from {self.name or 'another model'} and cannot be used with {model.name or 'this model'}. "
                f"The two models differ in (taken from, given): {'; '.join(differences)}. Load "
                f"{self.name or 'that other model'}, or take {whose} again from {model.name or 'this model'}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Returns the fingerprint as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Fingerprint":
        """Returns the fingerprint from the JSON values that ``to_dict`` made.

        Args:
            values: the JSON values.

        Raises:
            FileError: a field is missing, unknown or of another type.
        """
        return restored(cls, values, "the fingerprint")
