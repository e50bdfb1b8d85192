"""Computes Pareto fronts of points."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray


def pareto_front(points: Float[ndarray, "point axis"]) -> Bool[ndarray, " point"]:
    """Returns a mask of the points that are not dominated by any other point. A larger value is better on every axis.

    A point dominates another point if it is at least as good on every axis and better on at least one axis. Equal points do
    not dominate each other, so either all or none of them are on the front. A point with NaN on an axis is not on the front.

    Args:
        points: The coordinates, ``[point, axis]``.

    Returns:
        True for each point on the front, ``[point]``, in the order of the points.
    """
    as_good = (points[:, None] >= points).all(axis=-1)  # [other, point]
    better = (points[:, None] > points).any(axis=-1)
    return ~(as_good & better).any(axis=0) & ~np.isnan(points).any(axis=-1)
