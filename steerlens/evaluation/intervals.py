"""Paired bootstrap intervals over concepts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from steerlens.errors import SettingsError


@dataclass(frozen=True)
class Interval:
    """A mean change with its interval."""

    mean: float
    low: float
    high: float
    n: int
    """Concepts that were resampled."""

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}], n={self.n}"


def paired_interval(changes: Float[ndarray, " concept"], *, level: float = 0.95, draws: int = 5000, seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean of paired changes (Efron and Tibshirani 1993, chapter 13).

    Args:
        changes: steered minus unsteered, one per concept (a concept in several locales: their mean).
        level: share of the bootstrap distribution that the interval holds.
        draws: resamples of concepts, with replacement.

    Raises:
        SettingsError: no concepts, or a level that is not between 0 and 1.
    """
    if len(changes) == 0 or not 0 < level < 1:
        raise SettingsError(f"{len(changes)} concepts and level {level} given: expected at least one concept and 0 < level < 1.")
    picks = np.random.default_rng(seed).integers(len(changes), size=(draws, len(changes)))
    means = changes[picks].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(changes.mean()), float(low), float(high), len(changes))


def paired_intervals(
    changes: Float[ndarray, "concept cell"], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[Float[ndarray, " cell"], Float[ndarray, " cell"]]:
    """Low and high ends of the interval of ``paired_interval`` for many cells at once, which share the resamples of concepts.

    Each interval is of its cell alone: of many cells without any effect, one in twenty excludes zero.

    Raises:
        SettingsError: no concepts, or a level that is not between 0 and 1.
    """
    n = len(changes)
    if n == 0 or not 0 < level < 1:
        raise SettingsError(f"{n} concepts and level {level} given: expected at least one concept and 0 < level < 1.")
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    low, high = np.quantile(counts @ changes / n, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def percentiles(changes: Float[ndarray, "concept draw"], *, level: float = 0.95) -> Interval:
    """The mean over the draws of a control, and the interval that holds the given share of the draws' mean changes.

    What a method's change is read against. It is not an interval of the mean, which would shrink with the number of draws.

    Raises:
        SettingsError: no concepts or draws, or a level that is not between 0 and 1.
    """
    if changes.size == 0 or not 0 < level < 1:
        raise SettingsError(f"changes of shape {changes.shape} and level {level} given: expected some, and 0 < level < 1.")
    means = changes.mean(axis=0)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(means.mean()), float(low), float(high), len(changes))


def paired_p(changes: Float[ndarray, " concept"], *, draws: int = 9999, seed: int = 0) -> float:
    """Two-sided p of no change: how often the mean is as far from zero if each change's sign is tossed (Fisher 1935, chapter 3).

    The draws count what was measured among them (Phipson and Smyth 2010), so p is at least ``1 / (draws + 1)``. Where few answers
    change, the tails of a bootstrap are too thin: where many plans are compared, correct this p, not the level of intervals.

    Args:
        changes: steered minus unsteered, one per concept. If one is not finite, p is NaN.

    Raises:
        SettingsError: no concepts.
    """
    if len(changes) == 0:
        raise SettingsError("0 concepts given: expected at least one.")
    if not np.isfinite(changes).all():
        return float("nan")
    moved = changes[changes != 0]
    signs = np.random.default_rng(seed).integers(2, size=(draws, len(moved))) * 2 - 1
    beyond = np.abs(signs @ moved) >= abs(moved.sum()) - 1e-9
    return float((1 + beyond.sum()) / (1 + draws))
