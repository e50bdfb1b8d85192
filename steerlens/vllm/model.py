"""A model that vLLM runs. The model has the same methods as other models of steerlens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from steerlens.models.lens import LensModel
from steerlens.models.plans import Plan
from steerlens.vllm.backend import VllmBackend
from steerlens.vllm.requests import Requests

if TYPE_CHECKING:
    from steerlens.steering import SteeringPlan

_TOKENS = 1 << 15
"""The largest number of tokens in a batch of prompts. vLLM decides how many tokens run at the same time."""


class VllmModel(LensModel):
    """A model in vLLM. The model supports the capture of residual streams, scoring, sweeps, the transfer-localization plane and
    generation, unsteered and under plans.

    Hooks, gradients, the logit lens and executors raise an error. ``steerlens.vllm.load`` returns a ``VllmModel``.
    """

    pads_left = True
    token_budget = _TOKENS

    def __init__(self, backend: VllmBackend) -> None:
        """Wraps a backend.

        Args:
            backend: the backend that runs the model.
        """
        super().__init__(backend)
        self.backend: VllmBackend = backend
        self.requests: Requests = backend.requests

    @property
    def llm(self) -> Any:
        """The ``vllm.LLM`` object that runs the model."""
        return self.requests.llm

    def check_unembedding(self) -> None:
        """Does nothing, because vLLM computes log probabilities itself."""

    @contextmanager
    def steered(self, plan: Plan) -> Iterator[None]:
        """Steers every request inside the ``with`` block by a plan, in addition to the plans of outer ``with`` blocks.

        Args:
            plan: a plan of this model.

        Raises:
            FingerprintError: the plan belongs to another model.
        """
        plan.check(self)
        before = self.requests.in_force
        self.requests.in_force = (*before, cast("SteeringPlan", plan))
        try:
            yield
        finally:
            self.requests.in_force = before
