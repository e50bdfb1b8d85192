"""Recipes: which vectors are added where, how strongly and at which tokens; a plan once a locale's vectors are put in."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from steerlens.evaluation.comparing import UNSTEERED
from steerlens.evaluation.grid import Cell
from steerlens.evaluation.searching.objectives import Gains
from steerlens.steering import SteeringPlan, SteeringVector, Which, no_steering
from steerlens.storage import restored

VectorsByLocale = Mapping[str, Mapping[str, SteeringVector]]
"""``vectors["es-ES"]["EN"]``."""
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Recipe:
    """Cells that are added together, each at its tokens. The same in every locale, with each locale's own vectors."""

    cells: tuple[Cell, ...] = ()
    """None: unsteered."""
    tokens: tuple[Which, ...] = ()
    """One for each cell."""

    def __str__(self) -> str:
        if len(set(self.tokens)) <= 1:  # said once, if it is the same for all
            cells = " + ".join(map(str, self.cells))
            return f"{cells}{_at(self.tokens[0])}" if self.cells else UNSTEERED
        return " + ".join(f"{cell}{_at(tokens)}" for cell, tokens in zip(self.cells, self.tokens, strict=True))

    def __add__(self, other: "Recipe") -> "Recipe":
        return Recipe((*self.cells, *other.cells), (*self.tokens, *other.tokens))

    def apart(self) -> list["Recipe"]:
        """A recipe for each cell."""
        return [Recipe((cell,), (tokens,)) for cell, tokens in zip(self.cells, self.tokens, strict=True)]

    @property
    def strength(self) -> float:
        """Sum of the strengths' sizes."""
        return sum(abs(cell.strength) for cell in self.cells)

    @property
    def method(self) -> str:
        """``unsteered``, a vector's name, or ``surgical`` for several."""
        return UNSTEERED if not self.cells else self.cells[0].vector if len(self.cells) == 1 else "surgical"

    def plan(self, vectors: Mapping[str, SteeringVector]) -> SteeringPlan:
        """The plan with one locale's vectors, by their names.

        Raises:
            LayerError: a layer that a vector was not taken at.
        """
        plan = no_steering(next(iter(vectors.values())).fingerprint)
        for cell, tokens in zip(self.cells, self.tokens, strict=True):
            plan = plan + vectors[cell.vector].at(cell.layer, cell.strength, tokens)
        return plan

    def to_list(self) -> list[dict[str, Any]]:
        """Plain JSON values, one for each cell."""
        return [{**asdict(cell), "tokens": tokens} for cell, tokens in zip(self.cells, self.tokens, strict=True)]


def _at(tokens: Which) -> str:
    return "" if tokens == "all" else f" at {tokens} tokens"


def single(vector: str, layer: int, strength: float, tokens: Which) -> Recipe:
    """One vector at one layer."""
    return Recipe((Cell(vector, layer, strength),), (tokens,))


def neighbours(recipe: Recipe, layers: Sequence[int], strengths: Sequence[float], tokens: Sequence[Which]) -> Iterator[Recipe]:
    """Recipes one step away: another strength next to it, another layer next to it or other tokens, of one of its cells.

    No two cells share a layer.
    """
    for at, cell in enumerate(recipe.cells):
        taken = {other.layer for other in recipe.cells if other is not cell}
        near = [replace(cell, strength=strength) for strength in _beside(cell.strength, strengths)]
        near += [replace(cell, layer=layer) for layer in _beside(cell.layer, layers) if layer not in taken]
        for other in near:
            yield Recipe((*recipe.cells[:at], other, *recipe.cells[at + 1 :]), recipe.tokens)
        for which in tokens:
            if which != recipe.tokens[at]:
                yield Recipe(recipe.cells, (*recipe.tokens[:at], which, *recipe.tokens[at + 1 :]))


def _beside(value: Number, of: Sequence[Number]) -> list[Number]:
    """The ones before and after a value in an ascending order."""
    at = list(of).index(value)
    return [of[n] for n in (at - 1, at + 1) if 0 <= n < len(of)]


@dataclass(frozen=True)
class Chosen:
    """The recipe taken for a method, and what dev said of it: it was the best of many, so read test, not this."""

    method: str
    recipe: Recipe
    gains: Gains

    def __str__(self) -> str:
        return str(self.recipe)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The recipe's cells."""
        return self.recipe.cells

    @property
    def transfer(self) -> float:
        """Change of T on dev."""
        return self.gains.transfer

    @property
    def localization(self) -> float:
        """Change of L on dev."""
        return self.gains.localization

    def plan(self, vectors: Mapping[str, SteeringVector]) -> SteeringPlan:
        """The plan for one locale's vectors."""
        return self.recipe.plan(vectors)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"method": self.method, "steps": self.recipe.to_list(), "dev": asdict(self.gains)}

    @classmethod
    def from_dict(cls, values: Any, whose: str = "a choice") -> "Chosen":
        """The inverse of ``to_dict``.

        Args:
            whose: the file that it stands in, for errors.

        Raises:
            FileError: a field is missing, unknown or of another type.
        """
        kept = restored(_Kept, values, whose)
        cells = tuple(Cell(step.vector, step.layer, step.strength) for step in kept.steps)
        return cls(kept.method, Recipe(cells, tuple(step.tokens for step in kept.steps)), kept.dev)


@dataclass(frozen=True)
class _KeptStep:
    """A cell and its tokens in a file."""

    vector: str
    layer: int
    strength: float
    tokens: Which


@dataclass(frozen=True)
class _Kept:
    """A choice in a file."""

    method: str
    steps: tuple[_KeptStep, ...]
    dev: Gains
