"""Power analysis: the smallest mean change that can be detected with n concepts (Cohen 1988, section 2.4, normal
approximation)."""

import math
from statistics import NormalDist

from steerlens.errors import SettingsError


def detectable(spread: float, n: int, *, power: float = 0.8, level: float = 0.95) -> float:
    """Returns the smallest mean change whose two-sided interval excludes zero with the given probability.

    The smallest mean change is ``(z[(1 + level) / 2] + z[power]) * spread / sqrt(n)``, which is 2.8 standard errors for the
    defaults.

    Args:
        spread: The standard deviation, over concepts, of a concept's change, in the unit of the change.
        n: The number of concepts.
        power: The probability of detecting the change.
        level: The confidence level of the interval, such as 0.95.

    Raises:
        SettingsError: The spread is below 0, there are no concepts, or the power or level is not between 0 and 1.
    """
    _check(spread, n, power, level)
    z = NormalDist().inv_cdf
    return (z((1 + level) / 2) + z(power)) * spread / math.sqrt(n)


def needed(spread: float, change: float, *, power: float = 0.8, level: float = 0.95) -> int:
    """Returns the number of concepts with which a mean change is detected with the given probability.

    Args:
        spread: The standard deviation, over concepts, of a concept's change, in the unit of the change.
        change: The mean change, other than 0.
        power: The probability of detecting the change.
        level: The confidence level of the interval, such as 0.95.

    Raises:
        SettingsError: The spread is below 0, the change is 0, or the power or level is not between 0 and 1.
    """
    if not change:
        raise SettingsError(
            "a change of 0 given: expected another number, because no number of concepts can detect a change of 0. Give the "
            "change that must be detected."
        )
    return max(2, math.ceil((detectable(spread, 1, power=power, level=level) / abs(change)) ** 2))


def spread_of_change(moved: float, items: float, correlation: float) -> float:
    """Returns the standard deviation of a concept's change, for a score that is 0 or 1 per item. A concept's change is the mean
    over its items.

    An item's change is -1, 0 or 1. Suppose that the share ``moved`` of the items changes, with about as many gains as losses.
    The variance of an item's change is then ``moved``. The changes of a concept's items correlate, so the mean over these items
    has the variance ``moved * (1 + (items - 1) * correlation) / items``.

    Args:
        moved: The share of items whose answer becomes right or wrong.
        items: The number of items of a concept (one for each locale and wording).
        correlation: The correlation between the changes of two items of a concept.

    Raises:
        SettingsError: The share or the correlation is not between 0 and 1, or there is fewer than one item.
    """
    if not (0 <= moved <= 1 and 0 <= correlation <= 1 and items >= 1):
        raise SettingsError(
            f"moved={moved}, correlation={correlation} and items={items} given: expected moved and correlation between 0 and "
            "1, and at least one item."
        )
    return math.sqrt(moved * (1 + (items - 1) * correlation) / items)


def _check(spread: float, n: int, power: float, level: float) -> None:
    if not (spread >= 0 and n >= 1 and 0 < power < 1 and 0 < level < 1):
        raise SettingsError(
            f"spread {spread}, {n} concepts, power {power} and level {level} given: expected a spread of 0 or more, at least "
            "one concept, and a power and a level between 0 and 1."
        )
