"""Predicting a sweep instead of running it: the derivative of each item's margin along a vector, from one pass.

To first order, adding ``s`` times a vector ``v`` after block ``l`` changes an item's margin by ``s * g_l . v``, where ``g_l`` is
the margin's derivative with respect to the residual there, summed over the steered tokens (attribution patching: Nanda
2023; Syed, Rager and Conmy, arXiv 2310.10348). One pass forward and one backward give it for every layer and vector at once.
Where a cell of the same vector and layer was run for real, it bends the prediction: the parabola with that slope at 0
through that cell.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from steerlens.evaluation.scorer import Scorer
from steerlens.steering import SteeringVector, Which


@dataclass(frozen=True, eq=False)
class Attribution:
    """How each item's margin answers to one vector at each layer, to first order."""

    slopes: Mapping[int, Float[ndarray, " item"]]
    """By layer: change of the margin per unit of strength, in nats per token (or as the scoring normalises)."""
    bends: Mapping[int, Float[ndarray, " item"]] = field(default_factory=dict)
    """By layer: the quadratic coefficient, where a cell was run."""

    def predict(self, layer: int, strength: float) -> Float[ndarray, " item"]:
        """Change of each item's margin at one cell."""
        return strength * self.slopes[layer] + strength**2 * self.bends.get(layer, 0.0)

    def anchored(self, layer: int, strength: float, change: Float[ndarray, " item"]) -> "Attribution":
        """This attribution bent at ``layer`` so that it gives ``change`` at ``strength``, which was run for real.

        Where the change is not finite, the line stays straight.
        """
        bend = np.where(np.isfinite(change), change - strength * self.slopes[layer], 0.0) / strength**2
        return Attribution(self.slopes, {**self.bends, layer: bend})


def attributions(
    scorer: Scorer, vectors: Sequence[tuple[SteeringVector, Sequence[int]]], tokens: Which
) -> dict[str, Attribution]:
    """The attribution of each vector on a scorer's items, all from one pass forward and one backward.

    Args:
        vectors: each with the layers that it is wanted at.
        tokens: which tokens would be steered.

    Returns:
        By the vectors' names.

    Raises:
        LayerError: a layer that a vector was not taken at.
    """
    every = sorted({layer for _, layers in vectors for layer in layers})
    gradients = dict(zip(every, scorer.gradients(every, tokens), strict=True))
    return {
        vector.name: Attribution({layer: (gradients[layer] @ vector.direction(layer)).numpy() for layer in layers})
        for vector, layers in vectors
    }
