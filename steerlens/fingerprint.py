"""Which model an artifact was taken from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from steerlens.errors import FingerprintError
from steerlens.storage import restored


@dataclass(frozen=True)
class Fingerprint:
    """What must be the same for a vector of one model to mean anything in another."""

    weights: str
    """Digest of the name, shape and bytes of every parameter and buffer."""
    tokenizer: str
    """Digest of the vocabulary, of the tokens of some texts, and of the tokens that the tokenizer puts in front."""
    dtype: str
    """The dtype of the weights, such as ``float32``; for quantized weights also the method, as ``bfloat16, gptq 4 bit``."""
    weight_processing: str
    """``none`` for Hugging Face's own numbers, ``compatibility`` after ``enable_compatibility_mode()``. Of a
    ``HookedTransformer`` what is seen of ``folded norms``, ``centred writing weights`` and ``centred unembedding``."""
    n_layers: int
    """The number of blocks."""
    d_model: int
    """The width of the residual stream."""
    front: tuple[int, ...]
    """The tokens in front of every text, such as BOS. They are never averaged over and never steered."""
    bos_id: int | None
    """The BOS token that the tokenizer declares, whether or not it puts it in front of texts."""
    pad_id: int | None
    """The token that shorter rows are padded with."""
    name: str = ""
    """The user's name of the model. Two names for the same weights are the same model."""

    def differences(self, other: "Fingerprint") -> list[str]:
        """Returns the fields in which this model and the ``other`` differ, each as ``field: ours, theirs``. The name does not
        count."""
        names = [field.name for field in fields(self) if field.name != "name"]
        return [f"{n}: {getattr(self, n)}, {getattr(other, n)}" for n in names if getattr(self, n) != getattr(other, n)]

    def check(self, model: "Fingerprint", whose: str) -> None:
        """Refuses another model.

        Args:
            model: the fingerprint of the model that something is to be used with.
            whose: what is to be used with it, in words, for the error.

        Raises:
            FingerprintError: the models differ; the message names both and every field in which they do.
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
        """Returns the fingerprint that ``to_dict`` made JSON values of.

        Args:
            values: these JSON values.

        Raises:
            FileError: a field is missing, unknown or of another type.
        """
        return restored(cls, values, "the fingerprint")
