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
    """Digest of the vocabulary, of what the tokenizer makes of some texts, and of what it puts in front."""
    dtype: str
    """``float32``, ``bfloat16``, …"""
    weight_processing: str
    """``none`` for Hugging Face's own numbers, ``compatibility`` after ``enable_compatibility_mode()``."""
    n_layers: int
    d_model: int
    front: tuple[int, ...]
    """The tokens that stand in front of every text, as BOS does; never averaged over, never steered."""
    bos_id: int | None
    """The BOS that the tokenizer declares, whether it puts it in front or not."""
    pad_id: int | None
    name: str = ""
    """What the user called the model; two names for the same weights are the same model."""

    def differences(self, other: "Fingerprint") -> list[str]:
        """The fields in which two models differ, each as ``field: ours, theirs``. The name does not count."""
        names = [field.name for field in fields(self) if field.name != "name"]
        return [f"{n}: {getattr(self, n)}, {getattr(other, n)}" for n in names if getattr(self, n) != getattr(other, n)]

    def check(self, model: "Fingerprint", whose: str) -> None:
        """Refuses another model.

        Raises:
            FingerprintError: naming both models and every field in which they differ.
        """
        differences = self.differences(model)
        if differences:
            raise FingerprintError(
                f"{whose} was taken from {self.name or 'another model'} and cannot be used "
                f"with {model.name or 'this model'}. "
                f"They differ in (taken from, given): {'; '.join(differences)}. "
                "Load the model that it was taken from, or take it anew."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Fingerprint":
        """The inverse of ``to_dict``.

        Raises:
            FileError: a field is missing, unknown or of another type.
        """
        return restored(cls, values, "the fingerprint")
