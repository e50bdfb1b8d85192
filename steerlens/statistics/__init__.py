"""Statistics of paired changes: bootstrap intervals over concepts, differences between two methods, p-values and Pareto
fronts.

All functions take arrays of numbers and return numbers. The functions do not use models, items or tables.
"""

from steerlens.statistics.bootstrap import (
    Interval,
    bootstrap_interval,
    bootstrap_means,
    cluster_counts,
    draws_interval,
    percentile_interval,
)
from steerlens.statistics.paired import PairedDifference, paired_difference
from steerlens.statistics.pareto import pareto_front
from steerlens.statistics.power import detectable, needed, spread_of_change
from steerlens.statistics.selection import cross_fitted
from steerlens.statistics.significance import max_statistic_p, monte_carlo_p, sign_flip_p

__all__ = [
    "Interval",
    "PairedDifference",
    "bootstrap_interval",
    "bootstrap_means",
    "cluster_counts",
    "cross_fitted",
    "detectable",
    "draws_interval",
    "max_statistic_p",
    "monte_carlo_p",
    "needed",
    "paired_difference",
    "pareto_front",
    "percentile_interval",
    "sign_flip_p",
    "spread_of_change",
]
