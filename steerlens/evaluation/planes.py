"""The transfer-localization plane: what each method does to both scores, with paired intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.data import KINDS, Items
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.exam import Exam
from steerlens.evaluation.intervals import paired_interval
from steerlens.evaluation.questions import Scoring
from steerlens.models.lens import LensModel
from steerlens.progress import progress
from steerlens.steering import SteeringPlan, no_steering
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

UNSTEERED = "unsteered"
EXPLICIT = "explicit prompt"
"""The country named in the prompt and nothing steered: what LOC steering wants to reach."""
MEAN = "mean"
"""The row over all locales: a concept counts once, with the mean of its locales."""

_SCORES = (
    ("transfer", "factual", "hit"),
    ("localization", "cultural", "hit"),
    ("english_centric", "cultural", "english_centric"),
)


@dataclass(frozen=True, eq=False)
class Plane(ResultTable):
    """Every method in every locale, and their mean.

    Columns: method, locale (``mean``: over locales), score (transfer, localization, english_centric), n (concepts),
    value, change against unsteered, low and high of its paired 95% interval over concepts.
    """

    columns: ClassVar[tuple[str, ...]] = ("method", "locale", "score", "n", "value", "change", "low", "high")

    def plot(self) -> "Figure":
        """Change of transfer against change of localization, a point per method and locale with its intervals."""
        from steerlens.plotting import plane_figure

        return plane_figure(self.frame)

    def summary(self, locale: str = MEAN) -> "pd.DataFrame":
        """One row per method for a locale or the mean: value, change and interval of each score as text.

        Raises:
            UnknownNameError: no such locale.
        """
        import pandas as pd

        known = tuple(dict.fromkeys(self.frame["locale"]))
        if locale not in known:
            raise UnknownNameError("locale", locale, known)
        part = self.frame[self.frame["locale"] == locale]
        rows = {
            method: {row.score.replace("_", "-"): _described(row) for row in group.itertuples()}
            for method, group in part.groupby("method", sort=False)
        }
        return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("method").reset_index()


def plane(
    model: LensModel,
    items: Items,
    methods: Mapping[str, Mapping[str, SteeringPlan]],
    *,
    scoring: Scoring | None = None,
    seed: int = 0,
    batch_size: int | None = None,
) -> Plane:
    """Scores methods on items, usually the test part of a split, against the unsteered model.

    Args:
        methods: per method, the plan of each locale. The locales of the first method are the ones scored.
        seed: of the bootstrap.

    Returns:
        ``unsteered``, ``explicit prompt`` (localization only) and each method.

    Raises:
        SettingsError: no methods, or methods for different locales.
        FingerprintError: a plan of another model.
    """
    locales = [set(plans) for plans in methods.values()]
    if not locales or any(own != locales[0] for own in locales):
        raise SettingsError("methods must be given, all for the same locales: " + str({m: sorted(p) for m, p in methods.items()}))
    answers = _answers(model, items, methods, scoring or Scoring(), batch_size)
    return Plane(_compared(answers, seed))


def _answers(
    model: LensModel, items: Items, methods: Mapping[str, Mapping[str, SteeringPlan]], scoring: Scoring, batch_size: int | None
) -> "pd.DataFrame":
    """A row per method and item."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    parts = [(locale, kind, items.of(kind=kind, locale=locale)) for locale in next(iter(methods.values())) for kind in KINDS]
    with progress(sum(len(part) for *_, part in parts) * (1 + len(methods)), "Test", "item") as bar:
        for locale, kind, part in parts:
            if not len(part):
                continue
            bar.set_postfix_str(locale)
            exam = Exam(model, part, scoring, batch_size=batch_size)
            named = [item for item in part if item.explicit]
            explicit = replace(scoring, form="explicit")
            done = {EXPLICIT: Exam(model, named, explicit, batch_size=batch_size).score()} if kind == "cultural" and named else {}
            # Unsteered is one of the plans: its pass is the one that the others resume.
            plans = {UNSTEERED: no_steering(model.fingerprint), **{method: own[locale] for method, own in methods.items()}}
            for index, outcomes in exam.sweep(list(plans.values())):
                bar.update(len(exam) / exam.n_batches)
                if outcomes is not None:
                    done[list(plans)[index]] = outcomes
            rows.extend({"method": method, **outcome.row()} for method, outcomes in done.items() for outcome in outcomes)
    return pd.DataFrame(rows)


def _compared(answers: "pd.DataFrame", seed: int) -> "pd.DataFrame":
    import pandas as pd

    locales = list(dict.fromkeys(answers["locale"]))
    rows = []
    for score, kind, column in _SCORES:
        part = answers[answers["kind"] == kind]
        for locale in (*locales, MEAN):
            own = part if locale == MEAN else part[part["locale"] == locale]
            # [(concept, locale), method]: paired item by item, then a concept's mean over the locales that ask it
            table = own.pivot_table(index=["concept", "locale"], columns="method", values=column, sort=False).astype(float)
            for method in table.columns:
                both = table[[UNSTEERED, method]].dropna().groupby("concept", sort=False).mean()
                interval = paired_interval((both.iloc[:, -1] - both.iloc[:, 0]).to_numpy(), seed=seed)
                rows.append(
                    {
                        "method": method,
                        "locale": locale,
                        "score": score,
                        "n": interval.n,
                        "value": float(both.iloc[:, -1].mean()),
                        "change": interval.mean,
                        "low": interval.low,
                        "high": interval.high,
                    }
                )
    order: dict[str, float] = {method: at for at, method in enumerate(dict.fromkeys(answers["method"]))}
    order[EXPLICIT] = order[UNSTEERED] + 0.5  # before the methods
    return pd.DataFrame(rows).sort_values("method", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def _described(row: Any) -> str:
    if row.method == UNSTEERED:
        return f"{row.value:.2f} (n={row.n})"
    return f"{row.value:.2f} ({row.change:+.2f} [{row.low:+.2f}, {row.high:+.2f}])"
