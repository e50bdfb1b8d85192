"""The bootstrap over concepts: resamples, the means of resamples, and percentile intervals of any drawn statistic.

A concept that is asked in several locales is one sampled unit, not several. So concepts are resampled and never items (the
cluster bootstrap: Davison and Hinkley 1997, section 3.8). If a concept has several items, either they are averaged first, as
for all paired changes, or every item is weighted by ``cluster_counts``.

``scipy.stats.bootstrap`` with ``method="percentile"`` gives the same ends as ``bootstrap_interval``, bit for bit, from the same
seed. It is not used here because it refuses a single concept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from steerlens.errors import SettingsError

Seed = int | Sequence[int]
"""A seed for ``numpy.random.default_rng``: a number, or several that together name one stream."""


@dataclass(frozen=True)
class Interval:
    """A mean change with its interval."""

    mean: float
    """The mean over concepts, in the unit of the changes."""
    low: float
    """The low end of the interval."""
    high: float
    """The high end of the interval."""
    n: int
    """The number of concepts in the mean."""

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}], n={self.n}"


def bootstrap_interval(
    changes: Float[ndarray, " concept"], *, level: float = 0.95, draws: int = 5000, seed: Seed = 0
) -> Interval:
    """Returns the mean of paired changes with its percentile bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    Args:
        changes: The change of each concept, steered minus unsteered, ``[concept]``. A concept that is asked in several locales
            counts once, with the mean of its locales. The interval has the unit of the changes.
        level: The share of the bootstrap distribution inside the interval.
        draws: The number of resamples of the concepts, with replacement.
        seed: The seed of the resamples.

    Returns:
        The mean, both ends and the number of concepts. If a change is NaN, the mean and both ends are NaN.

    Raises:
        SettingsError: There are no concepts or no draws, or the level is not between 0 and 1.
    """
    low, high = percentile_interval(bootstrap_means(changes, draws=draws, seed=seed), level)
    return Interval(float(changes.mean()), float(low), float(high), len(changes))


def bootstrap_means(changes: Float[ndarray, "concept ..."], *, draws: int = 5000, seed: Seed = 0) -> Float[ndarray, "draw ..."]:
    """Returns the mean over concepts in each resample of the concepts. All cells share the resamples.

    As the resamples are shared, a value computed from the means of a resample (a difference between two cells, the best cell)
    has the distribution that the concepts give it. The percentile interval of one cell is valid for this cell alone: among many
    cells without any effect, one in twenty intervals excludes zero.

    The concepts of a vector are drawn one by one. The concepts of a matrix are drawn as counts (a multinomial distribution),
    which is faster for many cells. The two have the same distribution but use different random numbers, so their intervals
    agree only up to the error of the simulation. Both are kept because published numbers depend on each of them.

    Args:
        changes: The changes of each concept, ``[concept]`` or ``[concept, ...]`` with any axes of cells.
        draws: The number of resamples.
        seed: The seed of the resamples.

    Returns:
        The means, ``[draw]`` or ``[draw, ...]``, in the unit of the changes.

    Raises:
        SettingsError: There are no concepts or no draws.
    """
    n = len(changes)
    _check(n, draws)
    generator = np.random.default_rng(seed)
    if changes.ndim == 1:
        return changes[generator.integers(n, size=(draws, n))].mean(axis=1)
    counts = generator.multinomial(n, np.full(n, 1 / n), size=draws)
    return np.tensordot(counts, changes, axes=1) / n


def cluster_counts(concepts: Sequence[str], *, draws: int, seed: Seed = 0) -> Int[ndarray, "draw row"]:
    """Counts how often each row's concept is drawn, with replacement, in each resample of the concepts.

    The counts are the weights of rows in a statistic that is not a plain mean of concepts, such as an AUROC. All rows of a
    concept have the same weight in a resample.

    Args:
        concepts: The concept of each row.
        draws: The number of resamples.
        seed: The seed of the resamples.

    Raises:
        SettingsError: There are no rows or no draws.
    """
    _check(len(concepts), draws)
    names, of_row = np.unique(np.asarray(concepts), return_inverse=True)
    counts = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return counts[:, of_row]


def percentile_interval(
    drawn: Float[ndarray, "draw ..."], level: float = 0.95, *, nan_policy: Literal["propagate", "omit"] = "propagate"
) -> tuple[Float[ndarray, "..."], Float[ndarray, "..."]]:
    """Returns the low and the high end of the middle share of the draws, for each cell (the percentile method).

    Args:
        drawn: A statistic in each resample, ``[draw]`` or ``[draw, ...]`` with any axes of cells.
        level: The share of the draws inside the interval.
        nan_policy: How draws that are NaN are handled. ``propagate`` makes both ends NaN, and ``omit`` leaves such draws out.

    Returns:
        The low ends and the high ends, each in the shape of the cells.

    Raises:
        SettingsError: There are no draws, or the level is not between 0 and 1.
    """
    if len(drawn) == 0 or not 0 < level < 1:
        raise SettingsError(f"{len(drawn)} draws and level {level} given: expected at least one draw and 0 < level < 1.")
    quantile = np.nanquantile if nan_policy == "omit" else np.quantile
    low, high = quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)


def draws_interval(changes: Float[ndarray, "concept draw"], *, level: float = 0.95) -> Interval:
    """Returns the mean over a control's draws, and the interval that contains the given share of the draws' mean changes.

    A method's change is compared with this interval. It is not an interval of the mean, which would shrink with the number of
    draws.

    Args:
        changes: The change of each concept under each draw of the control (such as each random direction), ``[concept, draw]``.
        level: The share of the draws inside the interval.

    Raises:
        SettingsError: There are no concepts or no draws, or the level is not between 0 and 1.
    """
    if changes.size == 0:
        raise SettingsError(f"changes of shape {changes.shape} given: expected at least one concept and one draw.")
    means = changes.mean(axis=0)
    low, high = percentile_interval(means, level)
    return Interval(float(means.mean()), float(low), float(high), len(changes))


def _check(n: int, draws: int) -> None:
    if n == 0 or draws < 1:
        raise SettingsError(f"{n} concepts and {draws} draws given: expected at least one of each.")
