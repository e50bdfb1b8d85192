"""Steering vectors: one direction per layer, with where it came from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import UnknownNameError, VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.numeric import check_finite, finite_number, float_tensor, layer_of, layers_of, whole_number
from steerlens.settings import Which
from steerlens.steering.edits import Operation
from steerlens.steering.plans import SteeringPlan, Step
from steerlens.storage import load_tensors, restored, save_tensors

KIND = "steering vector"


@dataclass(frozen=True, eq=False)
class SteeringVector:
    """One direction per layer, in the units of the residual stream. Strength 1 adds the difference of means itself."""

    directions: Float[Tensor, "layer d_model"]
    """Float32, on the CPU; other tensors and arrays of numbers become that. A constant: no gradient flows through it."""
    layers: tuple[int, ...]
    """Block index of each direction, ascending."""
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
        directions, n = float_tensor(self.directions, self.label), whole_number(self.n)
        layers = layers_of(self.layers, range(self.fingerprint.n_layers), self.fingerprint.name or "the model")
        if list(layers) != list(self.layers):
            raise VectorError(f"{self.label} has layers {list(self.layers)}: expected each once, in ascending order.")
        if n is None or n < 0:
            raise VectorError(f"{self.label} has n={self.n!r}: expected the number of its pairs, 0 or more.")
        expected = (len(layers), self.fingerprint.d_model)
        if tuple(directions.shape) != expected:
            raise VectorError(f"{self.label} has shape {tuple(directions.shape)}: expected [layer, d_model] = {expected}.")
        finite = torch.isfinite(directions).all(dim=1)
        if not finite.all():
            bad = [layer for layer, good in zip(layers, finite.tolist(), strict=True) if not good]
            raise VectorError(
                f"{self.label} holds NaN or infinity at layers {bad}: expected finite numbers. "
                "Take it again; with float16 weights, load the model in bfloat16 or float32."
            )
        for name, own in {"directions": directions, "layers": layers, "n": n, "positive": self._component()}.items():
            object.__setattr__(self, name, own)

    def _component(self) -> Tensor | None:
        """``positive``, checked."""
        if self.positive is None:
            return None
        positive = float_tensor(self.positive, f"positive of {self.label}")
        if tuple(positive.shape) != (len(self.layers),):
            raise VectorError(
                f"positive of {self.label} has shape {tuple(positive.shape)}: expected [{len(self.layers)}], a layer each."
            )
        check_finite(positive, f"positive of {self.label}")
        return positive

    def __repr__(self) -> str:
        span = f"layers {self.layers[0]} to {self.layers[-1]}"
        return f"SteeringVector({self.label}, {span}, n={self.n}, model={self.fingerprint.name!r})"

    @property
    def label(self) -> str:
        """Name and locale, as in ``EN es-ES``."""
        return f"{self.name} {self.locale}".strip()

    def direction(self, layer: SupportsIndex) -> Float[Tensor, " d_model"]:
        """The direction at one layer.

        Raises:
            LayerError: the vector was not taken at this layer.
        """
        return self.directions[self.layers.index(self._layer(layer))]

    def _layer(self, layer: SupportsIndex) -> int:
        return layer_of(layer, self.layers, f"vector {self.label}")

    def at(self, layer: SupportsIndex, strength: SupportsFloat = 1.0, tokens: Which = "all") -> SteeringPlan:
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
        return SteeringPlan((self._step(layer, strength, tokens),), self.fingerprint)

    def _step(
        self, layer: SupportsIndex, strength: SupportsFloat, tokens: Which, operation: Operation = "add", to: SupportsFloat = 0.0
    ) -> Step:
        of = self.label
        factor, value = finite_number(strength, "strength", of), finite_number(to, "value", of)
        return Step(self.direction(layer), self._layer(layer), factor, tokens, of, operation, value)

    def ablated(self, layer: SupportsIndex, strength: SupportsFloat = 1.0, tokens: Which = "all") -> SteeringPlan:
        """The plan that removes the residual's component along this vector after block ``layer``.

        Directional ablation (Arditi et al., arXiv 2406.11717). ``at`` says what the arguments are and what is raised.

        Args:
            strength: share of the component that is removed.
        """
        return self._replacing(self._step(layer, strength, tokens, "ablate"))

    def projected(
        self,
        layer: SupportsIndex,
        to: str | SupportsFloat = "positive",
        strength: SupportsFloat = 1.0,
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
        if isinstance(to, str):
            if to not in ("positive", "negative"):
                raise UnknownNameError("class to project to", to, ("positive", "negative"), "Or give a number.")
            if self.positive is None:
                raise VectorError(
                    f"{self.label} does not know where the {to} prompts' mean lies along it: take it with difference_of_means, "
                    "or give the component as a number."
                )
            mean = float(self.positive[self.layers.index(self._layer(layer))])
            to = mean - (float(self.direction(layer).norm()) if to == "negative" else 0.0)
        return self._replacing(self._step(layer, strength, tokens, "project", to))

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
            FileError: missing, truncated, no steering vector, of another version, or with NaN.
        """
        tensors, header = load_tensors(path, KIND)
        return restored(cls, header, str(path), every=True, **{"positive": None, **tensors})
