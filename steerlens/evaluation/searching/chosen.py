"""The choice of a plan. A choice contains the chosen plan spec, its vectors, and its results on dev."""

from dataclasses import dataclass, field, replace
from typing import Any

from steerlens.errors import UnknownNameError
from steerlens.evaluation.searching.expected import Expected, KeptExpected
from steerlens.evaluation.searching.objectives import Gains
from steerlens.steering import PlanSpec, SteeringPlan, StepSpec, VectorSet
from steerlens.storage import restored


@dataclass(frozen=True)
class Chosen:
    """The plan spec that was chosen for a method, and its results on dev. The plan was the best of many plans on dev, so its
    results on dev are too good. Report results on test instead."""

    name: str
    """The name of the choice: a contrast's name, ``surgical`` (for all contrasts together), or ``best``."""
    spec: PlanSpec
    """The chosen plan spec. The spec is empty if no plan helped, and the model then stays unsteered."""
    gains: Gains
    vectors: VectorSet = field(default_factory=VectorSet, repr=False, compare=False)
    """The vectors of the steps of the chosen plan spec."""
    expected: Expected | None = field(default=None, repr=False, compare=False)
    """The effect that is expected on new concepts. If the model stays unsteered, the reason is included. ``None`` means that
    the effect is not known."""

    def __str__(self) -> str:
        return str(self.spec)

    def explained(self) -> str:
        """Returns a description in words of the choice, its gain on the dev concepts, and its expected gain on new
        concepts."""
        if self.expected is None:
            return str(self.spec)
        return f"{self.spec}: {self.expected}" if self.expected.helps else str(self.expected)

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """The steps of the chosen plan spec."""
        return self.spec.steps

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales that have a vector for every step. The tuple is empty if the vectors have no locale."""
        names = [step.vector for step in self.steps] or [self.name]
        named = [name for name in names if name in self.vectors.names] or self.vectors.names
        each = [own for name in named if (own := self.vectors.named(name).locales)]
        return tuple(code for code in self.vectors.locales if each and all(code in own for own in each))

    def plan(self, locale: str) -> SteeringPlan:
        """Returns the plan for one locale.

        Args:
            locale: the locale that is steered.

        Raises:
            UnknownNameError: there is no vector for the locale.
        """
        own = self.vectors.of(locale)
        if not own or locale not in (self.locales or (locale,)):
            raise UnknownNameError("locale of a vector", locale, self.locales)
        return self.spec.plan(own)

    def plans(self, locales: tuple[str, ...] | None = None) -> dict[str, SteeringPlan]:
        """Returns the plan of each locale.

        Args:
            locales: the locales that are steered; ``None`` takes all locales that have vectors.
        """
        return {locale: self.plan(locale) for locale in (self.locales if locales is None else locales)}

    def with_vectors(self, vectors: VectorSet) -> "Chosen":
        """Returns a copy of the choice with other vectors.

        Args:
            vectors: a set that contains the vectors of the spec's steps.
        """
        return replace(self, vectors=vectors)

    def to_dict(self) -> dict[str, Any]:
        """Returns the choice as plain JSON values, without the vectors."""
        known = {} if self.expected is None else {"expected": self.expected.to_dict()}
        own = {"method": self.name, "steps": self.spec.to_list(), "aims": list(self.gains.aims), "dev": self.gains.to_dict()}
        return {**own, **known}

    @classmethod
    def from_dict(cls, values: Any, whose: str = "a choice", vectors: VectorSet | None = None) -> "Chosen":
        """Returns the choice that ``to_dict`` described.

        Args:
            values: JSON values.
            whose: the file from which the values were read, for error messages.
            vectors: the vectors for the spec's steps.

        Raises:
            FileError: a field is missing, unknown or of another type.
        """
        kept = restored(_Kept, values, whose)
        found = None if kept.expected is None else kept.expected.made()
        made = vectors if vectors is not None else VectorSet()
        return cls(kept.method, PlanSpec(kept.steps), Gains(kept.dev, kept.aims), made, found)


@dataclass(frozen=True)
class _Kept:
    """The fields with which a choice is stored in a file."""

    method: str
    steps: tuple[StepSpec, ...]
    dev: dict[str, float]
    aims: tuple[str, ...]
    expected: KeptExpected | None = None
