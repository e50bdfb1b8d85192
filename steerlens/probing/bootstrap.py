"""Bootstrap over concepts of held-out AUROCs, every layer in the same draws."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.probing.folds import Folds

_NUMBERS = 1 << 25
"""Numbers held at once."""


def concept_weights(concepts: Sequence[str], draws: int, seed: int) -> Float[Tensor, "draw row"]:
    """How often each row's concept was drawn, with replacement, in each resample of the concepts."""
    names, of_row = np.unique(np.asarray(concepts), return_inverse=True)
    picks = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return torch.from_numpy(picks[:, of_row]).float()


def resampled_auroc(
    folds: Folds, scores: Float[Tensor, "layer fold row"], weights: Float[Tensor, "draw row"]
) -> Float[Tensor, "draw layer"]:
    """The AUROC, mean over folds, of every layer in every resample. The probes stay as they were fitted; a fold that lost a label
    in a resample does not count there."""
    sums, counts = torch.zeros(len(weights), len(scores)), torch.zeros(len(weights), 1)
    for fold, held in enumerate(folds.test):
        ones, zeros = held & folds.positive, held & ~folds.positive
        up, down = weights[:, ones], weights[:, zeros]
        pairs = (up.sum(1) * down.sum(1))[:, None]
        counts += pairs > 0
        size = max(1, _NUMBERS // max(1, down.numel(), int(ones.sum()) * int(zeros.sum())))
        for at in range(0, len(scores), size):
            own = scores[at : at + size, fold].cpu()
            higher = own[:, ones, None] - own[:, None, zeros]
            right = ((up @ ((higher.sign() + 1) / 2)) * down).sum(-1).T  # [draw, layer]
            sums[:, at : at + size] += torch.where(pairs > 0, right / pairs, 0.0)
    return sums / counts


def interval(draws: Float[Tensor, "draw ..."], level: float = 0.95) -> tuple[NDArray, NDArray]:
    """Percentiles of a bootstrap distribution over its first axis, resamples without a value left out."""
    low, high = np.nanquantile(draws.numpy(), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
