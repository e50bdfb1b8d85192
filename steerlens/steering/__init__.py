"""Difference-of-means vectors, steering plans, the hooks that apply them, and their controls."""

from steerlens.settings import WHICH, Which
from steerlens.steering.controls import Controls, other_locales, random_vectors, shuffled_vectors
from steerlens.steering.edits import OPERATIONS, Operation, add_direction, set_component
from steerlens.steering.means import difference_of_means, pooled
from steerlens.steering.plans import SteeringPlan, Step, no_steering
from steerlens.steering.vectors import SteeringVector

__all__ = [
    "OPERATIONS",
    "WHICH",
    "Controls",
    "Operation",
    "SteeringPlan",
    "SteeringVector",
    "Step",
    "Which",
    "add_direction",
    "difference_of_means",
    "no_steering",
    "other_locales",
    "pooled",
    "random_vectors",
    "set_component",
    "shuffled_vectors",
]
