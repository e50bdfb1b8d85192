"""What the engine needs to know of a steering plan, so that it need not know what a plan is."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from steerlens.models.hooks import Hook


@runtime_checkable
class Plan(Protocol):
    """Edits of the residual stream. ``SteeringPlan`` is one."""

    @property
    def layers(self) -> Sequence[int]:
        """The layers that are edited, ascending."""

    @property
    def leaves_prompt(self) -> bool:
        """Whether no token before the prompt's last one is edited."""

    def edit(
        self, layer: int, residual: Float[Tensor, "batch pos d_model"], roles: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """The residual stream after block ``layer`` as the edits there leave it: a pure function."""

    def hooks(self, model: Any) -> list[Hook]:
        """The same edits as hooks, which find out by themselves what the tokens of the running pass are."""

    def check(self, model: Any) -> None:
        """Refuses a model that the edits are not for.

        Raises:
            FingerprintError: saying in what the models differ.
        """
