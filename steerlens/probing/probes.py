"""Probes: from training rows to scores of held-out rows. Plain functions of arrays."""

from numpy.typing import NDArray


def difference_of_means_probe(features: NDArray, labels: NDArray, held_out: NDArray) -> NDArray:
    """Projection on the difference of the two means, from the point midway between them (Marks and Tegmark, arXiv
    2310.06824, "mass-mean probe" without covariance)."""
    features, held_out = features.astype("float64"), held_out.astype("float64")
    positive, negative = features[labels == 1].mean(axis=0), features[labels == 0].mean(axis=0)
    return (held_out - (positive + negative) / 2) @ (positive - negative)


def logistic_probe(features: NDArray, labels: NDArray, held_out: NDArray) -> NDArray:
    """Scikit-learn's logistic regression on standardised features, both at their defaults."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Balanced, since there are more factual than cultural prompts and accuracy is to be read against one half.
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    return probe.fit(features, labels).decision_function(held_out)


def surface_probe(texts: NDArray, labels: NDArray, held_out: NDArray) -> NDArray:
    """Logistic regression on character n-grams of the text: what its form alone gives away, no model needed."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    probe = make_pipeline(ngrams, LogisticRegression(max_iter=1000, class_weight="balanced", C=10.0))
    return probe.fit(texts, labels).decision_function(held_out)
