"""Defines the selection that the views of an explorer share: one prompt, one locale, one layer, and one step of steering."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import traitlets

from steerlens.notebook.specimen import Specimen
from steerlens.steering import STEERED_TOKENS, Intervention, SteeredTokens, SteeringPlan, StepSpec, VectorSet


@dataclass(frozen=True)
class Move:
    """A step of steering with one vector of a vector set."""

    vector: tuple[str, str]
    """The vector's name and locale."""
    layer: int
    strength: float
    tokens: SteeredTokens

    @property
    def spec(self) -> StepSpec:
        """The steering step, which contains the vector's name but not the vector's locale."""
        return StepSpec(self.vector[0], self.layer, self.strength, self.tokens)

    def plan(self, vectors: VectorSet) -> SteeringPlan:
        """Returns the steering plan that contains only this step."""
        return vectors[self.vector].at(self.layer, self.strength, self.tokens)

    def code(self) -> str:
        """Returns the code that makes the plan from ``vectors``."""
        name, locale = self.vector
        key = f"{name!r}, {locale!r}" if locale else repr(name)
        return f"vectors[{key}].at(layers={self.layer}, strength={self.strength!r}, tokens={self.tokens!r})"


class Selection(traitlets.HasTraits):
    """The current choices of an explorer. You can set the choices from code, and the page then follows."""

    locale = traitlets.Unicode()
    layer = traitlets.Int()
    concept = traitlets.Unicode()
    """The concept of the item whose prompt is steered; ``""`` if no items were given."""
    text = traitlets.Unicode()
    """A free prompt; ``""`` if the prompt of the item is used."""
    vector = traitlets.Unicode()
    """The vector's name, or its name and locale if no items were given; ``""`` if there is no vector."""
    strength = traitlets.Float()
    tokens = traitlets.Unicode()

    def __init__(self, specimen: Specimen, tokens: SteeredTokens, limit: float) -> None:
        self._specimen, self._limit = specimen, limit
        first = specimen.locales[0]
        super().__init__(
            locale=first,
            layer=specimen.layers[len(specimen.layers) // 2],
            concept=specimen.concepts(first)[0],
            text="" if specimen.studied else specimen.prompts[0],
            vector=self._names(first)[0],
            strength=min(1.0, limit),
            tokens=tokens,
        )

    def _names(self, locale: str) -> tuple[str, ...]:
        return tuple(self._specimen.offered(locale)) or ("",)

    @property
    def offered(self) -> Mapping[str, Intervention]:
        """The vectors that can be chosen now, by the names that the explorer shows."""
        return self._specimen.offered(self.locale)

    @property
    def move(self) -> Move | None:
        """The chosen step of steering; ``None`` if there is no vector."""
        vector = self.offered.get(self.vector)
        tokens: Any = self.tokens  # validated
        return None if vector is None else Move((vector.name, vector.locale), self.layer, self.strength, tokens)

    @property
    def prompt(self) -> str:
        """The text that is continued: the free prompt, or the prompt of the item."""
        return self.text or self._specimen.item(self.locale, self.concept).prompt().text

    def set(self, **choices: object) -> None:
        """Sets several choices at once, as in ``set(layer=9, strength=2.0)``.

        Raises:
            TraitError: a choice has an unknown name, or the value is not available.
        """
        for name in choices:
            _among(name, self.trait_names(), "thing to choose")
        order = ["locale", "concept"]  # the locale first, because other choices depend on it; a new item ends a free prompt
        for name in sorted(choices, key=lambda name: order.index(name) if name in order else len(order)):
            self.set_trait(name, choices[name])

    @traitlets.validate("locale", "layer", "concept", "vector", "tokens")
    def _is_there(self, proposal: Any) -> Any:
        known: dict[str, Sequence[Any]] = {
            "locale": self._specimen.locales,
            "layer": self._specimen.layers,
            "concept": self._specimen.concepts(self.locale),
            "vector": self._names(self.locale),
            "tokens": STEERED_TOKENS,
        }
        name = proposal["trait"].name
        return _among(proposal["value"], known[name], name)

    @traitlets.validate("text")
    def _says_something(self, proposal: Any) -> str:
        text = str(proposal["value"])
        if not text.strip() and (text or not self._specimen.studied):
            raise traitlets.TraitError(f"prompt {text!r} was given: expected at least one letter. Write a text.")
        return text

    @traitlets.validate("strength")
    def _within(self, proposal: Any) -> float:
        if not -self._limit <= proposal["value"] <= self._limit:
            raise traitlets.TraitError(
                f"strength {proposal['value']} was given: expected a number from -{self._limit:g} to {self._limit:g}. To change "
                "this limit, use explore(limit=…)."
            )
        return float(proposal["value"])

    @traitlets.observe("locale")
    def _moved_to(self, change: Any) -> None:
        """Keeps the concept and the vector if the new locale has them."""
        concepts, vectors = self._specimen.concepts(change.new), self._names(change.new)
        self.concept = self.concept if self.concept in concepts else concepts[0]
        self.vector = self.vector if self.vector in vectors else vectors[0]

    @traitlets.observe("locale", "concept")
    def _left_the_free_prompt(self, _: Any) -> None:
        if self._specimen.studied:
            self.text = ""


def _among(value: Any, known: Sequence[Any], what: str) -> Any:
    if value not in known:
        raise traitlets.TraitError(f"unknown {what} {value!r}: expected one of {', '.join(map(str, known))}.")
    return value
