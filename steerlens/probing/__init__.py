"""Separability of factual and cultural prompts by layer, and by form alone."""

from steerlens.probing.baselines import token_embeddings
from steerlens.probing.folds import Folds
from steerlens.probing.form import FormSeparability, form_separability, matched
from steerlens.probing.holding import HoldOut
from steerlens.probing.probes import PROBES
from steerlens.probing.separability import Separability, separability

__all__ = [
    "PROBES",
    "Folds",
    "FormSeparability",
    "HoldOut",
    "Separability",
    "form_separability",
    "matched",
    "separability",
    "token_embeddings",
]
