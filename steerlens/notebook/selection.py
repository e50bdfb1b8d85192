"""What the views of an explorer are about: one locale, one layer, one prompt, one step of steering."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import traitlets

from steerlens.notebook.specimen import Specimen
from steerlens.steering import STEERED_TOKENS, PlanSpec, SteeredTokens, SteeringPlan, StepSpec, VectorSet


@dataclass(frozen=True)
class Move:
    """One step of steering with one locale's vector."""

    locale: str
    step: StepSpec

    def plan(self, vectors: VectorSet) -> SteeringPlan:
        """Returns the plan that takes the step."""
        return PlanSpec((self.step,)).plan(vectors.of(self.locale))

    def code(self) -> str:
        """Returns the code that makes the plan from ``vectors``."""
        step = self.step
        named = f"vectors.of({self.locale!r})[{step.vector!r}]"
        return f"{named}.at(layers={step.layer}, strength={step.strength!r}, tokens={step.tokens!r})"


class Selection(traitlets.HasTraits):
    """What is chosen now, from what there is. May be set from code, and then the page follows."""

    locale = traitlets.Unicode()
    layer = traitlets.Int()
    concept = traitlets.Unicode()
    """Of the item whose prompt is steered."""
    vector = traitlets.Unicode()
    strength = traitlets.Float()
    tokens = traitlets.Unicode()

    def __init__(self, specimen: Specimen, tokens: SteeredTokens, limit: float) -> None:
        self._specimen, self._limit = specimen, limit
        first = specimen.locales[0]
        super().__init__(
            locale=first,
            layer=specimen.layers[len(specimen.layers) // 2],
            concept=specimen.concepts(first)[0],
            vector=next(iter(specimen.vectors.of(first))),
            strength=min(1.0, limit),
            tokens=tokens,
        )

    @property
    def move(self) -> Move:
        """The step of steering that is chosen."""
        tokens: Any = self.tokens  # validated
        return Move(self.locale, StepSpec(self.vector, self.layer, self.strength, tokens))

    def set(self, **choices: object) -> None:
        """Chooses several things at once, as ``set(layer=9, strength=2.0)``.

        Raises:
            TraitError: no such thing to choose, or not one of those that there are.
        """
        for name in choices:
            _among(name, self.trait_names(), "thing to choose")
        for name in sorted(choices, key=lambda name: name != "locale"):  # the locale first: others depend on it
            self.set_trait(name, choices[name])

    @traitlets.validate("locale", "layer", "concept", "vector", "tokens")
    def _is_there(self, proposal: Any) -> Any:
        known: dict[str, Sequence[Any]] = {
            "locale": self._specimen.locales,
            "layer": self._specimen.layers,
            "concept": self._specimen.concepts(self.locale),
            "vector": tuple(self._specimen.vectors.of(self.locale)),
            "tokens": STEERED_TOKENS,
        }
        name = proposal["trait"].name
        return _among(proposal["value"], known[name], name)

    @traitlets.validate("strength")
    def _within(self, proposal: Any) -> float:
        if not -self._limit <= proposal["value"] <= self._limit:
            raise traitlets.TraitError(
                f"strength {proposal['value']} given: expected -{self._limit:g} to {self._limit:g}. explore(limit=…) sets it."
            )
        return float(proposal["value"])

    @traitlets.observe("locale")
    def _moved_to(self, change: Any) -> None:
        """Keeps the concept and the vector if the new locale has them."""
        concepts, vectors = self._specimen.concepts(change.new), list(self._specimen.vectors.of(change.new))
        self.concept = self.concept if self.concept in concepts else concepts[0]
        self.vector = self.vector if self.vector in vectors else vectors[0]


def _among(value: Any, known: Sequence[Any], what: str) -> Any:
    if value not in known:
        raise traitlets.TraitError(f"unknown {what} {value!r}: expected one of {', '.join(map(str, known))}.")
    return value
