"""What the form of a text alone gives away: character n-grams, no model needed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from steerlens.probing.folds import Predict


def surface_predict(texts: Sequence[str], labels: NDArray) -> Predict:
    """Logistic regression on character n-grams of texts, fitted on some of them and asked of others."""
    every = np.array(texts, dtype=object)

    def predict(train: NDArray, test: NDArray) -> NDArray:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
        probe = make_pipeline(ngrams, LogisticRegression(max_iter=1000, class_weight="balanced", C=10.0))
        return probe.fit(every[train], labels[train]).decision_function(every[test])[None]

    return predict
