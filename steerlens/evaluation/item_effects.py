"""Effects item by item: a mean gain can hide that many items moved the wrong way."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.evaluation.answering import EXPLICIT, Answers
from steerlens.evaluation.comparing import MEAN, UNSTEERED
from steerlens.statistics import bootstrap_interval
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_KEYS = ["locale", "kind", "concept"]


@dataclass(frozen=True, eq=False)
class Effects(ResultTable):
    """What each method does to single items.

    Columns: method, locale (``mean``: all of them), kind, n (items), gained and lost (items whose answer became right, or the
    locale's own, and ceased to be), margin (mean change, in nats per token), against (share of items whose margin moved the
    wrong way: the anti-steerable ones of Tan et al., arXiv 2407.12404), low and high of its 95% interval over concepts. A
    control's counts are means over its draws.
    """

    columns: ClassVar[tuple[str, ...]] = ("method", "locale", "kind", "n", "gained", "lost", "margin", "against", "low", "high")

    def plot(self, locale: str = MEAN) -> "Figure":
        """Shares of items gained (right of zero) and lost (left), a bar per method, factual and cultural items side by side."""
        from steerlens.plotting import effects_bars

        return effects_bars(self.frame[self.frame["locale"] == locale], locale)


def effects(given: Answers, *, seed: int = 0) -> Effects:
    """Item by item, every method against the unsteered model.

    Args:
        given: what ``answered`` returned.
        seed: of the bootstrap.
    """
    import pandas as pd

    frame = given.frame
    base = frame[frame["method"] == UNSTEERED][[*_KEYS, "hit", "margin"]]
    paired = frame[frame["method"] != UNSTEERED].merge(base, on=_KEYS, suffixes=("", "_before"), sort=False)
    moved = paired.assign(
        gained=paired["hit"] & ~paired["hit_before"],
        lost=~paired["hit"] & paired["hit_before"],
        change=paired["margin"] - paired["margin_before"],
        wrong=(paired["margin"] < paired["margin_before"]).astype(float),
    )
    rows = []
    for method in sorted(dict.fromkeys(moved["method"]), key=lambda name: name != EXPLICIT):  # stable: the rest in their order
        for locale in (*dict.fromkeys(frame["locale"]), MEAN):
            own = moved[(moved["method"] == method) & ((moved["locale"] == locale) | (locale == MEAN))]
            rows += [_row(part, method, locale, kind, seed) for kind, part in own.groupby("kind", sort=False)]
    return Effects(pd.DataFrame(rows, columns=Effects.columns))


def _row(part: "pd.DataFrame", method: str, locale: str, kind: str, seed: int) -> dict[str, Any]:
    draws = part["draw"].nunique()
    against = bootstrap_interval(part.groupby("concept", sort=False)["wrong"].mean().to_numpy(), seed=seed)
    return {
        "method": method,
        "locale": locale,
        "kind": kind,
        "n": len(part) // draws,
        "gained": float(part["gained"].sum()) / draws,
        "lost": float(part["lost"].sum()) / draws,
        "margin": float(part["change"].mean()),
        "against": against.mean,
        "low": against.low,
        "high": against.high,
    }
