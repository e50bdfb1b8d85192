"""Steering vectors: one direction per layer, with where it came from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import LayerError, VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.steering.edits import Which
from steerlens.steering.plans import SteeringPlan, Step
from steerlens.storage import load_tensors, save_tensors

KIND = "steering vector"


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """One direction per layer, in the units of the residual stream. Strength 1 adds the difference of means itself."""

    directions: Float[Tensor, "layer d_model"]
    """Float32, on the CPU."""
    layers: tuple[int, ...]
    """Block index of each direction."""
    fingerprint: Fingerprint
    """The model it was taken from."""
    name: str = "custom"
    """``EN``, ``LOC`` or the user's own."""
    locale: str = ""
    n: int = 0
    """Pairs it was averaged over."""
    positions: str = "last"
    """Where the residuals were read."""
    prompts_sha256: str = ""
    """Digest of the prompts it was taken from."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Anything else worth keeping, as JSON values."""

    def __post_init__(self) -> None:
        expected = (len(self.layers), self.fingerprint.d_model)
        if tuple(self.directions.shape) != expected:
            raise VectorError(f"{self.label} has shape {tuple(self.directions.shape)}: expected [layer, d_model] = {expected}.")
        finite = torch.isfinite(self.directions).all(dim=1)
        if not finite.all():
            bad = [layer for layer, good in zip(self.layers, finite.tolist(), strict=True) if not good]
            raise VectorError(
                f"{self.label} holds NaN or infinity at layers {bad}: expected finite numbers. "
                "Take it again; with float16 weights, load the model in bfloat16 or float32."
            )

    def __repr__(self) -> str:
        span = f"layers {self.layers[0]} to {self.layers[-1]}"
        return f"SteeringVector({self.label}, {span}, n={self.n}, model={self.fingerprint.name!r})"

    @property
    def label(self) -> str:
        """Name and locale, as in ``EN es-ES``."""
        return f"{self.name} {self.locale}".strip()

    def direction(self, layer: int) -> Float[Tensor, " d_model"]:
        """The direction at one layer.

        Raises:
            LayerError: the vector was not taken at this layer.
        """
        if layer not in self.layers:
            raise LayerError(layer, self.layers, f"vector {self.label}")
        return self.directions[self.layers.index(layer)]

    def at(self, layer: int, strength: float = 1.0, tokens: Which = "all") -> SteeringPlan:
        """The plan that adds ``strength`` times this vector's direction after block ``layer``.

        Args:
            layer: where it is added, the same place where it was read.
            strength: factor on the raw difference of means; negative steers the other way.
            tokens: ``all`` but BOS, ``prompt`` only, ``last_onward`` from the last prompt token, or ``generated`` only.

        Raises:
            LayerError: the vector was not taken at this layer.
            UnknownNameError: no such choice of tokens.
            VectorError: a strength that is not finite.
        """
        return SteeringPlan((Step(self.direction(layer), layer, strength, tokens, self.label),), self.fingerprint)

    def save(self, path: str | Path) -> Path:
        """Writes the vector and where it came from as one safetensors file.

        Raises:
            FileError: the file cannot be written.
        """
        header = {
            "layers": list(self.layers),
            "fingerprint": self.fingerprint.to_dict(),
            "name": self.name,
            "locale": self.locale,
            "n": self.n,
            "positions": self.positions,
            "prompts_sha256": self.prompts_sha256,
            "notes": self.notes,
        }
        return save_tensors(path, KIND, {"directions": self.directions}, header)

    @classmethod
    def load(cls, path: str | Path) -> "SteeringVector":
        """Reads a vector that ``save`` wrote.

        Raises:
            FileError: missing, truncated, or no steering vector.
            VectorError: it holds NaN.
        """
        tensors, header = load_tensors(path, KIND)
        known = {name: header[name] for name in ("name", "locale", "n", "positions", "prompts_sha256", "notes")}
        return cls(tensors["directions"], tuple(header["layers"]), Fingerprint.from_dict(header["fingerprint"]), **known)
