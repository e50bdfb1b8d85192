"""Difference of means: the direction from the negative prompts' mean residual to the positive prompts'."""

from collections.abc import Iterable

import torch
from einops import einsum

from steerlens.activations import ResidualStack
from steerlens.data import PromptPairs
from steerlens.errors import VectorError
from steerlens.models.lens import LensModel
from steerlens.models.pooling import Positions, described
from steerlens.numeric import Layers, layers_of
from steerlens.steering.vectors import SteeringVector


def difference_of_means(
    model: LensModel | ResidualStack,
    pairs: PromptPairs,
    layers: Layers | None = None,
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
        each = [1 / len(pairs)] * len(pairs)
        wanted = layers_of(model.layers() if layers is None else layers, model.layers(), f"model {model.name}")
        where, fingerprint = described(positions), model.fingerprint
        positive, negative = (
            model.weighted_residuals(side, each, wanted, positions, batch_size=batch_size)
            for side in (pairs.positive, pairs.negative)
        )
    else:
        stack = model if layers is None else model.at_layers(layers)
        wanted, where, fingerprint = stack.layers, stack.positions, stack.fingerprint
        positive, negative = (stack.of(side).residuals.double().mean(dim=1) for side in (pairs.positive, pairs.negative))
    directions = positive - negative
    unit = torch.nn.functional.normalize(directions, dim=1)
    return SteeringVector(
        directions=directions.float(),
        layers=wanted,
        fingerprint=fingerprint,
        name=pairs.name,
        locale=pairs.locale,
        n=len(pairs),
        positions=where,
        prompts_sha256=pairs.digest(),
        positive=einsum(positive, unit, "layer d_model, layer d_model -> layer").float(),
    )


def pooled(vectors: Iterable[SteeringVector], locale: str = "") -> SteeringVector:
    """One vector from several locales': the difference of means over all their pairs together.

    Args:
        vectors: of one model, read at the same layers and positions; each counts as often as it has pairs.
        locale: whose items it is to be used on; sweeps match vectors and items by it.

    Raises:
        VectorError: no vectors, one without pairs, or vectors of different layers or positions.
        FingerprintError: vectors of different models.
    """
    given = list(vectors)
    read_at = {(vector.layers, vector.positions) for vector in given}
    if len(read_at) != 1 or not all(vector.n for vector in given):
        raise VectorError(
            f"vectors {[vector.label for vector in given]} cannot be pooled: expected at least one, each averaged over pairs and "
            "all read at the same layers and positions. Take them with difference_of_means from the same stack."
        )
    first, n = given[0], sum(vector.n for vector in given)
    for vector in given:
        vector.fingerprint.check(first.fingerprint, f"vector {vector.label}")
    return SteeringVector(
        directions=sum((vector.directions.double() * (vector.n / n) for vector in given), torch.zeros(())).float(),
        layers=first.layers,
        fingerprint=first.fingerprint,
        name=f"{first.name} pooled",
        locale=locale,
        n=n,
        positions=first.positions,
        notes={"pooled": [vector.label for vector in given]},
    )
