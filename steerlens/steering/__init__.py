"""Difference-of-means vectors, steering plans, and the hooks that apply them."""

from steerlens.steering.edits import WHICH, Which, add_direction
from steerlens.steering.means import difference_of_means
from steerlens.steering.plans import SteeringPlan, Step, no_steering
from steerlens.steering.vectors import SteeringVector

__all__ = ["WHICH", "SteeringPlan", "SteeringVector", "Step", "Which", "add_direction", "difference_of_means", "no_steering"]
