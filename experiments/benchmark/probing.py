"""The two ways of probing: a logistic probe a layer and fold, and its held-out AUROC."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import steerlens as sl
from steerlens.probing import PROBES, Folds, separability
from steerlens.probing.assigning import fold_of_rows


def ways(stack: sl.ResidualStack) -> dict[str, Callable[[], object]]:
    """The ways by name. Ours assign the folds in every run, though they are remembered; the loop does so for every layer."""
    return {
        "steerlens, folds assigned anew": lambda: _anew(_probed, stack),
        "scikit-learn loop": lambda: _loop(stack),
        "separability, with baselines and intervals": lambda: _anew(separability, stack),
    }


def _anew(way: Callable[[sl.ResidualStack], object], stack: sl.ResidualStack) -> None:
    fold_of_rows.cache_clear()
    way(stack)


def _probed(stack: sl.ResidualStack) -> torch.Tensor:
    """AUROC by layer and fold, all in one solve."""
    labels = [int(prompt.kind == "factual") for prompt in stack.prompts]
    folds = Folds.by_concept(labels, [prompt.concept for prompt in stack.prompts])
    return folds.auroc(PROBES["logistic"](stack.residuals, folds))


def _loop(stack: sl.ResidualStack) -> list[float]:
    """The loop that one writes: a pipeline per layer and fold."""
    y = np.array([int(prompt.kind == "factual") for prompt in stack.prompts])
    groups, scores = [prompt.concept for prompt in stack.prompts], []
    for layer in stack.layers:
        x = stack.at(layer).numpy()
        for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(x, y, groups):
            probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
            scores.append(roc_auc_score(y[test], probe.fit(x[train], y[train]).decision_function(x[test])))
    return scores
