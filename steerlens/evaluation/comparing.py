"""Compares methods with the unsteered model and with each other. Changes are paired item by item and have intervals over
concepts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.data.splits import group_of
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.statistics import bootstrap_interval, draws_interval, monte_carlo_p, paired_difference
from steerlens.steering import UNSTEERED
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

MEAN = "mean"
"""The name of the row for all locales together. In the row ``mean``, a concept counts once, with the mean over its locales."""
COLUMNS = ("method", "locale", "score", "n", "value", "change", "low", "high", "of", "control", "draws", "p")


@dataclass(frozen=True, eq=False)
class Comparison(ResultTable):
    """The difference between two methods on the same items.

    Columns: method and against (the two methods), score, locale (``mean``: over locales), n (concepts), first and second (the
    mean of each method), change (first minus second), low and high (the change's paired 95% interval over concepts), p. ``p``
    is the two-sided p-value for the hypothesis of no difference, from sign flips of the concepts' changes. Correct ``p`` for
    multiple comparisons if you claim several differences.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("method", "against", "score", "locale", "n", "first", "second", "change", "low", "high", "p"),
    )


def compare(answers: "pd.DataFrame", first: str, second: str, scores: Sequence[str], locale: str | None, seed: int) -> Comparison:
    """Returns the difference between two methods (first minus second) in each of the given scores, as described in
    ``Answers.compare``.

    Raises:
        UnknownNameError: there is no such method, score or locale.
        SettingsError: the two methods were not scored on any common item.
    """
    import pandas as pd

    _check_names(answers, first, second, scores, locale)
    part = answers[answers["method"].isin((first, second))]
    part = part if locale in (None, MEAN) else part[part["locale"] == locale]
    rows = [row for name in scores for row in _difference(part, first, second, name, seed)]
    if not rows:
        raise SettingsError(
            f"no item was scored for both {first!r} and {second!r} by "
            f"{' or '.join(scores)}{'' if locale is None else f' in {locale}'}. Choose another score, or call answered with "
            "factual and cultural items."
        )
    return Comparison(pd.DataFrame(rows).assign(locale=locale or MEAN)[list(Comparison.columns)])


def _check_names(answers: "pd.DataFrame", first: str, second: str, scores: Sequence[str], locale: str | None) -> None:
    methods, locales = (tuple(dict.fromkeys(answers[column])) for column in ("method", "locale"))
    for what, given, known in (
        ("method", first, methods),
        ("method", second, methods),
        *(("score", score, tuple(dict.fromkeys(answers["score"]))) for score in scores),
        ("locale", locale, (*locales, MEAN)),
    ):
        if given is not None and given not in known:
            raise UnknownNameError(what, given, known)


def _difference(part: "pd.DataFrame", first: str, second: str, score: str, seed: int) -> Iterator[dict[str, Any]]:
    """Yields the row of one score, if at least one item has this score for both methods. Concepts are ordered by name."""
    own = part[part["score"] == score]
    table = own.pivot_table(index=["concept", "locale"], columns="method", values="value")
    table = table.reindex(columns=list(dict.fromkeys((first, second)))).dropna()
    if len(table):
        concepts = [group_of(concept) for concept in table.index.get_level_values("concept")]
        found = paired_difference(table[first].to_numpy(), table[second].to_numpy(), concepts, seed=seed)
        change = {"change": found.change.mean, "low": found.change.low, "high": found.change.high, "p": found.p}
        means = {"n": found.change.n, "first": found.first, "second": found.second}
        yield {"method": first, "against": second, "score": score, **means, **change}


def compared(answers: "pd.DataFrame", score: str, column: str, seed: int) -> list[dict[str, Any]]:
    """Returns the results of every method in every locale and over all locales, as rows with the columns ``COLUMNS``.

    Args:
        answers: one row per method, draw, locale and concept, with the columns ``of`` and ``control``. The methods include
            ``unsteered``.
        score: the name of the score in the rows.
        column: the column that is averaged. An item is left out if its row for a method or for the unsteered model has no
            value.
        seed: the seed of the bootstrap.
    """
    there = answers[answers[column].notna()]
    rows = []
    for locale in (*dict.fromkeys(there["locale"]), MEAN):
        part = there if locale == MEAN else there[there["locale"] == locale]
        if not part.empty:
            rows += [{"locale": locale, "score": score, **row} for row in _rows(part, column, seed)]
    return rows


def _rows(part: "pd.DataFrame", column: str, seed: int) -> Iterator[dict[str, Any]]:
    """Yields one row per method, computed from the answers in one locale or in all locales."""
    # [(concept, locale), (method, draw)]: changes are paired item by item, and then averaged over a concept's locales
    table = part.astype({column: float}).pivot_table(
        index=["concept", "locale"], columns=["method", "draw"], values=column, sort=False
    )
    if (UNSTEERED, 0) not in table:  # the score cannot be measured on the unsteered model, so no change can be computed
        return
    belongs = part.drop_duplicates("method").set_index("method")[["of", "control"]]
    found: dict[str, float] = {}
    for method, (of, control) in zip(belongs.index, belongs.to_numpy(), strict=True):
        both = table[[(UNSTEERED, 0), *(name for name in table.columns if name[0] == method)]].dropna()
        if both.empty:  # this method was measured on other items than the unsteered model
            continue
        concepts = both.index.get_level_values("concept").map(group_of)
        values = both.groupby(concepts, sort=False).mean().to_numpy()  # [concept, 1 + draw]
        changes = values[:, 1:] - values[:, :1]
        draws = changes.shape[1]
        interval = draws_interval(changes) if draws > 1 else bootstrap_interval(changes[:, 0], seed=seed)
        found[method] = interval.mean
        yield {
            "method": method,
            "n": interval.n,
            "value": float(values[:, 1:].mean()),
            "change": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "of": of,
            "control": control,
            "draws": draws,
            "p": monte_carlo_p(found[of], changes.mean(axis=0)) if draws > 1 and of in found else float("nan"),
        }
