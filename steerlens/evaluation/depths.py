"""The depth of a vector: the layer at which steering with the vector raises the vector's score most, with intervals over
concepts."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.item_scores import beside, by_concept, rows_of_score
from steerlens.evaluation.scores import finer_of
from steerlens.scores import score_of
from steerlens.statistics import bootstrap_means, percentile_interval
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.evaluation.sweeps import Sweep
    from steerlens.plotting import Figure

_TIE = 1e-6
"""The weight of the margin relative to the share of right answers. The weight is so small that the margin decides only between
layers with the same share of right answers."""


@dataclass(frozen=True, eq=False)
class Depths(ResultTable):
    """The layer at which each vector raises its score most, and the difference between the layers of two vectors.

    Columns: vector, score, n (concepts), gain, measure, layer, low and high (the 95% interval of the layer over concepts),
    deeper.

    The measure ``peak`` is the best layer. The measure ``centre`` is the mean layer, weighted by the gain (a layer without a
    gain has the weight zero). ``centre`` depends less on single cells than ``peak``. Each layer is represented by its best
    strength. The column ``gain`` contains the gain at the peak. The gain at the peak is overestimated because it is the
    largest of many gains.

    Each pair of vectors also has rows for the difference, for example ``LOC - EN``. In the rows of ``LOC - EN``, ``layer`` is
    the number of layers by which LOC is deeper, and ``deeper`` is the share of resamples in which LOC is deeper.
    """

    columns: ClassVar[tuple[str, ...]] = ("vector", "score", "n", "gain", "measure", "layer", "low", "high", "deeper")

    def plot(self, swept: "Sweep") -> "Figure":
        """Draws the scores from which depths were computed, by layer and strength. A grey band shows 95% of the resampled
        best layers.

        Args:
            swept: the sweep from which the depths were computed.

        Raises:
            UnknownNameError: the sweep does not have one of the scores.
        """
        import pandas as pd

        from steerlens.plotting import depth_figure

        scores = dict.fromkeys(self.frame["score"].dropna())
        return depth_figure(pd.concat(swept.cells(score).assign(score=score) for score in scores), self.frame)


def depths(frame: "pd.DataFrame", scores: Mapping[str, str], *, draws: int, seed: int) -> Depths:
    """Returns the depths of the vectors of a sweep, as described in ``Sweep.depth``.

    Args:
        frame: the rows of a sweep.
        scores: the score of each vector, by the vector's name. The rows of the result have the order of ``scores``.
        draws: the number of resamples of concepts. The concepts of each vector are resampled separately, because the vectors'
            items share no concept.
        seed: the seed of the resamples.

    Raises:
        UnknownNameError: the sweep lacks a vector, or a score is not known.
        SettingsError: no scores are given, or a score cannot be measured on any of the items.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    drawn: dict[str, dict[str, NDArray]] = {}
    for at, (vector, score) in enumerate(_checked(frame, scores).items()):
        layers, _, changes = changes_by_cell(frame, vector, score)
        drawn[vector], gain = _resampled(layers, changes, draws, [seed, at])
        common = {"vector": vector, "score": score, "n": len(changes), "gain": gain}
        rows += [{**common, "measure": measure, **_spread(values)} for measure, values in drawn[vector].items()]
    rows += [row for first, second in combinations(drawn, 2) for row in _between(drawn, first, second)]
    return Depths(pd.DataFrame(rows, columns=list(Depths.columns)))


def changes_by_cell(frame: "pd.DataFrame", vector: str, score: str) -> tuple[list[int], list[float], NDArray]:
    """Returns the change of a score in each cell of one vector, by concept, from ``change_table``.

    Returns:
        The layers, the strengths that were run at all layers, and the changes ``[concept, layer, strength]``. Each change is
            the mean over the concept's locales.

    Raises:
        SettingsError: the sweep has no items on which the score is measured.
    """
    table = change_table(frame, vector, score)
    layers, strengths = (list(level) for level in table.columns.levels)
    return layers, strengths, table.to_numpy().reshape(len(table), len(layers), len(strengths))


def change_table(frame: "pd.DataFrame", vector: str, score: str) -> "pd.DataFrame":
    """Returns the change of a score by concept (rows), and by layer and strength of one vector's cells (columns).

    If the score has a companion (such as the margin), a millionth of the companion's change is added, so that two cells rarely
    have the same value. Strengths that were not run at all layers (for example strengths added by ``extend``) are left out, so
    that all layers are compared at the same strengths. A concept that lacks one of the remaining cells is left out, too.

    Args:
        frame: the rows of a sweep. The change of a concept is the mean over the locales in ``frame``.
        vector: the vector's name.
        score: the score's name.

    Raises:
        SettingsError: the sweep has no items on which the score is measured.
    """
    import pandas as pd

    own, known = frame[frame["vector"] == vector], score_of(score)
    part, finer = rows_of_score(own, score), finer_of(known, own["score"])
    change = part["change"] if known.higher_is_better else -part["change"]
    if finer != known:
        change = change + _TIE * beside(part, rows_of_score(own, finer), "change")
    named = part.assign(change=change, concept=by_concept(part))
    table = named.pivot_table(index="concept", columns=["layer", "strength"], values="change")
    places = part[["layer", "strength"]].drop_duplicates()
    layers, run_at = sorted(set(places["layer"])), places["strength"].value_counts()
    strengths = sorted(run_at.index[run_at == len(layers)])
    table = table.reindex(columns=pd.MultiIndex.from_product([layers, strengths], names=["layer", "strength"])).dropna()
    if table.empty:
        raise SettingsError(
            f"no item has a finite {score} in all cells of {vector}. Sweep items on which {score} can be measured, and run "
            "all cells."
        )
    return table


def _checked(frame: "pd.DataFrame", scores: Mapping[str, str]) -> Mapping[str, str]:
    vectors, known = (tuple(dict.fromkeys(frame[column])) for column in ("vector", "score"))
    if not scores:
        raise SettingsError(
            f"no scores given for the vectors {', '.join(vectors)}: expected the name of a score for at least one vector, for "
            f"example scores={{{vectors[0]!r}: 'transfer'}}."
        )
    for vector, score in scores.items():
        for what, given, names in (("vector", vector, vectors), ("score of a sweep", score, known)):
            if given not in names:
                raise UnknownNameError(what, given, names)
    return scores


def _resampled(layers: Sequence[int], changes: NDArray, draws: int, seed: Sequence[int]) -> tuple[dict[str, NDArray], float]:
    """Returns the peak and the centre, each of shape ``[1 + draw]``, and the gain at the peak. The first value of an array is
    for all concepts, and the other values are for resamples."""
    means = np.concatenate([changes.mean(axis=0)[None], bootstrap_means(changes, draws=draws, seed=seed)])
    best = means.max(axis=2)  # [1 + draw, layer]
    return {"peak": _peak(layers, best), "centre": _centre(layers, best)}, float(best[0].max())


def _peak(layers: Sequence[int], best: NDArray) -> NDArray:
    return np.array(layers, dtype=float)[best.argmax(axis=1)]


def _centre(layers: Sequence[int], best: NDArray) -> NDArray:
    gains = np.clip(best, 0, None)
    total = gains.sum(axis=1)
    middle = float(np.mean(layers))  # the centre if no layer has a gain
    return np.where(total > 0, gains @ np.array(layers, dtype=float) / np.where(total > 0, total, 1), middle)


def _between(drawn: Mapping[str, Mapping[str, NDArray]], first: str, second: str) -> Iterator[dict[str, Any]]:
    """Yields the rows for the number of layers by which the second vector is deeper than the first vector."""
    for measure in drawn[first]:
        between = drawn[second][measure] - drawn[first][measure]
        label = {"vector": f"{second} - {first}", "measure": measure}
        yield {**label, **_spread(between), "deeper": float((between[1:] > 0).mean())}


def _spread(values: NDArray) -> dict[str, float]:
    low, high = percentile_interval(values[1:])
    return {"layer": float(values[0]), "low": float(low), "high": float(high)}
