"""Cross-validation of a binary probe, with folds that never divide a concept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steerlens.errors import DataError

Probe = Callable[[NDArray, NDArray, NDArray], NDArray]
"""From training features, training labels and test features to a score per test row: above 0 means label 1."""


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

    def score(self, features: NDArray, probe: Probe) -> tuple[float, float]:
        """AUROC and accuracy on held-out rows, averaged over folds."""
        from sklearn.metrics import roc_auc_score

        results = []
        for test in self.held_out:
            train = np.setdiff1d(np.arange(len(self.labels)), test)
            scores = probe(features[train], self.labels[train], features[test])
            truth = self.labels[test]
            results.append((roc_auc_score(truth, scores), float(np.mean((scores > 0) == truth))))
        auroc, accuracy = np.mean(results, axis=0)
        return float(auroc), float(accuracy)
