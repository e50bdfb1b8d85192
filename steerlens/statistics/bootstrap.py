"""The bootstrap over concepts: resamples of concepts, the means of resamples, and percentile intervals of a statistic.

A concept that is asked in several locales is one unit of the sample. Therefore concepts are resampled and not items (the
cluster bootstrap: Davison and Hinkley 1997, section 3.8). If a concept has several items, the items are averaged first (in all
paired changes) or weighted by ``cluster_counts``.

With the same seed, ``scipy.stats.bootstrap`` with ``method="percentile"`` gives exactly the same interval as
``bootstrap_interval``. The SciPy function is not used because it does not accept a single concept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from steerlens.errors import SettingsError

Seed = int | Sequence[int]
"""A seed for ``numpy.random.default_rng``: one number, or several numbers that together identify a random stream."""


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
        changes: The change of each concept, steered minus unsteered, ``[concept]``. A concept that is asked in several
            locales counts once, with the mean over its locales. The returned interval has the unit of the changes.
        level: The share of the bootstrap distribution inside the interval.
        draws: The number of resamples of the concepts, with replacement.
        seed: The seed of the resamples.

    Returns:
        The mean, the low and high end of the interval, and the number of concepts. If a change is NaN, the mean and both ends
        are NaN.

    Raises:
        SettingsError: There are no concepts or no draws, or the level is not between 0 and 1.
    """
    low, high = percentile_interval(bootstrap_means(changes, draws=draws, seed=seed), level)
    return Interval(float(changes.mean()), float(low), float(high), len(changes))


def bootstrap_means(changes: Float[ndarray, "concept ..."], *, draws: int = 5000, seed: Seed = 0) -> Float[ndarray, "draw ..."]:
    """Returns the mean over concepts in each resample of the concepts. The same resamples are used for all cells.

    Because the cells share the resamples, a value of several cells (such as the difference between two cells) can be computed in
    each resample. The distribution of this value over the resamples is then correct. The percentile interval of a cell is valid
    only for this single cell. If there are many cells without any effect, about one in twenty intervals excludes zero.

    If ``changes`` is a vector, concepts are drawn one by one. If ``changes`` is a matrix, concepts are drawn as counts (a
    multinomial distribution), which is faster for many cells. The two ways of drawing have the same distribution but use
    different random numbers, so their intervals agree only up to the simulation error. The two ways of drawing are both kept,
    because published numbers depend on them.

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
    """Counts how often each row's concept is drawn in each resample of the concepts. Concepts are drawn with replacement.

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
    """Returns the low and the high end of the percentile interval of the draws, for each cell.

    Args:
        drawn: A statistic in each resample, ``[draw]`` or ``[draw, ...]`` with any axes of cells.
        level: The share of the draws inside the interval.
        nan_policy: The way in which NaN draws are handled. ``propagate`` makes both ends NaN, and ``omit`` leaves NaN draws
            out.

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
    """Returns the mean change over a control's draws, and the interval that contains the share ``level`` of the draws' mean
    changes.

    The change of a method is compared with the interval of its control. The interval describes single draws and does not
    shrink with the number of draws, unlike a confidence interval of the mean.

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
