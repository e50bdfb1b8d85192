"""A model that vLLM runs, with the methods of any other model of steerlens."""

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
"""The number of tokens in a batch of prompts. vLLM itself decides how many of them run at once."""


class VllmModel(LensModel):
    """A model in vLLM. It supports capture, scoring, sweeps, the plane and generation, unsteered and under plans.

    Hooks, derivatives, lenses on its logits and executors are refused. ``steerlens.vllm.load`` makes such a model.
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
        """vLLM's ``LLM`` itself."""
        return self.requests.llm

    def check_unembedding(self) -> None:
        """Does nothing, as vLLM returns log probabilities itself."""

    @contextmanager
    def steered(self, plan: Plan) -> Iterator[None]:
        """Steers every request inside the block by a plan, in addition to the plans of outer blocks.

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
