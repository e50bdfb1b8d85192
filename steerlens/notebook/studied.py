"""Computes residuals and scores by layer of the items that an explorer shows. Only public functions of steerlens are used."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from steerlens.activations import ResidualStack
from steerlens.data import Item, Items
from steerlens.evaluation import Sweep, sweep
from steerlens.evaluation.scores import AXES, SWEPT
from steerlens.models import LensModel
from steerlens.probing import Separability, separability
from steerlens.settings import Mode
from steerlens.steering import SteeredTokens, SteeringVector, VectorSet

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class HeatScore:
    """A quantity with a value at every layer and locale: the separability, or the effect of one vector on one score."""

    name: str
    score: str
    vector: str = ""

    @property
    def call(self) -> str:
        """The code that draws the quantity from ``separated`` or ``swept``."""
        return f"swept.by_locale({self.vector!r}, {self.score!r})" if self.vector else f"separated.heatmap({self.score!r})"


@dataclass(frozen=True, eq=False)
class Studied:
    """Dev items of some locales, with their residuals, separability and sweep."""

    looked: Items
    stack: ResidualStack
    """The residuals of the items' implicit prompts, at the layers that all vectors have."""
    separated: Separability
    swept: Sweep
    """The sweep of every vector at strength 1. The scores of the sweep are predicted. If a vector does not add a fixed direction,
    the scores are measured by running the model."""
    mode: Mode
    """The mode of the sweep."""
    seed: int

    @property
    def scores(self) -> tuple[HeatScore, ...]:
        """The quantities that the heatmap can show."""
        names = dict.fromkeys(self.swept.frame["vector"])
        return (
            HeatScore("separability", "auroc"),
            HeatScore("separability above the baselines", "above"),
            *(HeatScore(f"{v} → {s}", s, v) for v, s in product(names, AXES)),
        )

    def drawn(self, of: HeatScore) -> "Figure":
        """Returns the heatmap of one score."""
        return self.swept.by_locale(of.vector, of.score) if of.vector else self.separated.heatmap(of.score)

    def of(self, locale: str) -> Items:
        """Returns the items of one locale."""
        return self.looked.of(locale=locale)

    def item(self, locale: str, concept: str) -> Item:
        """Returns one of the items."""
        return next(item for item in self.of(locale) if item.concept == concept)


def studied(
    model: LensModel, looked: Items, vectors: VectorSet, layers: Sequence[int], tokens: SteeredTokens, seed: int
) -> Studied:
    """Computes residuals, separability and predicted effects of items.

    Args:
        layers: the layers that all vectors have.
        tokens: the tokens that are steered in the predicted effects.
    """
    stack = model.residuals(looked.prompts(explicit=False), layers)
    mode: Mode = "attribution" if all(isinstance(vector, SteeringVector) for vector in vectors.values()) else "exact"
    return Studied(
        looked,
        stack,
        separability(stack, probes=("difference of means",), seed=seed),
        sweep(model, looked, vectors, layers, [1.0], scores=SWEPT, mode=mode, tokens=tokens),
        mode,
        seed,
    )
