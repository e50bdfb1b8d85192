"""Probing by layer: separability of factual and cultural prompts with controls, similarity of languages, and the logit lens."""

from steerlens.probing.baselines import token_embeddings
from steerlens.probing.erasure import Erasure, erasure
from steerlens.probing.folds import Folds
from steerlens.probing.form import FormSeparability, form_separability, matched
from steerlens.probing.geometry import Geometry, geometry
from steerlens.probing.holding import HoldOut
from steerlens.probing.lens import LogitLens, logit_lens
from steerlens.probing.maps import ResidualMap, residual_map
from steerlens.probing.permutation import PermutationTest, permutation_test
from steerlens.probing.probes import PROBES
from steerlens.probing.selectivity import Selectivity, selectivity
from steerlens.probing.separability import Separability, separability
from steerlens.probing.split_halves import SplitHalves, split_halves
from steerlens.probing.token_lens import TokenLens, token_lens

__all__ = [
    "PROBES",
    "Erasure",
    "Folds",
    "FormSeparability",
    "Geometry",
    "HoldOut",
    "LogitLens",
    "PermutationTest",
    "ResidualMap",
    "Selectivity",
    "Separability",
    "SplitHalves",
    "TokenLens",
    "erasure",
    "form_separability",
    "geometry",
    "logit_lens",
    "matched",
    "permutation_test",
    "residual_map",
    "selectivity",
    "separability",
    "split_halves",
    "token_embeddings",
    "token_lens",
]
