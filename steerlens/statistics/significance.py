"""Computes p-values from random draws: from flipped signs, draws of a control, or the largest of many statistics.

Each p-value counts the observed value as one of the draws (Phipson and Smyth 2010). A p-value is therefore valid without a
correction, and is at least ``1 / (draws + 1)``. ``scipy.stats.permutation_test`` can flip signs too
(``permutation_type="samples"`` with one sample). The SciPy function is not used, because it computes all combinations of signs
if there are few concepts, and uses other random numbers if there are many concepts. The p-values of the two functions differ
only by the simulation error, and a test compares the functions.
"""

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from steerlens.errors import SettingsError
from steerlens.statistics.bootstrap import Seed

_SUM_ROUNDING = 1e-9
"""The largest rounding difference between two sums of the same changes."""
_ROUNDING = 1e-6
"""The largest rounding difference between two equal statistics in float32."""
_STANDARD_ROUNDING = 1e-4
"""The largest rounding difference between two equal statistics after division by their standard deviation."""


def sign_flip_p(changes: Float[ndarray, " concept"], *, draws: int = 9999, seed: Seed = 0) -> float:
    """Returns the two-sided p-value for the hypothesis of no change. The p-value is the share of draws with randomly flipped
    signs whose mean is at least as far from zero as the observed mean.

    Under the hypothesis, each concept's change is as likely to be positive as negative (Fisher 1935, chapter 3). Sign flips
    are better than a bootstrap if few answers change, because the tails of the bootstrap distribution are then too thin. If
    you compare many plans, correct the p-values and not the level of the intervals.

    Args:
        changes: The change of each concept, ``[concept]``. If a change is not finite, the p-value is NaN.
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
    """Returns the two-sided p-value of a statistic: the share of draws that are at least as far from zero as the statistic.
    The statistic itself counts as one of the draws.

    The transfer-localization plane uses this function to compare the change under a method with the changes under its control,
    such as random directions.

    Args:
        observed: The observed statistic.
        drawn: The statistic in each random draw under the null hypothesis, ``[draw]``.
        tolerance: The largest rounding error. A draw that is nearer to zero than the statistic by at most this error still
            counts.
    """
    beyond = np.abs(drawn) >= abs(observed) - tolerance
    return float((1 + beyond.sum()) / (1 + len(drawn)))


def max_statistic_p(values: Float[ndarray, "draw test"]) -> tuple[Float[ndarray, " test"], Float[ndarray, " test"]]:
    """Returns the one-sided p-value of each of many tests, and the p-value that is corrected for the number of tests by the
    max statistic.

    First, every test is standardised by its mean and standard deviation over the draws. The corrected p-value compares each
    test with the largest statistic of each draw (Westfall and Young 1993, single step). The correction controls the
    family-wise error: if no test has an effect, the probability that any corrected p-value is at most 0.05 is 5%. For tests
    that depend on each other, such as neighbouring layers, the max-statistic correction is smaller than Bonferroni's
    correction.

    Args:
        values: The statistic of each test, ``[draw, test]``. Row 0 contains the observed values, and every other row contains
            values without an effect, for example from permuted labels. Each row is one draw for all tests. Large values are
            evidence for an effect. Values that differ only by float32 rounding count as equal.

    Returns:
        The uncorrected p-values and the corrected p-values of the tests, each ``[test]``.

    Raises:
        SettingsError: There are no draws in addition to the observed row.
    """
    if len(values) < 2:
        raise SettingsError(f"{len(values)} rows given: expected at least two rows, the observed row and one draw.")
    spread = values.std(axis=0, ddof=1)
    varies = spread > _ROUNDING  # a test with equal values in all draws shows nothing
    standard = np.where(varies, (values - values.mean(axis=0)) / np.where(varies, spread, 1), 0.0)
    reached = values >= values[0] - _ROUNDING
    best = standard.max(axis=1, keepdims=True) >= standard[0] - _STANDARD_ROUNDING
    return reached.mean(axis=0), best.mean(axis=0)
