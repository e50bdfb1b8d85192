"""Probes are functions of tensors. A probe is fitted on the training rows of every fold and applied to every row, for all layers
at once."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import vecdot

from steerlens.errors import UnknownNameError
from steerlens.probing.folds import Folds
from steerlens.probing.logistic import centred, logistic_probe, spread

Probe = Callable[[Float[Tensor, "layer row d"], Folds], Float[Tensor, "layer fold row"]]
"""A function that fits a probe on each fold's training rows and returns a score for every row. A score above 0 means label 1."""


def difference_of_means_probe(features: Float[Tensor, "layer row d"], folds: Folds) -> Float[Tensor, "layer fold row"]:
    """Projects every row on the difference between the means of the two labels, measured from the midpoint of the means.

    The probe equals the "mass-mean probe" without covariance of Marks and Tegmark (arXiv 2310.06824).

    Args:
        features: the features of every row.
        folds: the folds. The means are computed from the training rows of each fold.

    Returns:
        A score of every row under each fold's probe. A score above 0 means label 1.
    """
    rows = centred(features)
    contrast = folds.contrast().to(rows)
    direction, middle = contrast @ rows, contrast.abs() @ rows / 2
    return direction @ rows.mT - vecdot(direction, middle)[..., None]


def lda_probe(features: Float[Tensor, "layer row d"], folds: Folds) -> Float[Tensor, "layer fold row"]:
    """Scores every row by linear discriminant analysis on standardised features, with equal priors. Covariances are shrunk as in
    Ledoit and Wolf (2004). The result equals scikit-learn's ``LinearDiscriminantAnalysis(solver="lsqr",
    covariance_estimator=LedoitWolf(), priors=[0.5, 0.5])`` after a ``StandardScaler``.

    A direction ``v`` solves ``(B'B + a) v = difference of means``. B contains the training rows minus the mean of their label,
    and each row is weighted by the share of its label. The equation is solved with one unknown per row or with one unknown per
    feature, whichever gives fewer unknowns.
    """
    rows, train = centred(features), folds.train.to(features.device)
    scale, positive = spread(rows, train), folds.positive.to(features.device)
    return torch.stack([_discriminant(rows / scale[:, [fold]], own, positive) for fold, own in enumerate(train)], dim=1)


def _discriminant(rows: Float[Tensor, "layer row d"], train: Tensor, positive: Tensor) -> Float[Tensor, "layer row"]:
    """Returns the log odds of every row, except for a constant factor."""
    sides = [rows[:, train & side].double() for side in (positive, ~positive)]
    one, zero = (side.mean(dim=1, keepdim=True) for side in sides)
    weighted, ridge = zip(*map(_shrunk, (sides[0] - one, sides[1] - zero)), strict=True)
    direction = _solve(torch.cat(weighted, dim=1), sum(ridge), one - zero)
    return ((rows - (one + zero) / 2) * direction).sum(-1).float()


def _shrunk(rows: Float[Tensor, "layer n d"]) -> tuple[Tensor, Tensor]:
    """Returns half of a label's Ledoit-Wolf covariance as ``B'B + a``: B ``[layer, n, d]`` and a ``[layer, 1, 1]``. ``rows`` are
    the label's centred rows."""
    n, d = rows.shape[1:]
    square = vecdot(rows, rows)
    inner = rows @ rows.mT if n < d else rows.mT @ rows
    mean, spread2 = square.sum(1) / (n * d), inner.square().sum((1, 2)) / n**2  # tr(S) / d and tr(S S)
    distance = (spread2 - d * mean**2) / d
    noise = (square.square().sum(1) / n - spread2) / (d * n)
    share = torch.where(distance > 0, noise.minimum(distance) / distance, 0.0)[:, None, None]
    return rows * ((1 - share) / (2 * n)).sqrt(), share * mean[:, None, None] / 2


def _solve(
    weighted: Float[Tensor, "layer n d"], ridge: Tensor, towards: Float[Tensor, "layer 1 d"]
) -> Float[Tensor, "layer 1 d"]:
    """Returns ``(B'B + a)^-1`` times a vector. If there are few rows, Woodbury's identity is used."""
    few = weighted.shape[1] < weighted.shape[2]
    inner = weighted @ weighted.mT if few else weighted.mT @ weighted
    size = inner.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    ridge = ridge.clamp(min=1e-9 * size + 1e-30)
    factor = torch.linalg.cholesky(inner + ridge * torch.eye(inner.shape[1]).to(inner))
    if not few:
        return torch.cholesky_solve(towards.mT, factor).mT
    return (towards - torch.cholesky_solve(weighted @ towards.mT, factor).mT @ weighted) / ridge


PROBES: dict[str, Probe] = {"difference of means": difference_of_means_probe, "logistic": logistic_probe, "LDA": lda_probe}

_NUMBERS = 1 << 26
"""The number of residual values that are probed at once. These values and a few copies of them take about 1 GB of memory."""


def chosen_probes(names: Sequence[str]) -> dict[str, Probe]:
    """Returns the probes with these names.

    Raises:
        UnknownNameError: there is no such probe.
    """
    for name in names:
        if name not in PROBES:
            raise UnknownNameError("probe", name, PROBES)
    return {name: PROBES[name] for name in names}


def scores_by_layer(
    probe: Probe, residuals: Float[Tensor, "layer row d"], folds: Folds, device: torch.device
) -> Float[Tensor, "layer fold row"]:
    """Returns a probe's scores on the CPU, computed on as many layers at once as memory allows."""
    size = max(1, _NUMBERS // (residuals[0].numel() + 24 * len(folds) * residuals.shape[2]))
    parts = [residuals[at : at + size].to(device) for at in range(0, len(residuals), size)]
    return torch.cat([probe(part, folds).cpu() for part in parts])
