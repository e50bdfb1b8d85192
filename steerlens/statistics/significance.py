"""p values from random draws: flipped signs, draws of a control, and the largest of many statistics.

Each p counts the observed value among the draws (Phipson and Smyth 2010), so that it is valid without a correction, and at
least ``1 / (draws + 1)``. ``scipy.stats.permutation_test`` flips signs too (``permutation_type="samples"`` with one sample). It
is not used here, because it goes through all combinations if these are few, and uses other random numbers if they are many. So
its p differs within the error of the simulation; a test compares the two.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from steerlens.errors import SettingsError
from steerlens.statistics.bootstrap import Seed

_SUM_ROUNDING = 1e-9
"""The largest difference between two sums of the same changes from rounding."""
_ROUNDING = 1e-6
"""The largest difference between two equal statistics in float32 from rounding."""
_STANDARD_ROUNDING = 1e-4
"""The same after division by their spread."""


def sign_flip_p(changes: Float[ndarray, " concept"], *, draws: int = 9999, seed: Seed = 0) -> float:
    """Returns the two-sided p for no change: how often the mean is at least as far from zero if each change's sign is flipped
    at random.

    If nothing changes overall, each concept's change is as likely to be positive as negative (Fisher 1935, chapter 3). If few
    answers change, the tails of a bootstrap are too thin. If many plans are compared, correct this p and not the level of
    intervals.

    Args:
        changes: The change of each concept, ``[concept]``. If one is not finite, p is NaN.
        draws: The number of random assignments of signs.
        seed: The seed of the signs.

    Raises:
        SettingsError: There are no concepts or no draws.
    """
    if len(changes) == 0 or draws < 1:
        raise SettingsError(f"{len(changes)} concepts and {draws} draws given: expected at least one of each.")
    if not np.isfinite(changes).all():
        return float("nan")
    moved = changes[changes != 0]
    signs = np.random.default_rng(seed).integers(2, size=(draws, len(moved))) * 2 - 1
    return monte_carlo_p(float(moved.sum()), signs @ moved, tolerance=_SUM_ROUNDING)


def monte_carlo_p(observed: float, drawn: Float[ndarray, " draw"], *, tolerance: float = 1e-12) -> float:
    """Returns the two-sided p of a statistic among draws: the share of values at least as far from zero. The statistic itself
    is counted.

    The plane uses it to compare a method with the draws of its control, for example its change of a score with those of random
    directions.

    Args:
        observed: The observed statistic.
        drawn: The statistic in each draw without an effect, ``[draw]``.
        tolerance: The largest rounding error by which a draw may be nearer to zero and still count.
    """
    beyond = np.abs(drawn) >= abs(observed) - tolerance
    return float((1 + beyond.sum()) / (1 + len(drawn)))


def max_statistic_p(values: Float[ndarray, "draw test"]) -> tuple[Float[ndarray, " test"], Float[ndarray, " test"]]:
    """Returns the one-sided p of each of many tests, and the p that is corrected for their number by the max statistic.

    The corrected p compares each test with the largest statistic of each draw (Westfall and Young 1993, single step), after
    every test is standardised by its mean and spread over the draws. It controls the family-wise error: if no test has an
    effect, the chance that any corrected p is at most 0.05 is 5%. For tests that depend on each other, such as neighbouring
    layers, this correction is smaller than Bonferroni's.

    Args:
        values: The statistic of each test, ``[draw, test]``: the observed values in row 0, and in every other row values
            without an effect, for example from permuted labels. A row is one draw for all tests. Large values are evidence for
            an effect. Values that differ by a rounding of float32 count as equal.

    Returns:
        The p of each test alone, and the corrected one, ``[test]`` each.

    Raises:
        SettingsError: There are no draws in addition to the observed row.
    """
    if len(values) < 2:
        raise SettingsError(f"{len(values)} rows given: expected at least two, the observed row and one draw.")
    spread = values.std(axis=0, ddof=1)
    varies = spread > _ROUNDING  # a test that is the same in all draws shows nothing
    standard = np.where(varies, (values - values.mean(axis=0)) / np.where(varies, spread, 1), 0.0)
    reached = values >= values[0] - _ROUNDING
    best = standard.max(axis=1, keepdims=True) >= standard[0] - _STANDARD_ROUNDING
    return reached.mean(axis=0), best.mean(axis=0)
