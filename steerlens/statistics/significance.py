"""p values from random draws: signs that are flipped, draws of a control, and the largest of many statistics.

Each p counts what was observed among the draws (Phipson and Smyth 2010), so that it is valid as it is, and at least
``1 / (draws + 1)``. ``scipy.stats.permutation_test`` flips signs too (``permutation_type="samples"`` with one sample). It is not
used here because it runs through all combinations where they are few, and draws other random numbers where they are many, so its
p is another one within the error of the simulation; a test compares the two.
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
    """Returns the two-sided p of no change: how often the mean is as far from zero if each change's sign is flipped at random.

    If nothing changes on the whole, each concept's change is as likely to be positive as negative (Fisher 1935, chapter 3). Where
    few answers change, the tails of a bootstrap are too thin: where many plans are compared, correct this p and not the level of
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
    """Returns the two-sided p of a statistic among draws of it: the share, itself counted, that are as far from zero as it is.

    The plane uses it for a method among the draws of its control, as its change of a score among those of random directions.

    Args:
        observed: The statistic that was observed.
        drawn: The statistic in each draw, where nothing is to be found, ``[draw]``.
        tolerance: The largest rounding error by which a draw may be nearer to zero and still count.
    """
    beyond = np.abs(drawn) >= abs(observed) - tolerance
    return float((1 + beyond.sum()) / (1 + len(drawn)))


def max_statistic_p(values: Float[ndarray, "draw test"]) -> tuple[Float[ndarray, " test"], Float[ndarray, " test"]]:
    """Returns the one-sided p of each of many tests, and the p that is corrected for their number by the max statistic.

    The corrected p compares each test with the largest statistic of each draw (Westfall and Young 1993, single step), after every
    test is standardised by its mean and spread over the draws. It controls the family-wise error: if there is nothing in any
    test, the chance that some corrected p is at most 0.05 is 5%. Tests that depend on each other, as neighbouring layers do, cost
    less than Bonferroni's correction takes.

    Args:
        values: The statistic of each test, ``[draw, test]``: what was observed in row 0, and in every other row what is found
            where there is nothing, as with permuted labels. A row is one draw for all tests. Large values are evidence for an
            effect. Values that differ by a rounding of float32 count as equal.

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
