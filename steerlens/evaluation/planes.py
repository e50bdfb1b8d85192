"""The transfer-localization plane: what each method does to both scores, with paired intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from steerlens.data import Items
from steerlens.evaluation.answering import EXPLICIT, Answers, Method, answered
from steerlens.evaluation.comparing import COLUMNS, MEAN, UNSTEERED, compared
from steerlens.evaluation.fluency import SideEffects
from steerlens.evaluation.fluency import side_effects as effects_on_text
from steerlens.models.lens import LensModel
from steerlens.settings import Scoring
from steerlens.steering import Controls
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure

_SCORES = (
    ("transfer", "factual", "hit"),
    ("localization", "cultural", "hit"),
    ("english_centric", "cultural", "english_centric"),
    ("consistency", "factual", "consistency"),
)


@dataclass(frozen=True, eq=False)
class Plane(ResultTable):
    """Every method in every locale, and their mean.

    Columns: method, locale (``mean``: over locales), score (transfer, localization, english_centric, consistency, and the
    side effects' if they were taken), n (concepts), value, change against unsteered, low and high of its paired 95% interval
    over concepts; of (the method that a control belongs to), control, draws, p.

    A control with several draws is one row: the mean over its draws, and in low and high the 2.5th and 97.5th percentiles of
    the draws' changes. Its p is the share of draws, the method counted among them, that change the score at least as much as
    the method does, in either direction (Phipson and Smyth 2010): 1 / (draws + 1) or more.
    """

    columns: ClassVar[tuple[str, ...]] = ("method", "locale", "score", "n", "value", "change", "low", "high")

    def plot(self, *, by_locale: bool = True) -> "Figure":
        """Change of transfer against change of localization: the methods' means with their intervals, arrows, controls and Pareto
        front, and beneath them a panel per method with its locales, unless ``by_locale`` is off.
        """
        from steerlens.plotting import plane_figure

        return plane_figure(self.frame, self.front(), by_locale=by_locale)

    def front(self, locale: str = MEAN) -> tuple[str, ...]:
        """The methods that none other beats on both axes (Pareto front), by ascending transfer; ``unsteered`` is a candidate.

        The explicit prompt and controls are not: the one is told what the others are to find, and the others are to fail.

        Raises:
            UnknownNameError: no such locale.
        """
        part = self._of(locale)
        own = part[part["method"] != EXPLICIT]
        table = own[own["control"] == ""] if "control" in own else own
        points = table.pivot(index="method", columns="score", values="change").reindex(columns=["transfer", "localization"])
        points = points.dropna().sort_values(["transfer", "localization"], ascending=False)
        best = points["localization"].cummax().shift(fill_value=-np.inf)  # of the methods that transfer more
        return tuple(points.index[points["localization"] > best][::-1])

    def summary(self, locale: str = MEAN) -> "pd.DataFrame":
        """One row per method for a locale or the mean: value, change and interval of each score as text.

        Raises:
            UnknownNameError: no such locale.
        """
        import pandas as pd

        rows = [
            {"method": method, **{row.score.replace("_", "-"): _described(row) for row in group.itertuples()}}
            for method, group in self._of(locale).groupby("method", sort=False)
        ]
        return pd.DataFrame(rows).fillna("")

    def beside(self, effects: SideEffects) -> "Plane":
        """This plane with its methods' side effects as further scores."""
        import pandas as pd

        own = effects.frame[effects.frame["method"].isin(self.frame["method"])]
        return Plane(pd.concat([self.frame, own], ignore_index=True))

    def _of(self, locale: str) -> "pd.DataFrame":
        return self.frame[self.frame["locale"] == self.having("locale", locale)]


def plane(
    model: LensModel,
    items: Items,
    methods: Mapping[str, Method],
    *,
    controls: Controls | bool = False,
    side_effects: bool = False,
    locales: Sequence[str] | None = None,
    scoring: Scoring | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> Plane:
    """Scores methods on items, usually the test part of a split, against the unsteered model.

    Args:
        methods: per name, the plan of each locale, or another checkpoint of the same model (``load(..., adapter=...)`` too).
        controls: of every plan, in the same table; ``True`` for 20 random directions and the next locale's plan.
        side_effects: whether the methods' side effects on text are taken too, with the defaults of that function.
        locales: what is scored; for ``None`` the plans' locales, and without plans all of the items' but English.
        seed: of the bootstrap.

    Returns:
        ``unsteered``, ``explicit prompt`` (localization only), each method, and behind it its controls.

    Raises:
        SettingsError: no methods, plans for different locales, or a checkpoint that reads text in other tokens.
        FingerprintError: a plan of another model.
        ModelError: scores of an unsteered model that are NaN or infinite.
        VectorError: such scores under a plan.
    """
    given = answered(model, items, methods, controls=controls, locales=locales, scoring=scoring, batch_size=batch_size)
    table = placed(given, seed=seed)
    if not side_effects:
        return table
    return table.beside(effects_on_text(model, items, methods, locales=locales, seed=seed, batch_size=batch_size))


def placed(given: Answers, *, seed: int = 0) -> Plane:
    """The plane of answers that are there already.

    Args:
        seed: of the bootstrap.
    """
    import pandas as pd

    frame = given.frame
    rows: list[dict[str, Any]] = []
    for score, kind, column in _SCORES:
        rows += compared(frame[frame["kind"] == kind], score, column, seed)
    order: dict[str, float] = {method: at for at, method in enumerate(dict.fromkeys(frame["method"]))}
    order[EXPLICIT] = order[UNSTEERED] + 0.5  # before the methods
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values("method", key=lambda names: names.map(order), kind="stable")
    return Plane(table.reset_index(drop=True))


def _described(row: Any) -> str:
    if row.method == UNSTEERED:
        return f"{row.value:.2f} (n={row.n})"
    p = getattr(row, "p", float("nan"))
    beyond = f"; p={p:.2f}, {row.draws} draws" if p == p else ""
    return f"{row.value:.2f} ({row.change:+.2f} [{row.low:+.2f}, {row.high:+.2f}]{beyond})"
