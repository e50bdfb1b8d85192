"""The effect on test items of a vector that is computed from n pairs, compared with the effect of the vector from all
pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.data import Items
from steerlens.data.splits import group_of
from steerlens.errors import SettingsError
from steerlens.evaluation.answering import answered
from steerlens.evaluation.running import Executor, Running
from steerlens.models.lens import LensModel
from steerlens.scores import GivenScore, Score, score_of
from steerlens.settings import SteeredTokens
from steerlens.statistics import bootstrap_interval, draws_interval
from steerlens.steering import PAIRS, UNSTEERED, PairDifferences, SteeringPlan
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

Plans = dict[str, dict[str, SteeringPlan]]
"""The plans by method and by locale. The name of a method contains the number of pairs and the draw."""


@dataclass(frozen=True, eq=False)
class FewerPairs(ResultTable):
    """The change of a score, and of its companion, under vectors made from n pairs, by number of pairs.

    Columns: vector, score, pairs (the number of pairs), n (concepts), draws, change, low, high, concepts_low, concepts_high.
    ``draws`` is the number of vectors, each made from a random draw of ``pairs`` pairs. ``change`` is the mean change over
    draws and over the locales of a concept. 95% of the draws are between ``low`` and ``high``. ``concepts_low`` and
    ``concepts_high`` are the ends of the 95% interval over concepts. The row with the largest number of pairs uses all pairs
    and has one draw.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("vector", "score", "pairs", "n", "draws", "change", "low", "high", "concepts_low", "concepts_high"),
    )

    def plot(self, score: GivenScore | None = None) -> "Figure":
        """Draws the change against the number of pairs, with the range of 95% of the draws.

        Args:
            score: a score in the table; ``None`` takes the last score, which is the companion (such as the margin) if there
                is a companion.

        Raises:
            UnknownNameError: the table does not have the score.
        """
        from steerlens.plotting import pairs_figure

        name = self.having("score", self.frame["score"].iloc[-1] if score is None else score_of(score).name)
        return pairs_figure(effect=self.frame[self.frame["score"] == name])


def fewer_pairs(
    model: LensModel,
    items: Items,
    differences: PairDifferences,
    strength: float = 1.0,
    *,
    score: GivenScore | None = None,
    pairs: Sequence[int] = PAIRS,
    tokens: SteeredTokens = "last_onward",
    draws: int = 4,
    seed: int = 0,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> FewerPairs:
    """Measures the effect of vectors that are computed from only n pairs, for several n, on items that were not used for
    these vectors.

    Noise makes a vector from few pairs longer than the vector from all pairs. The vectors are not rescaled.

    Args:
        model: the model that is steered.
        items: the items that are scored, usually the test part of a split. Only items of the score's kind are used.
        differences: the differences of a contrast's pairs, from ``steering.pair_differences``. The layer of the differences
            is also the steered layer.
        strength: the factor by which each vector is multiplied.
        score: a score's name, or your own score; ``None`` takes the score that the contrast is meant to raise.
        pairs: the numbers of pairs. Numbers that are larger than ``differences.fewest`` are left out.
        tokens: which tokens are steered.
        draws: the number of vectors for each number of pairs.
        seed: the seed of the draws and of the intervals over concepts.
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``).

    Raises:
        SettingsError: no score is given, and the contrast does not name a score.
        PairsError: a number of pairs is below one.
        FingerprintError: the differences belong to another model.
    """
    import pandas as pd

    if score is None and not differences.contrast.score:
        raise SettingsError(
            f"no score given, and contrast {differences.contrast.name!r} does not name a score that it is meant to raise. Give "
            "score='transfer', or another name in evaluation.SCORES."
        )
    known, most = score_of(score or differences.contrast.score), differences.fewest
    sizes = list(dict.fromkeys([*differences.sizes(pairs, max(1, most - 1)), most]))
    plans = _plans(differences, sizes, strength, tokens, draws, seed)
    methods = {name: own.get("", own) for name, own in plans.items()}  # a plan without a locale is used for all items
    asked = items.where(lambda item: item.kind in known.kinds)
    answers = answered(model, asked, methods, scores=[known], batch_size=batch_size, executor=executor, resume=resume)
    rows = _rows(answers.frame, plans, sizes, known, seed)
    frame = pd.DataFrame(rows).assign(vector=differences.contrast.name)
    return FewerPairs(frame[list(FewerPairs.columns)], answers.meta)


def _plans(
    differences: PairDifferences, sizes: Sequence[int], strength: float, tokens: SteeredTokens, draws: int, seed: int
) -> Plans:
    plans: Plans = {}
    for code in differences.by_locale:
        for n in sizes:
            for draw, vector in enumerate(differences.vectors(code, n, draws, seed)):
                plans.setdefault(f"{n}/{draw}", {})[code] = vector.at(differences.layer, strength, tokens)
    return plans


def _rows(answers: "pd.DataFrame", plans: Plans, sizes: Sequence[int], score: Score, seed: int) -> Iterator[dict[str, Any]]:
    """Yields one row for each number of pairs: the mean change, the range of 95% of the draws, and the interval over
    concepts."""
    for name in (score.name, score.companion) if score.companion else (score.name,):
        table = answers[answers["score"] == name].pivot_table(index=["concept", "locale"], columns="method", values="value")
        concepts = table.index.get_level_values("concept").map(group_of)
        changes = table[list(plans)].sub(table[UNSTEERED], axis=0).groupby(concepts).mean()
        for n in sizes:
            values = changes[[plan for plan in plans if plan.startswith(f"{n}/")]].to_numpy()  # [concept, draw]
            over, spread = bootstrap_interval(values.mean(axis=1), seed=seed), draws_interval(values)
            yield {
                "score": name, "pairs": n, "n": over.n, "draws": values.shape[1], "change": over.mean,
                "low": spread.low, "high": spread.high, "concepts_low": over.low, "concepts_high": over.high,
            }  # fmt: skip
