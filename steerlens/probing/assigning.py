"""Assigns groups of rows to folds, as scikit-learn's ``StratifiedGroupKFold`` does, for all folds at once."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int

_REMEMBERED = 32
"""The number of assignments that are kept in memory. An assignment contains one fold number for each row."""


@lru_cache(maxsize=_REMEMBERED)
def fold_of_rows(labels: tuple[int, ...], groups: tuple[str, ...], n_folds: int, seed: int) -> tuple[int, ...]:
    """Returns the fold that holds out each row, as in ``StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)``.

    The groups are shuffled, and then sorted so that groups with the most unequal labels come first. Each group goes to the fold
    that makes the labels' shares over all folds most equal. Among equally good folds, the fold with the fewest rows gets the
    group. The latest assignments are kept in memory.

    Args:
        labels: the label of each row. There must be at least two different labels.
        groups: the group of each row. All rows of a group are in the same fold.
        n_folds: the number of folds, at most the number of groups.
        seed: the seed of the shuffling.
    """
    _, label_of, totals = np.unique(labels, return_inverse=True, return_counts=True)
    _, group_of = np.unique(groups, return_inverse=True)
    counts = np.zeros((group_of.max() + 1, len(totals)))
    np.add.at(counts, (group_of, label_of), 1)
    order = np.arange(len(counts))
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-counts[order].std(axis=1), kind="stable")]
    folds = np.empty(len(counts), dtype=int)
    folds[order] = _spread(counts[order], totals, n_folds)
    return tuple(folds[group_of].tolist())


def _spread(counts: Float[np.ndarray, "group label"], totals: Int[np.ndarray, " label"], n_folds: int) -> list[int]:
    """Returns the fold of each group. The folds are chosen one group after another, from the number of rows that the group has of
    each label."""
    filled, own, chosen = np.zeros((n_folds, len(totals))), np.arange(n_folds), []
    for group in counts:
        tried = np.repeat(filled[None], n_folds, axis=0)
        tried[own, own] += group
        unequal = (tried / totals).std(axis=1).mean(axis=1)
        chosen.append(_best(unequal.tolist(), filled.sum(axis=1).tolist()))
        filled[chosen[-1]] += group
    return chosen


def _best(unequal: list[float], sizes: list[float]) -> int:
    """Returns the fold for which the labels' shares become most equal. If two folds are equally good (``numpy.isclose``), the
    fold with fewer rows is taken."""
    best = 0
    for fold in range(1, len(sizes)):
        least = unequal[best]
        close = abs(unequal[fold] - least) <= 1e-8 + 1e-5 * abs(least)
        if unequal[fold] < least or (close and sizes[fold] < sizes[best]):
            best = fold
    return best
