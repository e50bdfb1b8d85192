"""Contrasts and their vectors, edits of the residual stream, steering plans, the hooks that apply plans, and the controls of
plans."""

from steerlens.settings import STEERED_TOKENS, STRENGTHS, SteeredTokens
from steerlens.steering.autoencoders import SparseAutoencoder
from steerlens.steering.contrasts import CONTRASTS, EN, LOC, Contrast, loc_against
from steerlens.steering.controls import Controls, other_locales, random_vectors, shuffled_vectors
from steerlens.steering.directions import Ablate, Add, DirectionalEdit, Project, add_direction, set_component
from steerlens.steering.edits import EDITS, Edit
from steerlens.steering.features import Features, feature_vector, features
from steerlens.steering.interventions import Intervention, LayerEdits
from steerlens.steering.means import difference_of_means, differences_of_means, pooled
from steerlens.steering.pair_differences import PAIRS, PairDifferences, pair_differences
from steerlens.steering.plans import SteeringPlan, no_steering
from steerlens.steering.specs import SURGICAL, UNSTEERED, PlanSpec, StepSpec
from steerlens.steering.steps import Step
from steerlens.steering.taking import take
from steerlens.steering.vector_sets import VectorSet, vector_set
from steerlens.steering.vectors import SteeringVector

__all__ = [
    "CONTRASTS",
    "EDITS",
    "EN",
    "LOC",
    "PAIRS",
    "STEERED_TOKENS",
    "STRENGTHS",
    "SURGICAL",
    "UNSTEERED",
    "Ablate",
    "Add",
    "Contrast",
    "Controls",
    "DirectionalEdit",
    "Edit",
    "Features",
    "Intervention",
    "LayerEdits",
    "PairDifferences",
    "PlanSpec",
    "Project",
    "SparseAutoencoder",
    "SteeredTokens",
    "SteeringPlan",
    "SteeringVector",
    "Step",
    "StepSpec",
    "VectorSet",
    "add_direction",
    "difference_of_means",
    "differences_of_means",
    "feature_vector",
    "features",
    "loc_against",
    "no_steering",
    "other_locales",
    "pair_differences",
    "pooled",
    "random_vectors",
    "set_component",
    "shuffled_vectors",
    "take",
    "vector_set",
]
