"""Effects of methods on single items. A mean gain can hide that many items moved in the wrong direction."""

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
    """The effects of each method on single items, for each score.

    Columns: method, locale (``mean``: all locales together), kind, score, n (items), gained, lost, margin, against, low, high.
    ``gained`` and ``lost`` are the numbers of items whose score became better and worse. For example, an item is gained if its
    answer became right. ``margin`` is the mean change of the score's companion, such as the margin in nats per token. If there
    is no companion, ``margin`` is the mean change of the score itself. ``against`` is the share of items whose margin changed
    in the wrong direction (the anti-steerable items of Tan et al., arXiv 2407.12404). ``low`` and ``high`` are the ends of the
    95% interval of ``against`` over concepts. The counts of a control are means over its draws.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("method", "locale", "kind", "score", "n", "gained", "lost", "margin", "against", "low", "high"),
    )

    def plot(self, locale: str | None = None) -> "Figure":
        """Draws the shares of items gained (right of zero) and lost (left), with one bar per method and one panel per score.

        Args:
            locale: one locale; ``None`` takes all locales together.

        Raises:
            UnknownNameError: there is no such locale.
        """
        from steerlens.plotting import effects_bars

        code = self.having("locale", locale or MEAN)
        return effects_bars(self.frame[self.frame["locale"] == code], code)


def effects(given: Answers, *, scores: Sequence[GivenScore] | None = None, seed: int = 0) -> Effects:
    """Returns the effects of every method on single items, compared with the unsteered model.

    Args:
        given: the result of ``answered``.
        scores: some of the measured scores; ``None`` takes all requested scores.
        seed: the seed of the bootstrap.

    Raises:
        UnknownNameError: a score was not measured.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    wanted = given.scores if scores is None else scores
    moved = {score.name: _moved(given.frame, score) for score in map(score_of, wanted)}
    methods = [method for method in dict.fromkeys(given.frame["method"]) if method != UNSTEERED]
    for method in sorted(methods, key=lambda name: name != EXPLICIT):  # the sort is stable, so the other methods keep their order
        for locale in (*dict.fromkeys(given.frame["locale"]), MEAN):
            for score, frame in moved.items():
                own = frame[(frame["method"] == method) & ((frame["locale"] == locale) | (locale == MEAN))]
                labels = {"method": method, "locale": locale, "score": score}
                rows += [{**labels, **_row(part, str(kind), seed)} for kind, part in own.groupby("kind", sort=False)]
    return Effects(pd.DataFrame(rows, columns=list(Effects.columns)), {**given.meta, "seed": seed})


def _moved(frame: "pd.DataFrame", score: Score) -> "pd.DataFrame":
    """Returns one row for each method and item: whether the item was gained or lost, the change of its margin, and whether
    the margin moved in the wrong direction."""
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
