"""Cross-validation of a binary probe, with folds that never divide a concept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steerlens.errors import DataError

Predict = Callable[[NDArray, NDArray], NDArray]
"""From the rows to train on and the rows held out to a score per held-out row, ``[layer, held]``: above 0 means label 1."""


@dataclass(frozen=True)
class Folds:
    """Which rows are held out together."""

    labels: NDArray
    """``[row]``: 1 for factual, 0 for cultural."""
    held_out: tuple[NDArray, ...]
    """Row numbers of each fold."""

    @classmethod
    def by_concept(cls, labels: Sequence[int], concepts: Sequence[str], n_folds: int = 5, seed: int = 0) -> "Folds":
        """Folds of concepts, with both labels in each.

        Raises:
            DataError: fewer than two concepts of a label.
        """
        from sklearn.model_selection import StratifiedGroupKFold

        y = np.asarray(labels)
        per_label = [len({c for c, label in zip(concepts, labels, strict=True) if label == value}) for value in (0, 1)]
        if min(per_label) < 2:
            raise DataError(
                f"{per_label[1]} factual and {per_label[0]} cultural concepts given: cross-validation needs at least 2 of each. "
                "Capture more prompts, of both kinds."
            )
        splitter = StratifiedGroupKFold(min(n_folds, *per_label), shuffle=True, random_state=seed)
        held_out = tuple(test for _, test in splitter.split(y, y, list(concepts)))
        return cls(y, tuple(test for test in held_out if len(set(y[test])) == 2))

    def score(self, predict: Predict) -> tuple[NDArray, NDArray]:
        """AUROC and accuracy on held-out rows, averaged over folds, ``[layer]`` each."""
        from sklearn.metrics import roc_auc_score

        aurocs, accuracies = [], []
        for test in self.held_out:
            scores = predict(np.setdiff1d(np.arange(len(self.labels)), test), test)
            truth = self.labels[test]
            aurocs.append([roc_auc_score(truth, layer) for layer in scores])
            accuracies.append(((scores > 0) == truth).mean(axis=1))
        return np.mean(aurocs, axis=0), np.mean(accuracies, axis=0)
