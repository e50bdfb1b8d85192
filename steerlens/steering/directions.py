"""The operations along one direction: add it, take it out, set it."""

from dataclasses import dataclass, replace

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor

from steerlens.errors import VectorError
from steerlens.numeric import check_finite, finite_number, float_tensor
from steerlens.steering.edits import Edit


@dataclass(frozen=True, eq=False)
class DirectionalEdit(Edit):
    """An edit along one direction."""

    direction: Float[Tensor, " d_model"]
    """Float32, on the CPU, a constant: no gradient flows through it."""

    def __post_init__(self) -> None:
        direction = float_tensor(self.direction, "the direction")
        if direction.ndim != 1:
            raise VectorError(f"the direction has shape {tuple(direction.shape)}: expected [d_model].")
        check_finite(direction, "the direction")
        object.__setattr__(self, "direction", direction)

    @property
    def d_model(self) -> int:
        """The length of the direction."""
        return len(self.direction)

    def along(self, direction: Float[Tensor, " d_model"]) -> "DirectionalEdit":
        """Returns the same edit along another direction.

        Args:
            direction: of any length, ``[d_model]``.
        """
        return replace(self, direction=direction)

    def random_like(self, generator: torch.Generator) -> "DirectionalEdit":
        """Returns the same edit along a direction of the same norm, drawn uniformly over the sphere.

        Args:
            generator: where the numbers come from.
        """
        drawn = torch.randn(self.d_model, generator=generator, dtype=torch.float64)
        return self.along((drawn * (self.direction.double().norm() / drawn.norm())).float())


@dataclass(frozen=True, eq=False)
class Add(DirectionalEdit):
    """Adds the direction, times the strength."""

    operation = "add"

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns ``residual + strength * direction`` at the steered tokens, and the residual itself elsewhere."""
        return add_direction(residual, self.direction, strength, steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the strength and the name, as ``2 × EN``.

        Args:
            name: what the vector or map is called.
            strength: how much of the edit is made.
        """
        return f"{strength:g} × {name}"


@dataclass(frozen=True, eq=False)
class Ablate(DirectionalEdit):
    """Removes the residual's component along the direction; the strength is the share that is removed.

    Directional ablation (Arditi et al., arXiv 2406.11717, section 2.4).
    """

    operation = "ablate"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_points(self.direction)

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual without that share of its component at the steered tokens."""
        return set_component(residual, self.direction, 0.0, strength, steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the name and what is done, as ``EN ablated``.

        Args:
            name: what the vector or map is called.
            strength: how much of the edit is made.
        """
        return f"{_times(strength)}{name} ablated"


@dataclass(frozen=True, eq=False)
class Project(DirectionalEdit):
    """Sets the residual's component along the direction to one value; the strength is the share of the way there."""

    value: float
    """The component along the unit direction, in the residual stream's units."""
    operation = "project"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_points(self.direction)
        object.__setattr__(self, "value", finite_number(self.value, "value", "the component"))

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual with its component moved to the value at the steered tokens."""
        return set_component(residual, self.direction, self.value, strength, steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the name and the value, as ``EN set to 2``.

        Args:
            name: what the vector or map is called.
            strength: how much of the edit is made.
        """
        return f"{_times(strength)}{name} set to {self.value:g}"


def add_direction(
    residual: Float[Tensor, "batch pos d_model"],
    direction: Float[Tensor, " d_model"],
    strength: float,
    steered: Bool[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos d_model"]:
    """Returns ``residual + strength * direction`` at the steered tokens, and the residual itself elsewhere.

    The argument is left as it was. Strength 0 returns it unchanged, bit for bit. The sum is taken in float32 and rounded once.

    Args:
        residual: the residual stream after a block.
        direction: in the residual stream's units.
        strength: the factor on the direction.
        steered: where it is added.
    """
    if strength == 0:
        return residual
    return _moved(residual, (strength * direction).to(residual.device), steered)


def set_component(
    residual: Float[Tensor, "batch pos d_model"],
    direction: Float[Tensor, " d_model"],
    value: float,
    strength: float,
    steered: Bool[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos d_model"]:
    """Returns the residual with its component along ``direction`` set to ``value`` at the steered tokens.

    ``h + strength * (value - h . u) u`` with the unit direction ``u``. Value 0 is directional ablation (Arditi et al., arXiv
    2406.11717, section 2.4). All of it is computed in float32 and rounded once.

    Args:
        residual: the residual stream after a block.
        direction: of any length; only where it points counts.
        value: the component that is set, in the residual stream's units.
        strength: the share of the way to ``value``; 1 sets it, 0 returns the residual unchanged, bit for bit.
        steered: where it is set.
    """
    if strength == 0:
        return residual
    unit = torch.nn.functional.normalize(direction.to(residual.device, torch.float32), dim=0)
    component = einsum(residual.float(), unit, "batch pos d_model, d_model -> batch pos")
    step = einsum(strength * (value - component), unit, "batch pos, d_model -> batch pos d_model")
    return _moved(residual, step, steered)


def _moved(
    residual: Float[Tensor, "batch pos d_model"], step: Float[Tensor, "*places d_model"], steered: Bool[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos d_model"]:
    """The residual with a step added at the steered tokens, summed in float32 or finer and rounded once."""
    wide = residual.to(torch.promote_types(residual.dtype, step.dtype))
    return torch.where(steered[..., None], (wide + step).to(residual.dtype), residual)


def _times(strength: float) -> str:
    return "" if strength == 1 else f"{strength:g} × "


def _check_points(direction: Float[Tensor, " d_model"]) -> None:
    if not direction.any():
        raise VectorError(
            "the direction is zero and points nowhere: there is no component along it. Give another vector or layer."
        )
