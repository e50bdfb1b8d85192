"""Measures how well two vectors agree if each vector comes from n pairs and the vectors share no pair. Also predicts this
agreement with the Spearman-Brown formula."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.statistics import percentile_interval
from steerlens.steering import PAIRS, PairDifferences
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class SplitHalves(ResultTable):
    """The agreement of two vectors from n pairs each, which share no pair, by locale and number of pairs.

    Columns: vector, locale, pairs (n), all (the number of the locale's pairs), cosine between two vectors from n pairs each
    that share no pair (mean over splits), low and high (95% of the splits), predicted (by the Spearman-Brown formula from the
    largest n), length (the mean length of a vector from n pairs, divided by the length of the vector from all pairs; remaining
    noise makes a vector longer).

    If vectors from separate halves of the pairs agree, the direction of the vector is reliable. To measure whether the vector has
    any effect, use ``evaluation.fewer_pairs``.
    """

    columns: ClassVar[tuple[str, ...]] = (*("vector", "locale", "pairs", "all", "cosine", "low", "high", "predicted", "length"),)

    def plot(self) -> "Figure":
        """Draws the cosine by the number of pairs, as the mean over locales, with the predicted cosine dotted."""
        from steerlens.plotting import pairs_figure

        return pairs_figure(halves=self.frame)


def split_halves(
    differences: PairDifferences, pairs: Sequence[int] = PAIRS, *, halves: int = 200, draws: int = 4, seed: int = 0
) -> SplitHalves:
    """Measures how well two vectors agree if each vector comes from n pairs and the vectors share no pair.

    The agreement is the cosine of the two vectors. If r is the reliability, the Spearman-Brown formula k r / (1 + (k - 1) r)
    predicts the reliability with k times as many pairs. Spearman and Brown published this formula in 1910 (British Journal of
    Psychology 3).

    Args:
        differences: the differences of a contrast's pairs, from ``steering.pair_differences``.
        pairs: the numbers of pairs. Numbers above half of the pairs of the locale with the fewest pairs are left out.
        halves: the number of random splits.
        draws: the number of vectors over which the mean length is computed.
        seed: the seed of the splits and draws.

    Raises:
        PairsError: a locale has fewer than two pairs, or a number of pairs is below one.
    """
    import pandas as pd

    sizes = differences.sizes(pairs, differences.fewest // 2)
    rows = [row for code in differences.by_locale for row in _rows(differences, code, sizes, halves, draws, seed)]
    return SplitHalves(pd.DataFrame(rows, columns=list(SplitHalves.columns)))


def half_cosines(differences: Float[Tensor, "pair d_model"], n: int, halves: int, seed: int) -> NDArray:
    """Returns cosines ``[split]`` between the mean differences of two sets of ``n`` pairs that share no pair, drawn at random.

    Args:
        differences: the difference of each pair, ``[pair, d_model]``.
        n: the number of pairs in each set, at most half of all pairs.
        halves: the number of random splits.
        seed: the seed of the splits.
    """
    generator, values = torch.Generator().manual_seed(seed), []
    for _ in range(halves):
        order = torch.randperm(len(differences), generator=generator)
        one, two = differences[order[:n]].mean(dim=0), differences[order[n : 2 * n]].mean(dim=0)
        values.append(float(torch.cosine_similarity(one, two, dim=0)))
    return np.array(values)


def spearman_brown(reliability: float, times: float) -> float:
    """Returns the predicted reliability of a vector from ``times`` times as many pairs. ``reliability`` is the reliability of the
    original vector."""
    return times * reliability / (1 + (times - 1) * reliability)


def _rows(
    differences: PairDifferences, code: str, sizes: Sequence[int], halves: int, draws: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Yields the rows of one locale."""
    own = differences.by_locale[code]
    whole = float(own.mean(dim=0).norm())
    found = {n: half_cosines(own, n, halves, seed) for n in sizes}
    reached = float(found[sizes[-1]].mean())
    for n, values in found.items():
        low, high = percentile_interval(values)
        lengths = [float(mean.norm()) for mean in differences.means(code, n, draws, seed)]
        yield {
            "vector": differences.contrast.name, "locale": code, "pairs": n, "all": len(own),
            "cosine": float(values.mean()), "low": float(low), "high": float(high),
            "predicted": spearman_brown(reached, n / sizes[-1]), "length": float(np.mean(lengths)) / whole,
        }  # fmt: skip
