"""Fits logistic regressions for all layers and folds at once."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.linalg import vecdot

from steerlens.probing.folds import Folds

TOLERANCE = 1e-4
"""The largest slope of the mean loss at which a probe counts as fitted. The value is scikit-learn's default."""
_STEPS, _KEPT = 300, 10
"""The largest number of iterations, and the number of the latest steps from which the curvature is estimated."""


def logistic_probe(
    features: Float[Tensor, "layer row d"], folds: Folds, tolerance: float = TOLERANCE
) -> Float[Tensor, "layer fold row"]:
    """Returns the log odds of label 1 for every row, from a logistic regression on the standardised training rows of each fold.

    The regression minimises the same function as scikit-learn's ``LogisticRegression(class_weight="balanced")`` after a
    ``StandardScaler``. As in scikit-learn, there is an L2 penalty of strength 1 on all weights except the intercept. The classes
    are balanced, because there are more factual than cultural prompts and the accuracy is compared with 0.5.

    All folds of a layer use the same matrix of rows. Standardising only scales each fold's weights, and the intercept does the
    centring. So a step for all folds of a layer takes two matrix products with the layer's rows. The steps are L-BFGS steps (Liu
    and Nocedal 1989). The line search works on the log odds, so it needs no further matrix product.
    """
    rows, scale = _standardised(centred(features), folds.train.to(features.device))
    loss = _Loss(rows, scale, folds.balanced().to(rows), folds.positive.to(rows))
    return _minimised(loss, tolerance * folds.train.to(rows).sum(1)[None, :, None])


def centred(features: Float[Tensor, "layer row d"]) -> Float[Tensor, "layer row d"]:
    """Returns the features minus their mean over rows, in float32. The first row is subtracted before the mean, so that a
    constant feature becomes exactly 0."""
    rows = features.float() - features[:, :1].float()
    return rows.sub_(rows.mean(dim=1, keepdim=True))


def spread(rows: Float[Tensor, "layer row d"], train: Bool[Tensor, "fold row"]) -> Float[Tensor, "layer fold d"]:
    """Returns the standard deviation of centred features over each fold's training rows; 1 for a constant feature, as in
    scikit-learn."""
    share = train.to(rows) / train.sum(1, keepdim=True)
    square = share @ rows.square()
    variance = square - (share @ rows).square()
    return torch.where(variance > 1e-6 * square, variance, 1.0).sqrt()  # a smaller variance comes from rounding


def _standardised(rows: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the rows with an additional last feature of ones, and each fold's scale of the features. The weight of the
    additional feature is the intercept."""
    scale = 1 / spread(rows, train)
    return tuple(torch.nn.functional.pad(tensor, (0, 1), value=1.0) for tensor in (rows, scale))  # type: ignore[return-value]


class _Loss:
    """The balanced log loss and the penalty of weights ``[layer, fold, p]``. The log odds ``[layer, fold, row]`` that belong to
    the weights are given, so that they are not computed again."""

    def __init__(self, rows: Tensor, scale: Tensor, shares: Tensor, y: Tensor) -> None:
        self.rows, self.scale, self.shares, self.y = rows, scale, shares, y
        self.penalty = rows.new_ones(rows.shape[2])
        self.penalty[-1] = 0

    def at(self, layers: Tensor) -> "_Loss":
        """Returns the loss function of the selected layers."""
        return _Loss(self.rows[layers], self.scale[layers], self.shares, self.y)

    def odds(self, weights: Tensor) -> Tensor:
        """Returns the log odds of every row."""
        return (weights * self.scale) @ self.rows.mT

    def slope(self, weights: Tensor, odds: Tensor) -> Tensor:
        """Returns the derivative of the loss with respect to the weights."""
        return torch.addcmul(self.penalty * weights, (self.shares * (odds.sigmoid() - self.y)) @ self.rows, self.scale)

    def along(self, weights: Tensor, odds: Tensor, step: Tensor, change: Tensor, far: Tensor) -> Tensor:
        """Returns a better length for a step. Starting from the length ``far``, Newton's method in one dimension approaches the
        minimum of the loss along the step."""
        penalised, pull = self.penalty * step, self.shares * change
        linear, square, start = _dot(penalised, weights), _dot(penalised, step), far
        for _ in range(2):
            p = torch.addcmul(odds, far, change).sigmoid_()
            slope = _dot(pull, p - self.y) + linear + far * square
            curve = _dot(pull * change, p * (1 - p)) + square
            far = torch.where(start > 0, (far - slope / curve).clamp(start / 10, start * 10), 0.0)
        return far

    def first(self, slope: Tensor, change: Tensor) -> Tensor:
        """Returns the length of the first step down the slope. The step starts from weights of 0, where the second derivative of
        each row's loss is a quarter."""
        return _dot(slope, slope) / (_dot(self.shares, change.square()) / 4 + _dot(self.penalty, slope.square()))


def _minimised(loss: _Loss, tolerance: Tensor) -> Float[Tensor, "layer fold row"]:
    """Returns the log odds at the minimum of the loss. A layer is left out of later steps once all of its folds have
    converged."""
    weights = torch.zeros_like(loss.scale)
    odds = weights.new_zeros(*weights.shape[:2], loss.rows.shape[1])
    found, left = torch.empty_like(odds), torch.arange(len(weights), device=weights.device)
    slope, memory = loss.slope(weights, odds), _Memory([])
    for _ in range(_STEPS):
        active = slope.abs().amax(-1, keepdim=True) > tolerance
        open_layers = active.flatten(1).any(1)
        if 3 * int(open_layers.sum()) <= 2 * len(left):  # copying the open layers saves time
            found[left] = odds
            left, loss, memory = left[open_layers], loss.at(open_layers), memory.at(open_layers)
            weights, odds, slope, active = (tensor[open_layers] for tensor in (weights, odds, slope, active))
        if not len(left):
            return found
        step = memory.step(slope)
        change = loss.odds(step)
        far = active if memory.pairs else active * loss.first(slope, change)
        far = loss.along(weights, odds, step, change, far.to(step))
        moved = far * step
        weights, odds = weights + moved, torch.addcmul(odds, far, change)
        before, slope = slope, loss.slope(weights, odds)
        memory.keep(moved, slope - before)
    found[left] = odds
    return found


class _Memory:
    """The latest steps and the slope changes that they caused. From these steps and changes, the two loops of L-BFGS compute an
    inverse curvature for each layer and fold."""

    def __init__(self, pairs: list[tuple[Tensor, Tensor, Tensor]], scale: Tensor | float = 1.0) -> None:
        self.pairs, self.scale = pairs, scale

    def at(self, layers: Tensor) -> "_Memory":
        """Returns the stored steps and slope changes of some of the layers."""
        scale = self.scale[layers] if isinstance(self.scale, Tensor) else self.scale
        return _Memory([(s[layers], y[layers], r[layers]) for s, y, r in self.pairs], scale)

    def keep(self, step: Tensor, change: Tensor) -> None:
        """Stores a step and the change of the slope that it made."""
        along = _dot(step, change)
        moved = along > 0  # a converged problem takes no step, so it adds no curvature
        self.pairs = [*self.pairs, (step, change, torch.where(moved, 1 / along, 0.0))][-_KEPT:]
        self.scale = torch.where(moved, along / _dot(change, change), self.scale)

    def step(self, slope: Tensor) -> Tensor:
        """Returns the direction of the next step: minus the slope, multiplied by the inverse curvature."""
        down, weights = -slope, []
        for step, change, over in reversed(self.pairs):
            weights.append(over * _dot(step, down))
            down.addcmul_(weights[-1], change, value=-1)
        down *= self.scale
        for (step, change, over), weight in zip(self.pairs, reversed(weights), strict=True):
            down.addcmul_(weight - over * _dot(change, down), step)
        return down


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return vecdot(a, b)[..., None]
