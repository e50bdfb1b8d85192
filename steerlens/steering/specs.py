"""Plan specs: plans without vectors. A spec contains the names of the vectors with their layers, strengths and tokens, and is
the same in every locale."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from steerlens.errors import UnknownNameError
from steerlens.settings import SteeredTokens
from steerlens.steering.interventions import Intervention
from steerlens.steering.plans import SteeringPlan, no_steering

UNSTEERED = "unsteered"
SURGICAL = "surgical"
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class StepSpec:
    """The spec of a step: the name of a vector, a layer, a strength and the steered tokens. The spec is the same in every
    locale, and each locale uses its own vector with this name."""

    vector: str
    """The name of the vector."""
    layer: int
    """The index of the block after which the vector is used."""
    strength: float = 1.0
    """The strength of the step, which is the factor by which the vector is multiplied."""
    tokens: SteeredTokens = "last_onward"

    def __str__(self) -> str:
        where = "" if self.tokens == "last_onward" else f" at {self.tokens} tokens"
        return f"{self.strength:g} × {self.vector} at layer {self.layer}{where}"


@dataclass(frozen=True)
class PlanSpec:
    """The spec of a plan: steps that are applied together, without their vectors. Two specs are added with ``+``."""

    steps: tuple[StepSpec, ...] = ()
    """The steps of the plan. The tuple is empty for the unsteered model."""

    @classmethod
    def of(cls, vector: str, layer: int, strength: float = 1.0, tokens: SteeredTokens = "last_onward") -> "PlanSpec":
        """Returns the spec of a plan with one step.

        Args:
            vector: the name of the vector.
            layer: a block's index.
            strength: the factor by which the vector is multiplied.
            tokens: the choice of steered tokens.
        """
        return cls((StepSpec(vector, layer, strength, tokens),))

    def __str__(self) -> str:
        return " + ".join(map(str, self.steps)) or UNSTEERED

    def __add__(self, other: "PlanSpec") -> "PlanSpec":
        return PlanSpec((*self.steps, *other.steps))

    def apart(self) -> list["PlanSpec"]:
        """Returns a separate plan spec for each step."""
        return [PlanSpec((step,)) for step in self.steps]

    @property
    def strength(self) -> float:
        """The sum of the absolute strengths of the steps."""
        return sum((abs(step.strength) for step in self.steps), 0.0)

    @property
    def name(self) -> str:
        """The name of the plan: ``unsteered`` without steps, the vector's name for one step, and ``surgical`` for several
        steps."""
        return UNSTEERED if not self.steps else self.steps[0].vector if len(self.steps) == 1 else SURGICAL

    def plan(self, vectors: Mapping[str, Intervention]) -> SteeringPlan:
        """Returns the plan with one locale's vectors.

        Args:
            vectors: the vectors by name, as returned by ``VectorSet.of(locale)``.

        Raises:
            LayerError: a vector was not taken at the layer of its step.
            UnknownNameError: a vector is missing.
        """
        for step in self.steps:
            if step.vector not in vectors:
                raise UnknownNameError("vector", step.vector, vectors)
        plan = no_steering(next(iter(vectors.values())).fingerprint)
        return sum((vectors[step.vector].at(step.layer, step.strength, step.tokens) for step in self.steps), plan)

    def to_list(self) -> list[dict[str, Any]]:
        """Returns the steps of a plan (vector, layer, strength, tokens) as a list of plain JSON values."""
        return [asdict(step) for step in self.steps]

    def neighbours(
        self, layers: Sequence[int], strengths: Sequence[float], tokens: Sequence[SteeredTokens]
    ) -> Iterator["PlanSpec"]:
        """Yields the specs that differ from this spec by one move. A move changes one step to a neighbouring strength, a
        neighbouring layer, or other tokens.

        The steps of a yielded spec are all at different layers.

        Args:
            layers: the layers that are tried, in ascending order.
            strengths: the strengths that are tried, in ascending order.
            tokens: the choices of tokens that are tried.
        """
        for at, step in enumerate(self.steps):
            taken = {other.layer for other in self.steps if other is not step}
            near = [replace(step, strength=strength) for strength in _beside(step.strength, strengths)]
            near += [replace(step, layer=layer) for layer in _beside(step.layer, layers) if layer not in taken]
            near += [replace(step, tokens=which) for which in tokens if which != step.tokens]
            for other in near:
                yield PlanSpec((*self.steps[:at], other, *self.steps[at + 1 :]))


def _beside(value: Number, of: Sequence[Number]) -> list[Number]:
    """Returns the values directly before and after a value in an ascending list."""
    at = list(of).index(value)
    return [of[n] for n in (at - 1, at + 1) if 0 <= n < len(of)]
