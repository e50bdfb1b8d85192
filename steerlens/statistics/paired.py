"""The difference of two methods on the same items."""

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
    """The mean of the first method over concepts."""
    second: float
    """The mean of the second method over the same concepts."""
    change: Interval
    """The mean of first minus second, with its bootstrap interval over concepts."""
    p: float
    """The two-sided p for the hypothesis of no difference, by sign flips of the concepts' differences."""


def paired_difference(
    first: Float[ndarray, " item"],
    second: Float[ndarray, " item"],
    concepts: Sequence[str],
    *,
    level: float = 0.95,
    draws: int = 5000,
    seed: Seed = 0,
) -> PairedDifference:
    """Subtracts the second method's scores from the first's, item by item. A concept counts once, with the mean of its items.

    Exchanging the two methods changes the signs of the mean and of the ends. p stays the same, up to the error of the
    simulation.

    Args:
        first: The score of each item under the first method, ``[item]``.
        second: The score of the same items, in the same order, under the second method, ``[item]``.
        concepts: The concept of each item. Concepts are resampled in the order in which they first appear.
        level: The level of the interval.
        draws: The number of resamples of the interval.
        seed: The seed of the interval and of the sign flips.

    Returns:
        Both means, the difference with its interval, and its p. If a score is NaN, everything that depends on it is NaN.

    Raises:
        SettingsError: There are no items, or the numbers of the two methods' scores and of concepts are not equal.
    """
    if not len(first) == len(second) == len(concepts):
        raise SettingsError(
            f"{len(first)} first scores, {len(second)} second scores and {len(concepts)} concepts given: expected one of each "
            "for every item."
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
    """The number of each item's concept, counted in the order in which they first appear."""
    numbers = {concept: at for at, concept in enumerate(dict.fromkeys(concepts))}
    return np.array([numbers[concept] for concept in concepts], dtype=np.intp)


def _means(values: Float[ndarray, " item"], of_item: ndarray) -> Float[ndarray, " concept"]:
    """The mean of each concept's items."""
    return np.bincount(of_item, weights=values) / np.bincount(of_item)
