"""Steering vectors: one direction per layer, with where it came from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import LayerError, UnknownNameError, VectorError
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
    positive: Float[Tensor, " layer"] | None = None
    """Component of the positive prompts' mean residual along each unit direction; ``None`` if it was not measured."""

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

    def ablated(self, layer: int, strength: float = 1.0, tokens: Which = "all") -> SteeringPlan:
        """The plan that removes the residual's component along this vector after block ``layer``.

        Directional ablation (Arditi et al., arXiv 2406.11717). ``at`` says what the arguments are and what is raised.

        Args:
            strength: share of the component that is removed.
        """
        return self._replacing(Step(self.direction(layer), layer, strength, tokens, self.label, "ablate"))

    def projected(
        self,
        layer: int,
        to: str | float = "positive",
        strength: float = 1.0,
        tokens: Which = "all",
    ) -> SteeringPlan:
        """The plan that sets the residual's component along this vector after block ``layer`` to one value for all prompts.

        ``at`` says what the other arguments are and what is raised.

        Args:
            to: ``positive`` or ``negative``, the component of those prompts' mean residual, or a number in the residual
                stream's units.
            strength: share of the way there.

        Raises:
            VectorError: the positive or negative mean of a vector that does not know it.
        """
        direction = self.direction(layer)
        if isinstance(to, str):
            if to not in ("positive", "negative"):
                raise UnknownNameError("class to project to", to, ("positive", "negative"), "Or give a number.")
            if self.positive is None:
                raise VectorError(
                    f"{self.label} does not know where the {to} prompts' mean lies along it: take it with difference_of_means, "
                    "or give the component as a number."
                )
            to = float(self.positive[self.layers.index(layer)]) - (float(direction.norm()) if to == "negative" else 0.0)
        return self._replacing(Step(direction, layer, strength, tokens, self.label, "project", to))

    def _replacing(self, step: Step) -> SteeringPlan:
        """The plan of one step that needs to know where its direction points.

        Raises:
            VectorError: the direction is zero.
        """
        if not step.direction.any():
            raise VectorError(f"{self.label} is zero at layer {step.layer} and points nowhere: it has no component to replace.")
        return SteeringPlan((step,), self.fingerprint)

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
        tensors = {"directions": self.directions} | ({} if self.positive is None else {"positive": self.positive})
        return save_tensors(path, KIND, tensors, header)

    @classmethod
    def load(cls, path: str | Path) -> "SteeringVector":
        """Reads a vector that ``save`` wrote.

        Raises:
            FileError: missing, truncated, or no steering vector.
            VectorError: it holds NaN.
        """
        tensors, header = load_tensors(path, KIND)
        known = {name: header[name] for name in ("name", "locale", "n", "positions", "prompts_sha256", "notes")}
        fingerprint = Fingerprint.from_dict(header["fingerprint"])
        return cls(tensors["directions"], tuple(header["layers"]), fingerprint, **known, positive=tensors.get("positive"))
