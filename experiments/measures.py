"""What the experiments measure: the scores, differences of several methods, halves of pairs."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.evaluation import MEAN, Answers
from steerlens.steering import SteeringVector

SCORES = {
    "transfer": ("factual", "hit"),
    "localization": ("cultural", "hit"),
    "english_centric": ("cultural", "english_centric"),
    "factual margin": ("factual", "margin"),
    "cultural margin": ("cultural", "margin"),
}
"""Kind and column of each score. Margins are in nats per token."""
CLAIMED = {"EN": "transfer", "LOC": "localization"}
"""The score that each vector is for."""
MARGINS = {"EN": "factual margin", "LOC": "cultural margin"}
"""The margin behind it."""


def differences(answers: Answers, pairs: Iterable[tuple[str, str]], scores: Iterable[str], seed: int) -> pd.DataFrame:
    """One method less another, for several pairs of methods: a row per score and pair, as far as both were scored by it.

    Returns:
        Columns method, against, score, n (concepts), change, low, high.
    """
    compared = [answers.compare(method, against, seed=seed).frame for method, against in pairs]
    rows = [own[own["score"] == score] for score in scores for own in compared]
    return pd.concat(rows, ignore_index=True)[["method", "against", "score", "n", "change", "low", "high"]]


def split_halves(differences: Float[Tensor, "pair d_model"], n: int, draws: int, seed: int) -> NDArray:
    """Cosines of the mean differences of two sets of ``n`` pairs that share none, drawn at random."""
    generator, values = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        order = torch.randperm(len(differences), generator=generator)
        one, two = differences[order[:n]].mean(dim=0), differences[order[n : 2 * n]].mean(dim=0)
        values.append(float(torch.cosine_similarity(one, two, dim=0)))
    return np.array(values)


def lengthened(reliability: float, times: float) -> float:
    """Reliability of a measure so many times as long (Spearman-Brown)."""
    return times * reliability / (1 + (times - 1) * reliability)


def cosines(one: SteeringVector, two: SteeringVector) -> Float[Tensor, " layer"]:
    """Cosine of two vectors at each of their layers."""
    return torch.cosine_similarity(one.directions, two.directions, dim=1)


def mean_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows over all locales of a plane or of effects."""
    return frame[frame["locale"] == MEAN]
