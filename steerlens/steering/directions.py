"""The edits along one direction: add the direction, remove the component along it, or set this component."""

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
    """The direction ``[d_model]``, in float32 on the CPU. The direction is a constant without gradients."""

    def __post_init__(self) -> None:
        direction = float_tensor(self.direction, "the direction")
        if direction.ndim != 1:
            raise VectorError(f"the direction has shape {tuple(direction.shape)}: expected [d_model].")
        check_finite(direction, "the direction")
        object.__setattr__(self, "direction", direction)

    @property
    def d_model(self) -> int:
        """The number of components of the direction."""
        return len(self.direction)

    def along(self, direction: Float[Tensor, " d_model"]) -> "DirectionalEdit":
        """Returns the same edit along another direction.

        Args:
            direction: the new direction ``[d_model]``, with any norm.
        """
        return replace(self, direction=direction)

    def random_like(self, generator: torch.Generator) -> "DirectionalEdit":
        """Returns the same edit along a random direction with the same norm. The random direction is uniform over the
        sphere.

        Args:
            generator: the random number generator.
        """
        drawn = torch.randn(self.d_model, generator=generator, dtype=torch.float64)
        return self.along((drawn * (self.direction.double().norm() / drawn.norm())).float())


@dataclass(frozen=True, eq=False)
class Add(DirectionalEdit):
    """Adds the direction, multiplied by the strength, to the residual."""

    operation = "add"

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns ``residual + strength * direction`` at the steered tokens, and the residual itself elsewhere."""
        return add_direction(residual, self.direction, strength, steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the strength and the name, for example ``2 × EN``.

        Args:
            name: the name of the vector or map.
            strength: the strength of the edit.
        """
        return f"{strength:g} × {name}"


@dataclass(frozen=True, eq=False)
class Ablate(DirectionalEdit):
    """Removes the residual's component along the direction. The strength is the share of the component that is removed.

    The edit is directional ablation (Arditi et al., arXiv 2406.11717, section 2.4).
    """

    operation = "ablate"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_points(self.direction)

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Removes the share ``strength`` of the residual's component along the direction at the steered tokens, and returns
        the result."""
        return set_component(residual, self.direction, 0.0, strength, steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the name and the operation, for example ``EN ablated``.

        Args:
            name: the name of the vector or map.
            strength: the strength of the edit.
        """
        return f"{_times(strength)}{name} ablated"


@dataclass(frozen=True, eq=False)
class Project(DirectionalEdit):
    """Sets the residual's component along the direction to a value. Strength 1 sets the component to the value, and a smaller
    strength moves the component by this share of its distance to the value."""

    value: float
    """The value to which the component along the unit direction is set, in the units of the residual stream."""
    operation = "project"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_points(self.direction)
        object.__setattr__(self, "value", finite_number(self.value, "value", "the component"))

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], strength: float, steered: Bool[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Moves the residual's component along the direction towards ``value`` at the steered tokens, and returns the result.
        Strength 1 sets the component to ``value``."""
        return set_component(residual, self.direction, self.value, strength, steered)

    def described(self, name: str, strength: float) -> str:
        """Returns the name and the value, for example ``EN set to 2``.

        Args:
            name: the name of the vector or map.
            strength: the strength of the edit.
        """
        return f"{_times(strength)}{name} set to {self.value:g}"


def add_direction(
    residual: Float[Tensor, "batch pos d_model"],
    direction: Float[Tensor, " d_model"],
    strength: float,
    steered: Bool[Tensor, "batch pos"],
) -> Float[Tensor, "batch pos d_model"]:
    """Returns ``residual + strength * direction`` at the steered tokens, and the residual itself elsewhere.

    The argument ``residual`` is not changed. Strength 0 returns exactly the given residual. The sum is computed in float32
    and rounded once.

    Args:
        residual: the residual stream after a block.
        direction: the direction that is added, in the units of the residual stream.
        strength: the factor by which the direction is multiplied.
        steered: a mask of the tokens at which the direction is added.
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

    The result is ``h + strength * (value - h . u) u``, where ``h`` is the residual and ``u`` is the unit direction. With the
    value 0, the edit is directional ablation (Arditi et al., arXiv 2406.11717, section 2.4). The result is computed in float32
    and rounded once.

    Args:
        residual: the residual stream after a block.
        direction: the direction. The norm of the direction does not matter.
        value: the value to which the component is set, in the units of the residual stream.
        strength: the share of the distance between the component and ``value`` by which the component is moved. Strength 1 sets
            the component to ``value``, and strength 0 returns exactly the given residual.
        steered: a mask of the tokens at which the component is set.
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
    """Returns the residual with a step added at the steered tokens. The sum is computed in float32 or a more precise type and
    rounded once."""
    wide = residual.to(torch.promote_types(residual.dtype, step.dtype))
    return torch.where(steered[..., None], (wide + step).to(residual.dtype), residual)


def _times(strength: float) -> str:
    return "" if strength == 1 else f"{strength:g} × "


def _check_points(direction: Float[Tensor, " d_model"]) -> None:
    if not direction.any():
        raise VectorError(
            "the direction is zero, so there is no component along it: expected a direction that is not zero. Give another "
            "vector or layer."
        )
