"""The table of combinations of a sweep's cells. The table contains the steps of each combination, and the scores of every item
under the combination."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from steerlens.evaluation.sweeps import cell_means
from steerlens.scores import GivenScore
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Combinations(ResultTable):
    """One row for each combination of cells, item and score.

    Columns: plan (a description in words), vector_1, layer_1, strength_1, tokens_1 and so on for every step, locale, kind,
    concept, score, value, base (the item's unsteered score).
    """

    columns: ClassVar[tuple[str, ...]] = ()

    def means(self, score: GivenScore = "transfer", locale: str | None = None) -> "pd.DataFrame":
        """Returns one row for each combination, with the columns of ``Sweep.cells``.

        Args:
            score: one of the measured scores.
            locale: one locale; ``None`` pools all locales.

        Raises:
            UnknownNameError: there is no such score or locale.
        """
        return cell_means(self.frame.assign(exact=True), ["plan"], score, locale)
