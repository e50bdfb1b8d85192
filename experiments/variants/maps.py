"""Affine maps from one language's residuals to another's, fitted on pairs: ridge regression and orthogonal Procrustes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from experiments.variants.edits import AffineMap
from steerlens.errors import PairsError

Coordinates = Float[Tensor, "pair rank"]
"""Residuals minus their mean, in the space of the leading principal components."""
Solver = Callable[[Coordinates, Coordinates, float], Float[Tensor, "rank rank"]]
"""From the coordinates of both sides and a penalty to the matrix that takes the first side's to the second's."""


def ridge(source: Coordinates, target: Coordinates, penalty: float) -> Float[Tensor, "rank rank"]:
    """Returns the matrix ``A`` with the least ``|target - A source|² + c |A - I|²``, which tends to the identity as ``c`` grows.

    The least-squares map between two languages' vectors is that of Mikolov, Le and Sutskever (arXiv 1309.4168).

    Args:
        source: what is mapped, ``[pair, rank]``.
        target: what it is mapped to, ``[pair, rank]``.
        penalty: ``c`` as a share of the mean sum of squares of a coordinate of ``source``.
    """
    gram, eye = source.T @ source, torch.eye(source.shape[1], dtype=source.dtype)
    weight = penalty * gram.trace() / len(gram)
    return eye + torch.linalg.solve(gram + weight * eye, source.T @ (target - source)).T


def orthogonal(source: Coordinates, target: Coordinates, penalty: float = 0.0) -> Float[Tensor, "rank rank"]:  # noqa: ARG001
    """Returns the orthogonal matrix ``A`` with the least ``|target - A source|²`` (Schönemann, Psychometrika 31, 1966).

    Between two languages' word vectors it does better than least squares (Smith et al., arXiv 1702.03859).

    Args:
        source: what is mapped, ``[pair, rank]``.
        target: what it is mapped to, ``[pair, rank]``.
        penalty: not used.
    """
    left, _, right = torch.linalg.svd(target.T @ source)
    return left @ right


@dataclass(frozen=True)
class Fitted:
    """A map, with how it was set and how well it predicts."""

    map: AffineMap
    rank: int
    """The number of principal components."""
    penalty: float
    """The penalty of the ridge; 0 for an orthogonal map."""
    error: float
    """The sum of squares that is left of pairs that the map was not fitted on, as a share of what the offset alone leaves:
    below 1 where the map says more of the English residual than the difference of means does."""


def fitted(
    source: Float[Tensor, "pair d_model"],
    target: Float[Tensor, "pair d_model"],
    solver: Solver,
    ranks: Sequence[int],
    penalties: Sequence[float] = (0.0,),
    *,
    folds: int = 5,
    seed: int = 0,
) -> Fitted:
    """Fits a map on all pairs, with the rank and the penalty that predict pairs best that a map was not fitted on.

    The means, the components and the matrix are made again without each fold of the pairs.

    Args:
        source: the residuals that are mapped, ``[pair, d_model]``.
        target: what they are mapped to, pair by pair.
        solver: ``ridge`` or ``orthogonal``.
        ranks: numbers of components that are tried; those that the pairs or the width do not allow are left out.
        penalties: the penalties that are tried.
        folds: the number of folds.
        seed: of the folds.

    Raises:
        PairsError: fewer pairs than a map can be fitted on without each fold.
    """
    if len(source) < 2 * folds:
        raise PairsError(f"{len(source)} pairs given to fit a map on: expected {2 * folds} or more for {folds} folds. Take more.")
    source, target = source.double(), target.double()
    parts = list(_folds(len(source), folds, seed))
    most = min(len(source) - max(len(out) for _, out in parts) - 1, source.shape[1])
    left: dict[tuple[int, float], float] = dict.fromkeys(product(sorted({min(rank, most) for rank in ranks}), penalties), 0.0)
    alone = 0.0
    for within, out in parts:
        means, components = _centred(source[within], target[within])
        alone += float((target[out] - source[out] - (means[1] - means[0])).square().sum())
        for rank, penalty in left:
            made = _map(source[within], target[within], means, components[:rank], solver, penalty)
            left[rank, penalty] += float((target[out] - image(made, source[out])).square().sum())
    rank, penalty = min(left, key=left.__getitem__)
    means, components = _centred(source, target)
    made = _map(source, target, means, components[:rank], solver, penalty)
    return Fitted(made, rank, penalty, left[rank, penalty] / alone)


def image(of: AffineMap, residuals: Float[Tensor, "pair d_model"]) -> Float[Tensor, "pair d_model"]:
    """Returns where a map takes residuals.

    Args:
        of: the map.
        residuals: ``[pair, d_model]``.
    """
    everywhere = torch.ones(1, len(residuals), dtype=torch.bool)
    return of(residuals[None].float(), 1.0, everywhere)[0].to(residuals.dtype)


Means = tuple[Float[Tensor, " d_model"], Float[Tensor, " d_model"]]


def _centred(source: Tensor, target: Tensor) -> tuple[Means, Float[Tensor, "component d_model"]]:
    """Returns both sides' means, and the principal components of both sides together, each minus its mean."""
    means = source.mean(dim=0), target.mean(dim=0)
    both = torch.cat([source - means[0], target - means[1]])
    return means, torch.linalg.svd(both, full_matrices=False)[2]


def _map(source: Tensor, target: Tensor, means: Means, basis: Tensor, solver: Solver, penalty: float) -> AffineMap:
    inside, wanted = ((side - mean) @ basis.T for side, mean in zip((source, target), means, strict=True))
    matrix = solver(inside, wanted, penalty)
    return AffineMap(basis.float(), matrix.float(), means[0].float(), (means[1] - means[0]).float())


def _folds(n: int, folds: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the pairs within and without each fold."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for at in range(folds):
        out = order[at::folds]
        yield torch.cat([order[other::folds] for other in range(folds) if other != at]), out
