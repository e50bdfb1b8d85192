"""Defines the part of a steering plan that the engine needs, so that the engine does not depend on the class ``SteeringPlan``."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from steerlens.models.hooks import Hook


@runtime_checkable
class Plan(Protocol):
    """The interface of edits of the residual stream. ``SteeringPlan`` is one implementation."""

    @property
    def layers(self) -> Sequence[int]:
        """The layers that are edited, ascending."""

    @property
    def leaves_prompt(self) -> bool:
        """Whether the plan edits no token before the prompt's last token."""

    def edit(
        self, layer: int, residual: Float[Tensor, "batch pos d_model"], roles: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual stream after block ``layer``, changed by the edits. The method is a pure function."""

    def hooks(self, model: Any) -> list[Hook]:
        """Returns hooks that make the same edits. The hooks find the roles of the running pass's tokens themselves."""

    def check(self, model: Any) -> None:
        """Refuses a model for which the edits were not made.

        Raises:
            FingerprintError: the edits were made for another model. The error lists the differences between the two models.
        """
