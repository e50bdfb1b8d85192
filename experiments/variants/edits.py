"""Edits of the experiment's own: an affine map, an addition in proportion to the residual, and a vector over several layers."""

from dataclasses import dataclass, replace
from typing import SupportsFloat, SupportsIndex

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from steerlens.errors import VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.numeric import Layers, check_finite, float_tensor, layers_of
from steerlens.settings import SteeredTokens
from steerlens.steering import DirectionalEdit, Edit, Intervention, SteeringPlan, SteeringVector, no_steering


@dataclass(frozen=True, eq=False)
class AddScaled(DirectionalEdit):
    """Adds the direction in proportion to each residual's own length: ``h + strength * |h| / usual * direction``.

    Strength 1 adds the direction's own length where the residual is as long as usual.
    """

    usual: float
    """The mean length of the residuals that the direction was taken from, in the residual stream's units."""
    operation = "add scaled"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.usual > 0:
            raise VectorError(f"usual length {self.usual!r} given: expected the mean length of residuals, above 0.")

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual with the step added at the steered tokens, and the residual itself elsewhere."""
        if strength == 0:
            return residual
        length = residual.float().norm(dim=-1, keepdim=True)
        return moved(residual, strength / self.usual * length * self.direction.to(residual.device), steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the strength and the name, as ``2 × EN scaled``.

        Args:
            name: what the vector is called.
            strength: the factor on the direction.
        """
        return f"{strength:g} × {name} scaled"


@dataclass(frozen=True, eq=False)
class AffineMap(Edit):
    """Moves the residual towards its image under an affine map; the strength is the share of the way.

    With the mean residual ``m``, orthonormal rows ``B``, the matrix ``A`` and the difference of means ``d``, the image of ``h``
    is ``h + d + (A - I) B (h - m)``, put back into the residual stream by ``B``: outside of the space of ``B``, and where ``A``
    is the identity, strength 1 adds the difference of means and nothing else.
    """

    basis: Float[Tensor, "rank d_model"]
    """Orthonormal rows: the space in which the map is more than an offset."""
    matrix: Float[Tensor, "rank rank"]
    """What becomes of the coordinates in this space."""
    mean: Float[Tensor, " d_model"]
    """The mean residual that is mapped."""
    offset: Float[Tensor, " d_model"]
    """The mean residual that is mapped to, minus ``mean``."""
    operation = "affine map"

    def __post_init__(self) -> None:
        for name in ("basis", "matrix", "mean", "offset"):
            own = float_tensor(getattr(self, name), name)
            check_finite(own, name)
            object.__setattr__(self, name, own)
        rank, width = self.basis.shape
        if self.matrix.shape != (rank, rank) or self.mean.shape != (width,) or self.offset.shape != (width,):
            shapes = [tuple(own.shape) for own in (self.basis, self.matrix, self.mean, self.offset)]
            raise VectorError(f"shapes {shapes} given: expected [rank, d_model], [rank, rank], [d_model] and [d_model].")

    @property
    def d_model(self) -> int:
        """The width of the residual stream that the map is for."""
        return len(self.offset)

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual that share of the way to its image at the steered tokens, and the residual itself elsewhere."""
        if strength == 0:
            return residual
        basis, matrix, mean, offset = (own.to(residual.device) for own in (self.basis, self.matrix, self.mean, self.offset))
        inside = (residual.float() - mean) @ basis.T
        step = offset + (inside @ matrix.T - inside) @ basis
        return moved(residual, strength * step, steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the share and the name, as ``0.5 of the way by EN mapped``.

        Args:
            name: what the map is called.
            strength: the share of the way to the image.
        """
        return f"{strength:g} of the way by {name}"

    def random_like(self, generator: torch.Generator) -> "AffineMap":
        """Returns the same map in a space drawn at random, with an offset of the same length drawn uniformly over the sphere.

        Args:
            generator: where the numbers come from.
        """
        drawn = torch.randn(self.d_model, len(self.basis) + 1, generator=generator)
        offset = drawn[:, -1] * (self.offset.norm() / drawn[:, -1].norm())
        return replace(self, basis=torch.linalg.qr(drawn[:, :-1])[0].T.contiguous(), offset=offset)


@dataclass(frozen=True, eq=False)
class OverLayers(Intervention):
    """A vector added after three of its layers that follow each other, a third of the strength at each.

    A layer here is the middle one of three; the first and the last of the vector's own layers are none.
    """

    vector: SteeringVector
    """The vector, with a direction of its own at each layer."""
    name: str
    """What the vector is called when it is used this way."""

    def __post_init__(self) -> None:
        if len(self.vector.layers) < 3:
            raise VectorError(f"{self.vector.label} has layers {self.vector.layers}: expected three or more, which share it.")

    @property
    def layers(self) -> tuple[int, ...]:  # type: ignore[override]
        """The block indices that have one of the vector's layers on both sides, ascending."""
        return self.vector.layers[1:-1]

    @property
    def locale(self) -> str:  # type: ignore[override]
        """The locale whose items the vector is for."""
        return self.vector.locale

    @property
    def score(self) -> str:  # type: ignore[override]
        """The score that the vector is meant to raise."""
        return self.vector.score

    @property
    def fingerprint(self) -> Fingerprint:  # type: ignore[override]
        """The model that the vector was taken from."""
        return self.vector.fingerprint

    def edit(self, layer: SupportsIndex) -> Edit:
        """Returns the edit at the middle one of three layers.

        Args:
            layer: a block's index.

        Raises:
            LayerError: the vector was not taken at this layer.
        """
        return self.vector.edit(layer)

    def random_like(self, key: str, number: int = 0) -> "OverLayers":
        """Returns a control: the same with directions drawn at random, of the same lengths.

        Args:
            key: what the draw depends on, beside the layer.
            number: which of several draws.
        """
        return replace(self, vector=self.vector.random_like(key, number))

    def at(self, layers: Layers, strength: SupportsFloat = 1.0, tokens: SteeredTokens = "last_onward") -> SteeringPlan:
        """Returns the plan that adds a third of the vector at each of three layers.

        Args:
            layers: the block's index of the middle one of three layers, or several such.
            strength: the factor on the vector, of which each of the three layers gets a third.
            tokens: which tokens are steered.

        Raises:
            LayerError: a layer that is not the middle one of three.
        """
        plan, own = no_steering(self.fingerprint), self.vector.layers
        for middle in layers_of(layers, self.layers, f"vector {self.label}"):
            at = own.index(middle)
            plan += self.vector.called(self.name).at(own[at - 1 : at + 2], float(strength) / 3, tokens)
        return plan


def moved(
    residual: Float[Tensor, "batch pos d_model"], step: Float[Tensor, "*places d_model"], steered: Bool[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos d_model"]:
    """Returns the residual with a step added at the steered tokens, summed in float32 and rounded once.

    Args:
        residual: the residual stream after a block.
        step: what is added.
        steered: where it is added.
    """
    return torch.where(steered[..., None], (residual.float() + step).to(residual.dtype), residual)
