"""What the views of an explorer are about: one locale, one layer, one prompt, one step of steering."""

from dataclasses import dataclass
from typing import Any

import traitlets

from steerlens.notebook.specimen import Specimen, variable
from steerlens.steering import SteeringPlan, Which


@dataclass(frozen=True)
class Move:
    """One vector of one locale at one layer and strength."""

    locale: str
    vector: str
    layer: int
    strength: float
    tokens: Which

    def plan(self, specimen: Specimen) -> SteeringPlan:
        """The plan that does it."""
        return specimen.vectors[self.locale][self.vector].at(self.layer, self.strength, self.tokens)

    @property
    def code(self) -> str:
        """What makes the plan, from the vector's variable."""
        return f"{variable(self.vector)}.at(layer={self.layer}, strength={self.strength!r}, tokens={self.tokens!r})"


class Selection(traitlets.HasTraits):
    """What is chosen now. Views set it and watch it; none knows of another."""

    locale = traitlets.Unicode()
    layer = traitlets.Int()
    concept = traitlets.Unicode()
    """Of the item whose prompt is steered."""
    vector = traitlets.Unicode()
    strength = traitlets.Float(1.0)
    tokens = traitlets.Unicode("last_onward")

    @property
    def move(self) -> Move:
        """The step of steering that is chosen."""
        tokens: Any = self.tokens  # one of WHICH: the list offers no other
        return Move(self.locale, self.vector, self.layer, self.strength, tokens)

    def set(self, **choices: object) -> None:
        """Chooses several things at once, as ``set(layer=9, strength=2.0)``.

        Raises:
            TraitError: a value of the wrong type, or no such thing to choose.
        """
        unknown = sorted(set(choices) - set(self.trait_names()))
        if unknown:
            raise traitlets.TraitError(
                f"no such choice: {', '.join(unknown)}. There are {', '.join(sorted(self.trait_names()))}."
            )
        for name, value in choices.items():  # in the order given: a locale brings its own prompts and vectors
            self.set_trait(name, value)
