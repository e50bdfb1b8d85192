"""Power analysis: the smallest change of a score that can be detected with the items, computed before or after a run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.data import ENGLISH, Items
from steerlens.data.splits import group_of
from steerlens.errors import SettingsError
from steerlens.evaluation.answering import Answers
from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.planes import Plane
from steerlens.evaluation.scores import AXES
from steerlens.scores import GivenScore, Score, score_of
from steerlens.statistics import detectable, needed, spread_of_change
from steerlens.steering import UNSTEERED
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

EXPECTED_SPREAD = {"factual": (0.3, 0.15), "cultural": (0.15, 0.05)}
"""The expected effect of a plan, for each kind of items. The first number of a pair is the share of items whose answer becomes
right or wrong. The second number is the correlation between the changes of a concept in two locales. The numbers are rounded
results of Gemma 3 270M (experiments/choosing, the last table)."""


@dataclass(frozen=True, eq=False)
class Power(ResultTable):
    """The smallest mean change of each score that would be detected with the given power. A change is detected if its 95%
    interval over concepts excludes zero.

    Columns: method (empty before a run), score, locale (``mean``: over locales), n (concepts), spread (the standard deviation
    of a concept's change), detectable (the smallest change that would be detected), needed. ``needed`` is the number of
    concepts needed to detect the given change. If no change was given, ``needed`` is a missing value.
    """

    columns: ClassVar[tuple[str, ...]] = ("method", "score", "locale", "n", "spread", "detectable", "needed")

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        mean = self.frame[self.frame["locale"] == MEAN]
        for row in mean.itertuples():
            known = score_of(str(row.score))
            whose = f"{row.method}, " if row.method else ""
            yield (
                f"{whose}{known.title}: with {row.n} concepts, a change of {known.factor * float(row.detectable):.1f} "
                f"{known.change_unit} would be detected{_needs(row.needed)}"
            )


def power(
    given: Items | Answers | Plane,
    *,
    scores: Sequence[GivenScore] = AXES,
    change: float | None = None,
    power: float = 0.8,
    level: float = 0.95,
    moved: float | None = None,
    correlation: float | None = None,
) -> Power:
    """Returns the smallest detectable change of each score. Give items before a run, and answers or a plane after a run.

    Before a run, the standard deviation of a concept's change is not known, and is computed from ``moved`` and
    ``correlation``. The computed standard deviation is right for scores that are 0 or 1 per item, if the plan changes the
    share ``moved`` of the items. After a run, the standard deviation that was measured for each method is used.

    Args:
        given: items (usually the test part of a split), the result of ``answered``, or a plane. The standard deviations of a
            plane are computed from its intervals.
        scores: the scores whose detectable changes are computed.
        change: a change to detect, such as 0.03 for three points. If a change is given, the column ``needed`` contains the
            number of concepts that are needed to detect the change.
        power: the probability with which the interval of a true change excludes zero.
        level: the confidence level of the interval, such as 0.95.
        moved: before a run, the share of items whose answer becomes right or wrong. ``None`` takes the share that was measured
            on Gemma 3 270M for the kind of items.
        correlation: before a run, the correlation between the changes of two items of a concept; ``None`` takes the value that
            was measured on Gemma 3 270M.

    Raises:
        UnknownNameError: there is no such score.
        SettingsError: a score cannot be measured on any of the items, ``change`` is 0, or ``power``, ``level``, ``moved`` or
            ``correlation`` is outside its range.
    """
    import pandas as pd

    known = [score_of(score) for score in scores]
    if isinstance(given, Items):
        found = [row for score in known for row in _before(given, score, moved, correlation)]
    elif isinstance(given, Plane):
        found = [row for score in known for row in _of_plane(given, score)]
    else:
        found = [row for score in known for row in _of_answers(given, score)]
    if not found:
        raise SettingsError(
            f"there are no items on which {' or '.join(score.name for score in known)} can be measured. Give other items."
        )
    for row in found:
        row["detectable"] = detectable(row["spread"], row["n"], power=power, level=level)
        row["needed"] = None if change is None else needed(row["spread"], change, power=power, level=level)
    frame = pd.DataFrame(found, columns=list(Power.columns)).astype({"needed": "Int64"})
    return Power(frame, {"power": power, "level": level, "change": change})


def _before(items: Items, score: Score, moved: float | None, correlation: float | None) -> Iterator[dict[str, Any]]:
    """Yields one row for each locale and one row for the mean over locales, with the expected standard deviation."""
    usual = EXPECTED_SPREAD[score.kinds[0]]
    share, alike = (usual[0] if moved is None else moved), (usual[1] if correlation is None else correlation)
    asked = [item for item in items if item.kind in score.kinds and item.locale != ENGLISH]
    for locale in (*dict.fromkeys(item.locale for item in asked), MEAN):
        own = [item for item in asked if locale in (MEAN, item.locale)]
        n = len({group_of(item.concept) for item in own})
        if n:
            spread = spread_of_change(share, len(own) / n, alike)
            yield {"method": "", "score": score.name, "locale": locale, "n": n, "spread": spread}


def _of_answers(answers: Answers, score: Score) -> Iterator[dict[str, Any]]:
    """Yields one row for each method and locale and one row for the mean over locales, with the measured standard
    deviation."""
    own = answers.frame[answers.frame["score"] == score.name]
    table = own.pivot_table(index=["concept", "locale"], columns="method", values="value")
    for method in table.columns.drop(UNSTEERED, errors="ignore") if UNSTEERED in table else ():
        changes = (table[method] - table[UNSTEERED]).dropna()
        for locale in (*changes.index.unique("locale"), MEAN):
            spread, n = _spread(changes if locale == MEAN else changes.xs(locale, level="locale", drop_level=False))
            if n > 1:
                yield {"method": method, "score": score.name, "locale": locale, "n": n, "spread": spread}


def _of_plane(placed: Plane, score: Score) -> Iterator[dict[str, Any]]:
    """Yields one row for each row of a plane, with the standard deviation. A 95% interval is 3.92 standard errors wide."""
    frame = placed.frame[(placed.frame["score"] == score.name) & (placed.frame["method"] != UNSTEERED)]
    for row in (frame[frame["draws"] == 1] if "draws" in frame else frame).itertuples():
        spread = (row.high - row.low) / (2 * NormalDist().inv_cdf(0.975)) * row.n**0.5
        yield {"method": row.method, "score": score.name, "locale": row.locale, "n": row.n, "spread": spread}


def _spread(changes: "pd.Series") -> tuple[float, int]:
    """Returns the standard deviation of the concepts' changes and the number of concepts."""
    means = changes.groupby(changes.index.get_level_values("concept").map(group_of)).mean()
    return float(means.std()), len(means)


def _needs(concepts: Any) -> str:
    import pandas as pd

    return "" if pd.isna(concepts) else f"; {concepts} concepts are needed to detect the given change"
