"""Difference of means: the direction from the negative prompts' mean residual to the positive prompts'."""

from collections.abc import Sequence

from steerlens.activations import ResidualStack
from steerlens.data import PromptPairs
from steerlens.models.lens import LensModel
from steerlens.models.reading import Positions, described
from steerlens.steering.vectors import SteeringVector


def difference_of_means(
    model: LensModel | ResidualStack,
    pairs: PromptPairs,
    layers: Sequence[int] | None = None,
    positions: Positions = "last",
    *,
    batch_size: int | None = None,
) -> SteeringVector:
    """Mean over concepts of (positive residual - negative residual), at each layer, accumulated in float64.

    EN and LOC vectors as in Han, Agrawal and Briakou (arXiv 2510.26024): EN contrasts English with the locale over
    factual concepts, LOC the explicit with the implicit prompt over cultural ones. Difference-of-means steering is
    contrastive activation addition (Rimsky et al., arXiv 2312.06681).

    Args:
        model: the model, or a stack that already holds every prompt of the pairs.
        pairs: the prompts to contrast, of the same concepts in the same order.
        layers: all layers of the model or the stack for ``None``.
        positions: where to read, if a model is given: ``last``, ``mean`` or a token's index.
        batch_size: prompts at once, if a model is given; chosen for the device for ``None``.

    Raises:
        PromptError: a stack that lacks some of the prompts.
        LayerError: a layer that the model or the stack does not have.
        VectorError: residuals that are not finite.
    """
    if isinstance(model, LensModel):
        each = 1 / len(pairs)
        prompts, weights = [*pairs.positive, *pairs.negative], [each] * len(pairs) + [-each] * len(pairs)
        wanted, where, fingerprint = model.layers(layers), described(positions), model.fingerprint
        directions = model.weighted_residuals(prompts, weights, wanted, positions, batch_size=batch_size).float()
    else:
        stack = model if layers is None else model.at_layers(layers)
        wanted, where, fingerprint = stack.layers, stack.positions, stack.fingerprint
        directions = stack.mean_difference(pairs)
    return SteeringVector(
        directions=directions,
        layers=wanted,
        fingerprint=fingerprint,
        name=pairs.name,
        locale=pairs.locale,
        n=len(pairs),
        positions=where,
        prompts_sha256=pairs.digest(),
    )
