"""Scores texts by their form alone: character n-grams, without a model."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.probing.folds import Folds


def surface_scores(texts: Sequence[str], folds: Folds) -> Float[Tensor, "1 fold row"]:
    """Returns the log odds of label 1 for every text, from a logistic regression on the character n-grams of each fold's training
    texts."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    counts = CountVectorizer(analyzer="char_wb", ngram_range=(1, 4)).fit_transform(texts)
    scores = []
    for train in folds.train.numpy():
        seen = counts[:, np.asarray(counts[train].sum(axis=0)).ravel() > 0]
        ngrams = TfidfTransformer(sublinear_tf=True).fit(seen[train]).transform(seen)
        probe = LogisticRegression(max_iter=1000, class_weight="balanced", C=10.0)
        scores.append(probe.fit(ngrams[train], folds.labels[train]).decision_function(ngrams))
    return torch.from_numpy(np.stack(scores))[None].float()
