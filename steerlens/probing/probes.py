"""Probes: from training rows to scores of held-out rows, all layers at once. Functions of tensors."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Probe = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From training features ``[layer, row, d]``, labels ``[row]`` and held-out features ``[layer, held, d]`` to a score per
held-out row, ``[layer, held]``: above 0 means label 1."""

_STEPS = 25
"""Newton's method on these sizes is done after about seven."""
_TOLERANCE = 1e-2
"""Slope of the loss before the last step: so near the minimum each step squares the error, and it ends below 1e-4."""


def difference_of_means_probe(
    features: Float[Tensor, "layer row d"], labels: Int[Tensor, " row"], held_out: Float[Tensor, "layer held d"]
) -> Float[Tensor, "layer held"]:
    """Projection on the difference of the two means, from the point midway between them (Marks and Tegmark, arXiv
    2310.06824, "mass-mean probe" without covariance)."""
    rows, held = features.double(), held_out.double()
    positive, negative = (rows[:, labels == label].mean(dim=1, keepdim=True) for label in (1, 0))
    return ((held - (positive + negative) / 2) * (positive - negative)).sum(dim=2)


def logistic_probe(
    features: Float[Tensor, "layer row d"], labels: Int[Tensor, " row"], held_out: Float[Tensor, "layer held d"]
) -> Float[Tensor, "layer held"]:
    """Logistic regression on standardised features, with an L2 penalty of strength 1 on all but the intercept.

    It minimises what scikit-learn's ``LogisticRegression(class_weight="balanced")`` behind a ``StandardScaler`` does, at
    their defaults, by Newton's method for all layers together. Balanced, since there are more factual than cultural
    prompts and accuracy is to be read against one half.
    """
    rows, held = _reduced(*_standardised(features.double(), held_out.double()))
    weights = _fit(_with_one(rows), labels)
    return (_with_one(held) @ weights[..., None])[..., 0]


def _standardised(rows: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    mean, spread = rows.mean(dim=1, keepdim=True), rows.std(dim=1, keepdim=True, correction=0)
    # A constant feature says nothing, whatever rounding makes of it; scikit-learn leaves it unscaled too.
    spread = torch.where(spread > 1e-10 * mean.abs(), spread, 1.0)
    return (rows - mean) / spread, (held - mean) / spread


def _reduced(rows: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """The same rows in as many dimensions as they span: the penalty does not feel a rotation, and the solve is smaller."""
    if rows.shape[1] >= rows.shape[2]:
        return rows, held
    inner = rows @ rows.mT
    size = inner.diagonal(dim1=1, dim2=2).mean(dim=1)
    # Centred rows are linearly dependent: what is added to the diagonal is far below what a penalty of 1 feels.
    jitter = 1e-9 * (size + 1)[:, None, None] * torch.eye(inner.shape[1]).to(inner)
    factor = torch.linalg.cholesky(inner + jitter)
    return factor, torch.linalg.solve_triangular(factor, rows @ held.mT, upper=False).mT


def _with_one(rows: Tensor) -> Tensor:
    """A last feature of ones, whose weight is the intercept."""
    return torch.cat([rows, torch.ones_like(rows[..., :1])], dim=2)


def _fit(rows: Float[Tensor, "layer row p"], labels: Int[Tensor, " row"]) -> Float[Tensor, "layer p"]:
    """Newton's method with steps halved, layer by layer, where one would not descend."""
    y = labels.to(rows)
    share = torch.where(labels == 1, 0.5 / y.mean(), 0.5 / (1 - y.mean())).to(rows)  # balanced class weights
    penalty = torch.ones(rows.shape[2]).to(rows)
    penalty[-1] = 0
    weights = rows.new_zeros(rows.shape[0], rows.shape[2])

    def loss(at: Tensor) -> Tensor:
        logits = (rows @ at[..., None])[..., 0]
        return (share * torch.nn.functional.softplus(logits * (1 - 2 * y))).sum(1) + (penalty * at**2).sum(1) / 2

    for _ in range(_STEPS):
        p = (rows @ weights[..., None])[..., 0].sigmoid()
        slope = ((share * (p - y))[:, None] @ rows)[:, 0] + penalty * weights
        curved = rows.mT @ (rows * (share * p * (1 - p))[..., None])
        step = torch.cholesky_solve(slope[..., None], torch.linalg.cholesky(curved + torch.diag(penalty)))[..., 0]
        size, now = rows.new_ones(len(rows), 1), loss(weights)
        for _ in range(30):
            worse = loss(weights - size * step) > now
            if not worse.any():
                break
            size = torch.where(worse[:, None], size / 2, size)
        weights = weights - size * step
        if slope.abs().max() < _TOLERANCE:
            break
    return weights
