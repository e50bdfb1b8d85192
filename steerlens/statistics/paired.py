"""Computes the difference between two methods on the same items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from steerlens.errors import SettingsError
from steerlens.statistics.bootstrap import Interval, Seed, bootstrap_interval
from steerlens.statistics.significance import sign_flip_p


@dataclass(frozen=True)
class PairedDifference:
    """The difference between two methods' scores on the same items."""

    first: float
    """The first method's mean score over concepts."""
    second: float
    """The second method's mean score over concepts."""
    change: Interval
    """The mean of the first method minus the second method, with its bootstrap interval over concepts."""
    p: float
    """The two-sided p-value for the hypothesis of no difference, from sign flips of the concepts' differences."""


def paired_difference(
    first: Float[ndarray, " item"],
    second: Float[ndarray, " item"],
    concepts: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 5000,
    seed: Seed = 0,
) -> PairedDifference:
    """Subtracts the second method's scores from the first method's scores, item by item. Each concept counts once, with the
    mean over its items.

    If the two methods are exchanged, the signs of the mean and of the interval's ends change. The p-value stays the same, up
    to the simulation error.

    Args:
        first: The score of each item under the first method, ``[item]``.
        second: The score of each item under the second method, ``[item]``. The items have the same order as in ``first``.
        concepts: The concept of each item. Concepts are resampled in the order in which they first appear.
        level: The confidence level of the interval, such as 0.95.
        draws: The number of resamples of the interval.
        seed: The seed of the interval and of the sign flips.

    Returns:
        The two means, the difference with its interval, and the p-value. If a score is NaN, all results that depend on this
        score are NaN.

    Raises:
        SettingsError: There are no items, or the three arguments have different lengths.
    """
    if not len(first) == len(second) == len(concepts):
        raise SettingsError(
            f"{len(first)} first scores, {len(second)} second scores and {len(concepts)} concepts given: expected equal "
            "numbers, with one score of each method and one concept for every item."
        )
    of_item = _numbered(concepts)
    changes = _means(first - second, of_item)
    return PairedDifference(
        float(_means(first, of_item).mean()),
        float(_means(second, of_item).mean()),
        bootstrap_interval(changes, level=level, draws=draws, seed=seed),
        sign_flip_p(changes, seed=seed),
    )


def _numbered(concepts: Sequence[str]) -> ndarray:
    """Returns the number of each item's concept. Concepts are numbered in the order in which they first appear."""
    numbers = {concept: at for at, concept in enumerate(dict.fromkeys(concepts))}
    return np.array([numbers[concept] for concept in concepts], dtype=np.intp)


def _means(values: Float[ndarray, " item"], of_item: ndarray) -> Float[ndarray, " concept"]:
    """Returns the mean of each concept over its items."""
    return np.bincount(of_item, weights=values) / np.bincount(of_item)
