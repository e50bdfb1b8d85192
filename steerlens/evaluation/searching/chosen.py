"""Choices: the plan spec taken for a contrast, or for all together, with its vectors and what dev said of it."""

from dataclasses import dataclass, field, replace
from typing import Any

from steerlens.errors import UnknownNameError
from steerlens.evaluation.searching.expected import Expected, KeptExpected
from steerlens.evaluation.searching.objectives import Gains
from steerlens.steering import PlanSpec, SteeringPlan, StepSpec, VectorSet
from steerlens.storage import restored


@dataclass(frozen=True)
class Chosen:
    """The plan spec taken for a method, and what dev said of it: it was the best of many, so read test, not this."""

    name: str
    """A contrast's name, ``surgical`` for a combination, or ``best``."""
    spec: PlanSpec
    """Empty where no plan helped, so that the model stays unsteered."""
    gains: Gains
    vectors: VectorSet = field(default_factory=VectorSet, repr=False, compare=False)
    """The vectors of the spec's steps."""
    expected: Expected | None = field(default=None, repr=False, compare=False)
    """The effect expected on new concepts, and the reason where the choice is unsteered; ``None`` where this is not known."""

    def __str__(self) -> str:
        return str(self.spec)

    def explained(self) -> str:
        """Returns in words what was chosen, what it gained where it was chosen, and what is expected of it elsewhere."""
        if self.expected is None:
            return str(self.spec)
        return f"{self.spec}: {self.expected}" if self.expected.helps else str(self.expected)

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """The spec's steps."""
        return self.spec.steps

    @property
    def locales(self) -> tuple[str, ...]:
        """The locales in which there are all vectors of the steps; none where these go with all items."""
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
        """Returns the plan of each locale; of all that there are vectors for with ``None``.

        Args:
            locales: the locales that are steered; all that there are vectors for with ``None``.
        """
        return {locale: self.plan(locale) for locale in (self.locales if locales is None else locales)}

    def with_vectors(self, vectors: VectorSet) -> "Chosen":
        """Returns the same choice with other vectors.

        Args:
            vectors: a set that has the vectors of the spec's steps.
        """
        return replace(self, vectors=vectors)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values, without the vectors."""
        known = {} if self.expected is None else {"expected": self.expected.to_dict()}
        own = {"method": self.name, "steps": self.spec.to_list(), "aims": list(self.gains.aims), "dev": self.gains.to_dict()}
        return {**own, **known}

    @classmethod
    def from_dict(cls, values: Any, whose: str = "a choice", vectors: VectorSet | None = None) -> "Chosen":
        """Returns the choice that ``to_dict`` described.

        Args:
            values: JSON values.
            whose: the file that they were read from, for errors.
            vectors: what the spec's steps are made with.

        Raises:
            FileError: a field is missing, unknown or of another type.
        """
        kept = restored(_Kept, values, whose)
        found = None if kept.expected is None else kept.expected.made()
        made = vectors if vectors is not None else VectorSet()
        return cls(kept.method, PlanSpec(kept.steps), Gains(kept.dev, kept.aims), made, found)


@dataclass(frozen=True)
class _Kept:
    """A choice in a file."""

    method: str
    steps: tuple[StepSpec, ...]
    dev: dict[str, float]
    aims: tuple[str, ...]
    expected: KeptExpected | None = None
