"""Predicts the results of a sweep's cells without running them, from the derivative of each item's margin along a vector. A
cell is one vector at one layer with one strength.

To first order, adding ``s`` times a vector ``v`` after block ``l`` changes an item's margin by ``s * g_l . v``. The vector
``g_l`` is the derivative of the margin with respect to the residual after block ``l``, summed over the steered tokens. The
method is called attribution patching (Nanda 2023; Syed, Rager and Conmy, arXiv 2310.10348). One forward and one backward pass
give ``g_l . v`` for every layer and vector at once. If a cell of the same vector and layer was run, the prediction is a
parabola instead of a straight line. The parabola passes through the change that was measured in the cell, and has the slope
``g_l . v`` at strength 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from steerlens.errors import SettingsError
from steerlens.evaluation.scorer import Scorer
from steerlens.steering import SteeredTokens, SteeringVector


@dataclass(frozen=True, eq=False)
class Attribution:
    """The first-order change of each item's margin under one vector at each layer."""

    slopes: Mapping[int, Float[ndarray, " item"]]
    """The change of the margin per unit of strength, by layer, in nats per token (or in the unit of the scoring's
    normalisation)."""
    bends: Mapping[int, Float[ndarray, " item"]] = field(default_factory=dict)
    """The quadratic coefficient of the prediction, for each layer at which a cell was run."""
    unknown_of: str = ""
    """The name of an intervention whose derivative is not known, or ``""``. The effect of such an intervention is known only
    in cells that were run."""

    @classmethod
    def unknown(cls, name: str) -> "Attribution":
        """Returns the attribution of an intervention that does not add a vector. At a layer where a cell was run, the
        prediction is a straight line through that cell.

        Args:
            name: the name of the intervention, which is used in error messages.
        """
        return cls({}, {}, name or "an intervention")

    def predict(self, layer: int, strength: float) -> Float[ndarray, " item"]:
        """Returns by how much each item's margin is predicted to change if the vector is added at one layer with one strength.

        Args:
            layer: a block's index.
            strength: the factor by which the vector is multiplied.

        Raises:
            SettingsError: the derivative is not known at this layer, and no cell was run there.
        """
        if layer not in self.slopes:
            raise SettingsError(
                f"the effect of {self.unknown_of} at layer {layer} cannot be predicted from a derivative, because "
                f"{self.unknown_of} does not add a fixed direction. Use mode 'exact' or 'screened'."
            )
        with np.errstate(over="ignore", invalid="ignore"):  # too large for float32: the result is not finite
            return strength * self.slopes[layer] + strength * strength * self.bends.get(layer, 0.0)

    def anchored(self, layer: int, strength: float, change: Float[ndarray, " item"]) -> "Attribution":
        """Returns a copy of this attribution whose prediction at ``layer`` and ``strength`` is ``change``, the change measured
        in a cell.

        If the change is not finite, the prediction stays a straight line. If no derivative is known, the prediction is a
        straight line through ``change``.
        """
        if layer not in self.slopes:
            straight = np.where(np.isfinite(change), change, 0.0) / strength
            return replace(self, slopes={**self.slopes, layer: straight})
        with np.errstate(over="ignore"):
            bend = np.where(np.isfinite(change), change - strength * self.slopes[layer], 0.0) / (strength * strength)
        return replace(self, bends={**self.bends, layer: bend})


def attributions(
    scorer: Scorer, vectors: Sequence[tuple[SteeringVector, Sequence[int]]], tokens: SteeredTokens
) -> dict[str, Attribution]:
    """Returns the attribution of each vector on a scorer's items, all from one forward and one backward pass.

    Args:
        vectors: the vectors, each with the layers at which its effect is predicted.
        tokens: the steered tokens for which the effect is predicted.
        scorer: the scorer of the items.

    Returns:
        The attributions by the vectors' names.

    Raises:
        LayerError: a vector has no direction at one of its layers.
    """
    every = sorted({layer for _, layers in vectors for layer in layers})
    gradients = dict(zip(every, scorer.gradients(every, tokens), strict=True))
    return {vector.name: Attribution(slopes_along(vector, layers, gradients)) for vector, layers in vectors}


def slopes_along(
    vector: SteeringVector, layers: Sequence[int], gradients: Mapping[int, Float[Tensor, "item d_model"]]
) -> dict[int, Float[ndarray, " item"]]:
    """Returns the derivative of each item's margin along a vector, by layer.

    Args:
        vector: the vector along which the margin is differentiated.
        layers: the requested layers.
        gradients: for each layer, the derivative of each item's margin with respect to a vector that is added after this
            layer.

    Raises:
        LayerError: the vector has no direction at one of the layers.
    """
    return {layer: (gradients[layer] @ vector.direction(layer)).numpy() for layer in layers}


def joined(pieces: Sequence[Attribution]) -> Attribution:
    """Joins the attributions of several lists of items into one attribution, in the given order. Quadratic coefficients are
    not included.

    Args:
        pieces: the attributions of one vector at the same layers, at least one.
    """
    return Attribution({layer: np.concatenate([piece.slopes[layer] for piece in pieces]) for layer in pieces[0].slopes})
