"""Effects item by item: a mean gain can hide that many items moved the wrong way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.evaluation.answering import Answers
from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.item_scores import by_concept, rows_of_score
from steerlens.evaluation.methods import EXPLICIT
from steerlens.evaluation.scores import finer_of
from steerlens.scores import GivenScore, Score, score_of
from steerlens.statistics import bootstrap_interval
from steerlens.steering import UNSTEERED
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_KEYS = ["locale", "kind", "concept"]


@dataclass(frozen=True, eq=False)
class Effects(ResultTable):
    """What each method does to single items, for each score.

    Columns: method, locale (``mean``: all of them), kind, score, n (items), gained and lost (items whose score became better, as
    those whose answer became right, and worse), margin (the mean change of the score's companion, as the margin in nats per
    token; of a score without one, its own), against (the share of items whose margin moved the wrong way: the anti-steerable ones
    of Tan et al., arXiv 2407.12404), low and high of its 95% interval over concepts. A control's counts are means over its draws.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("method", "locale", "kind", "score", "n", "gained", "lost", "margin", "against", "low", "high"),
    )

    def plot(self, locale: str | None = None) -> "Figure":
        """Draws shares of items gained (right of zero) and lost (left), a bar per method, a panel per score.

        Args:
            locale: one locale; all of them for ``None``.

        Raises:
            UnknownNameError: no such locale.
        """
        from steerlens.plotting import effects_bars

        code = self.having("locale", locale or MEAN)
        return effects_bars(self.frame[self.frame["locale"] == code], code)


def effects(given: Answers, *, scores: Sequence[GivenScore] | None = None, seed: int = 0) -> Effects:
    """Returns what every method does to single items, against the unsteered model.

    Args:
        given: what ``answered`` returned.
        scores: some of those that were measured; all that were asked for with ``None``.
        seed: the seed of the bootstrap.

    Raises:
        UnknownNameError: a score that was not measured.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    wanted = given.scores if scores is None else scores
    moved = {score.name: _moved(given.frame, score) for score in map(score_of, wanted)}
    methods = [method for method in dict.fromkeys(given.frame["method"]) if method != UNSTEERED]
    for method in sorted(methods, key=lambda name: name != EXPLICIT):  # stable: the rest in their order
        for locale in (*dict.fromkeys(given.frame["locale"]), MEAN):
            for score, frame in moved.items():
                own = frame[(frame["method"] == method) & ((frame["locale"] == locale) | (locale == MEAN))]
                labels = {"method": method, "locale": locale, "score": score}
                rows += [{**labels, **_row(part, str(kind), seed)} for kind, part in own.groupby("kind", sort=False)]
    return Effects(pd.DataFrame(rows, columns=list(Effects.columns)), {**given.meta, "seed": seed})


def _moved(frame: "pd.DataFrame", score: Score) -> "pd.DataFrame":
    """Returns a row for each method and item: whether it was gained or lost, the change of its margin, whether that is wrong."""
    keys = ["method", "draw", *_KEYS]
    margin = finer_of(score, frame["score"])
    own, finer = (rows_of_score(frame, one)[[*keys, "value"]].dropna() for one in (score, margin))
    both = own.merge(finer.rename(columns={"value": "margin"}), on=keys, sort=False)
    base = both[both["method"] == UNSTEERED][[*_KEYS, "value", "margin"]]
    paired = both[both["method"] != UNSTEERED].merge(base, on=_KEYS, suffixes=("", "_before"), sort=False)
    up, down = paired["value"] > paired["value_before"], paired["value"] < paired["value_before"]
    change = paired["margin"] - paired["margin_before"]
    wrong = change < 0 if margin.higher_is_better else change > 0
    better, worse = (up, down) if score.higher_is_better else (down, up)
    return paired.assign(gained=better, lost=worse, change=change, wrong=wrong.astype(float))


def _row(part: "pd.DataFrame", kind: str, seed: int) -> dict[str, Any]:
    draws = part["draw"].nunique()
    against = bootstrap_interval(part.groupby(by_concept(part), sort=False)["wrong"].mean().to_numpy(), seed=seed)
    return {
        "kind": kind,
        "n": len(part) // draws,
        "gained": float(part["gained"].sum()) / draws,
        "lost": float(part["lost"].sum()) / draws,
        "margin": float(part["change"].mean()),
        "against": against.mean,
        "low": against.low,
        "high": against.high,
    }
