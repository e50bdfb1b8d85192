"""Cross-lingual consistency: whether a model ranks the same candidates in the same order in two languages, even if the order
is wrong."""

from collections.abc import Sequence

import numpy as np

from steerlens.errors import PromptError
from steerlens.evaluation.outcomes import Outcome


def rank_consistency(scores: Sequence[float], others: Sequence[float]) -> float:
    """Returns the RankC of one question: the softmax-weighted overlap of two rankings of its candidates, between 0 and 1.

    RankC is ``sum_j w_j P@j`` with ``w_j = e^(N - j) / sum_k e^(N - k)`` (Qi, Fernández and Bisazza, arXiv 2310.10378,
    equations 1 to 3). ``P@j`` is the share of candidates that the top j of the two rankings have in common. RankC is 1 for two
    equal orders. For two random orders of four candidates, RankC is 0.38 on average.

    Args:
        scores: the score of each candidate in one language.
        others: the scores of the same candidates, in the same order, in the other language.

    Raises:
        PromptError: the numbers of scores differ, or there are no scores.
    """
    n = len(scores)
    if n != len(others) or not n:
        raise PromptError(
            f"one language has {n} candidates and the other has {len(others)}: expected the same number in both, at least 1."
        )
    first, second = (np.argsort(-np.asarray(given, dtype=float), kind="stable") for given in (scores, others))
    overlap = [len(set(first[:j]) & set(second[:j])) / j for j in range(1, n + 1)]
    weights = np.exp(-np.arange(n, dtype=float))
    return float(weights @ overlap / weights.sum())


def consistency(outcome: Outcome, english: Outcome | None) -> float:
    """Returns the RankC of a factual item and its English item. RankC is NaN if there is no English item, or if the choices
    of the two items differ in number or in the position of the answer."""
    item = outcome.item
    if english is None or (len(item.choices), item.answer) != (len(english.item.choices), english.item.answer):
        return float("nan")
    return rank_consistency(outcome.scores, english.scores)
