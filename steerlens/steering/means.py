"""Difference of means: the mean residual of the positive prompts minus the mean residual of the negative prompts."""

from collections.abc import Iterable, Sequence

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import Prompt, PromptPairs
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
    """Returns the mean of (positive residual - negative residual) over pairs, at each layer. The mean is accumulated in
    float64.

    EN and LOC vectors are made as in Han, Agrawal and Briakou (arXiv 2510.26024). EN contrasts English with the locale over
    factual concepts. LOC contrasts the explicit with the implicit prompt over cultural concepts. Steering with the difference
    of means is contrastive activation addition (Rimsky et al., arXiv 2312.06681). To take vectors of several contrasts and
    locales, use ``take``.

    Args:
        model: the model, or a stack that already contains every prompt of the pairs.
        pairs: the pairs of prompts. The positive and negative prompts have the same concepts in the same order.
        layers: the block indices; ``None`` takes all layers of the model or the stack.
        positions: the position at which residuals are read, if a model is given: ``last``, ``mean`` or a token's index.
        batch_size: the number of prompts in a batch, if a model is given; ``None`` takes a number that suits the device.

    Raises:
        PromptError: the stack lacks some of the prompts.
        LayerError: the model or the stack does not have one of the layers.
        VectorError: residuals are not finite.
    """
    (vector,) = differences_of_means(model, [pairs], layers, positions, batch_size=batch_size)
    return vector


def differences_of_means(
    model: LensModel | ResidualStack,
    pairs: Sequence[PromptPairs],
    layers: Layers | None = None,
    positions: Positions = "last",
    *,
    batch_size: int | None = None,
) -> list[SteeringVector]:
    """Returns the difference of means for each of several sets of pairs. A prompt that occurs in several sets is run once.

    The arguments and errors are the same as in ``difference_of_means``.

    Args:
        model: the model, or a stack that already contains every prompt of the pairs.
        pairs: the sets of pairs, one set for each vector.
        layers: the block indices; ``None`` takes all layers of the model or the stack.
        positions: the position at which residuals are read, if a model is given.
        batch_size: the number of prompts in a batch, if a model is given; ``None`` takes a number that suits the device.
    """
    if isinstance(model, LensModel):
        wanted = layers_of(model.layers() if layers is None else layers, model.layers(), f"model {model.name}")
        where, fingerprint = described(positions), model.fingerprint
        means = _means(model, [side for both in pairs for side in (both.positive, both.negative)], wanted, positions, batch_size)
    else:
        stack = model if layers is None else model.at_layers(layers)
        wanted, where, fingerprint = stack.layers, stack.positions, stack.fingerprint
        means = [stack.of(side).residuals.double().mean(dim=1) for both in pairs for side in (both.positive, both.negative)]
    made = []
    for both, positive, negative in zip(pairs, means[::2], means[1::2], strict=True):
        directions = positive - negative
        unit = torch.nn.functional.normalize(directions, dim=1)
        vector = SteeringVector(
            directions=directions.float(),
            layers=wanted,
            fingerprint=fingerprint,
            name=both.name,
            locale=both.locale,
            n=len(both),
            positions=where,
            prompts_sha256=both.digest(),
            positive=einsum(positive, unit, "layer d_model, layer d_model -> layer").float(),
        )
        made.append(vector)
    return made


def _means(
    model: LensModel,
    sides: Sequence[Sequence[Prompt]],
    layers: Sequence[int],
    positions: Positions,
    batch_size: int | None,
) -> list[Float[Tensor, "layer d_model"]]:
    """Returns for each list of prompts in ``sides`` the mean residual of its prompts, from one pass over all prompts. The
    residuals of single prompts are not kept."""
    index = {prompt: at for at, prompt in enumerate(dict.fromkeys(prompt for side in sides for prompt in side))}
    weights = torch.zeros(len(index), len(sides), dtype=torch.float64)
    for column, side in enumerate(sides):
        rows = torch.tensor([index[prompt] for prompt in side])
        weights[:, column].index_add_(0, rows, torch.full((len(side),), 1 / len(side), dtype=torch.float64))
    return list(model.weighted_residuals(list(index), weights, layers, positions, batch_size=batch_size))


def pooled(vectors: Iterable[SteeringVector], locale: str = "") -> SteeringVector:
    """Returns one vector from several vectors: the difference of means over the pairs of all vectors together.

    Args:
        vectors: vectors of one model that were read at the same layers and positions. Each vector is weighted by its number
            of pairs.
        locale: the locale on whose items the vector is used; ``""`` means all items.

    Raises:
        VectorError: there are no vectors, a vector has no pairs, or the vectors have different layers or positions.
        FingerprintError: the vectors belong to different models.
    """
    given = list(vectors)
    read_at = {(vector.layers, vector.positions) for vector in given}
    if len(read_at) != 1 or not all(vector.n for vector in given):
        raise VectorError(
            f"vectors {[vector.label for vector in given]} cannot be pooled: expected at least one vector, each the mean "
            "over pairs, and all read at the same layers and positions. Take the vectors with difference_of_means from the "
            "same stack."
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
        score=first.score,
        notes={"pooled": [vector.label for vector in given]},
    )
