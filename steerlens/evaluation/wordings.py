"""Scores over the wordings of a question: the mean over wordings, and how much a method's score depends on the wording."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from steerlens.data.splits import concept_of
from steerlens.errors import DataError
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Wordings(ResultTable):
    """The scores of each method: the mean over wordings, and the differences between wordings.

    Columns: method, locale, score, n (concepts with at least two wordings), wordings (the largest number of wordings of a
    concept), value, low, high, spread (``high`` minus ``low``), within, agree. ``value`` is the mean over the wordings of a
    concept, and then over concepts. For each wording, a mean over the concepts with this wording is computed: ``low`` is the
    lowest and ``high`` is the highest of these means. ``within`` is the standard deviation between the wordings of a concept,
    averaged over concepts. ``agree`` is the share of concepts whose wordings all have the same value.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("method", "locale", "score", "n", "wordings", "value", "low", "high", "spread", "within", "agree"),
    )


def wordings(answers: "pd.DataFrame") -> Wordings:
    """Returns the mean over wordings and the spread between wordings, for each method, locale and score.

    Args:
        answers: the frame of ``answered`` for items with several wordings, such as the items of ``sl.data.atlas(wordings=3,
            cloze=True)``.

    Raises:
        DataError: no concept has two wordings.
    """
    import pandas as pd

    told = answers[answers["value"].notna() & (answers["concept"] != "")].astype({"value": float})
    named = told.assign(asked=told["concept"].map(concept_of))
    named["wording"] = [one[len(whole) :] for one, whole in zip(named["concept"], named["asked"], strict=True)]
    rows = []
    for (method, locale, score), own in named.groupby(["method", "locale", "score"], sort=False):
        table = own.pivot_table(index="asked", columns="wording", values="value")
        table = table[table.notna().sum(axis=1) > 1]
        if len(table):
            rows.append({"method": method, "locale": locale, "score": score, **_spread(table)})
    if not rows:
        raise DataError(
            "no concept of these answers has two wordings: expected answers to items with several wordings, such as the "
            "items of sl.data.atlas(wordings=3)."
        )
    return Wordings(pd.DataFrame(rows))


def _spread(table: "pd.DataFrame") -> dict[str, float]:
    """Returns the columns for one method, locale and score, computed from the values ``[concept, wording]``."""
    means = table.mean()
    return {
        "n": len(table),
        "wordings": int(table.notna().sum(axis=1).max()),
        "value": float(table.mean(axis=1).mean()),
        "low": float(means.min()),
        "high": float(means.max()),
        "spread": float(means.max() - means.min()),
        "within": float(table.std(axis=1, ddof=0).mean()),
        "agree": float((table.nunique(axis=1) == 1).mean()),
    }
