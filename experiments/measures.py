"""Statistics of the experiments: paired differences of methods, the depth of a peak, halves of pairs."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.evaluation import MEAN, paired_interval
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
_TIE = 1e-6
"""Weight of the margin beside hits, so that layers with the same hits are told apart by it."""


def differences(answers: pd.DataFrame, pairs: Iterable[tuple[str, str]], scores: Iterable[str], seed: int) -> pd.DataFrame:
    """One method less another, item by item, a concept once with the mean of its locales (and of a control's draws).

    Args:
        answers: the frame of ``sl.evaluation.answered``.
        pairs: method, and the method that it is compared with.
        scores: of ``SCORES``.
        seed: of the bootstrap.

    Returns:
        Columns method, against, score, n (concepts), change, low, high.
    """
    rows = []
    for score in scores:
        kind, column = SCORES[score]
        part = answers[answers["kind"] == kind].astype({column: float})
        table = part.pivot_table(index=["concept", "locale"], columns="method", values=column)
        for method, against in pairs:
            if method not in table or against not in table:
                continue
            paired = (table[method] - table[against]).dropna().groupby(level="concept").mean()
            found = paired_interval(paired.to_numpy(), seed=seed)
            numbers = {"n": found.n, "change": found.mean, "low": found.low, "high": found.high}
            rows.append({"method": method, "against": against, "score": score, **numbers})
    return pd.DataFrame(rows)


def profile(sweep: pd.DataFrame, vector: str, score: str) -> tuple[list[int], list[float], NDArray]:
    """Layers, strengths, and the change of a score in each cell, ``[concept, layer, strength]``, the mean of its locales."""
    kind, column = SCORES[score]
    part = sweep[(sweep["vector"] == vector) & (sweep["kind"] == kind)]
    change = part[column].astype(float) - part[f"base_{column}"].astype(float)
    if column == "hit":
        change += _TIE * (part["margin"] - part["base_margin"])
    table = part.assign(change=change).pivot_table(index="concept", columns=["layer", "strength"], values="change")
    layers, strengths = (sorted(set(part[name])) for name in ("layer", "strength"))
    table = table.reindex(columns=pd.MultiIndex.from_product([layers, strengths])).dropna()
    return layers, strengths, table.to_numpy().reshape(len(table), len(layers), len(strengths))


def depths(sweep: pd.DataFrame, scores: Mapping[str, str], draws: int, seed: int) -> pd.DataFrame:
    """Where each vector raises its score most, with intervals over concepts, and how much deeper the second peaks.

    A layer counts with its best strength. ``peak`` is the best layer; ``centre`` the mean layer, weighted by the gain (zero where
    there is none), which hangs less on single cells.

    Args:
        sweep: rows of an exact sweep.
        scores: the score of each vector, in order.
        draws: resamples of concepts; each vector's own, since their items have no concept in common.

    Returns:
        Columns vector, score, n, measure (peak or centre), layer, low, high, gain (at the peak: the best of many, so too large),
        deeper (share of resamples; in the rows of the difference, ``LOC - EN``).
    """
    rows, drawn = [], {}
    for at, (vector, score) in enumerate(scores.items()):
        layers, _, cells = profile(sweep, vector, score)
        picks = np.random.default_rng([seed, at]).multinomial(len(cells), [1 / len(cells)] * len(cells), size=draws)
        weights = np.vstack([np.full(len(cells), 1 / len(cells)), picks / len(cells)])
        best = np.einsum("dc,cls->dls", weights, cells).max(axis=2)  # [1 + draw, layer]; the first is no resample
        drawn[vector] = found = {"peak": _peak(layers, best), "centre": _centre(layers, best)}
        common = {"vector": vector, "score": score, "n": len(cells), "gain": float(best[0].max())}
        rows += [{**common, "measure": measure, **_spread(values)} for measure, values in found.items()]
    if len(drawn) == 2:
        (first, one), (second, two) = drawn.items()
        for measure in ("peak", "centre"):
            between = two[measure] - one[measure]
            shares = {"deeper": float((between[1:] > 0).mean())}
            rows.append({"vector": f"{second} - {first}", "measure": measure, **_spread(between), **shares})
    return pd.DataFrame(rows)


def _peak(layers: Sequence[int], best: NDArray) -> NDArray:
    return np.array(layers, dtype=float)[best.argmax(axis=1)]


def _centre(layers: Sequence[int], best: NDArray) -> NDArray:
    gains = np.clip(best, 0, None)
    total = gains.sum(axis=1)
    middle = float(np.mean(layers))  # where nothing is gained anywhere
    return np.where(total > 0, gains @ np.array(layers, dtype=float) / np.where(total > 0, total, 1), middle)


def _spread(values: NDArray) -> dict[str, float]:
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return {"layer": float(values[0]), "low": float(low), "high": float(high)}


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
