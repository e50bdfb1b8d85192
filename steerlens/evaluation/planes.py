"""The transfer-localization plane: how each method changes transfer and localization, with paired intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation.answering import Answers, answered
from steerlens.evaluation.comparing import COLUMNS, MEAN, compared
from steerlens.evaluation.fluency import SideEffects
from steerlens.evaluation.fluency import side_effects as effects_on_text
from steerlens.evaluation.given_methods import GivenMethod
from steerlens.evaluation.item_scores import rows_of_score
from steerlens.evaluation.methods import EXPLICIT
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scored import ScoredTable
from steerlens.evaluation.scores import ANSWERED, AXES, SIDE_EFFECTS
from steerlens.models.lens import LensModel
from steerlens.scores import GivenScore, score_of
from steerlens.settings import Scoring
from steerlens.statistics import pareto_front
from steerlens.steering import UNSTEERED, Controls

if TYPE_CHECKING:
    import pandas as pd

    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class Plane(ScoredTable):
    """The results of every method in every locale, and their mean over locales.

    Columns: method, locale (``mean``: over locales), score, n (concepts), value, change (against the unsteered model), low
    and high (the change's paired 95% interval over concepts), of (the method that a control belongs to), control, draws, p.
    The default scores are transfer, localization, english_centric and consistency. Side effects are additional scores if they
    were measured.

    A control with several draws has one row, with the mean over its draws. In the row of a control, low and high are the
    2.5th and 97.5th percentiles of the draws' changes. The p of a control is the share of draws that change the score at least
    as much as the method, in either direction. The method counts as one of the draws (Phipson and Smyth 2010), so p is at
    least 1 / (draws + 1).
    """

    columns: ClassVar[tuple[str, ...]] = ("method", "locale", "score", "n", "value", "change", "low", "high")

    def plot(self, *, axes: tuple[GivenScore, GivenScore] = AXES, by_locale: bool = True) -> "Figure":
        """Draws the change of one score against the change of another score, with the Pareto front and, optionally, panels of
        the locales.

        Args:
            axes: the scores along x and y; transfer and localization by default.
            by_locale: whether to add one panel per method below the means. The panel of a method shows its results in each
                locale.

        Raises:
            SettingsError: the plane lacks one of the scores of the axes.
        """
        from steerlens.plotting import plane_figure

        names = self._axes(axes)
        return plane_figure(self.frame, self.front(axes=names), axes=names, by_locale=by_locale)

    def front(self, locale: str | None = None, *, axes: tuple[GivenScore, GivenScore] = AXES) -> tuple[str, ...]:
        """Returns the methods on the Pareto front (no other method is better on both axes), by ascending gain of the first
        score.

        The explicit prompt and the controls are left out. The explicit prompt is the goal of the methods, and the controls
        should have no effect.

        Args:
            locale: one locale; ``None`` takes the mean over all locales.
            axes: the two scores that are compared; transfer and localization by default.

        Raises:
            UnknownNameError: there is no such locale.
            SettingsError: the plane lacks one of the scores of the axes.
        """
        names, part = self._axes(axes), self._of(locale)
        own = part[part["method"] != EXPLICIT]
        table = own[own["control"] == ""] if "control" in own else own
        points = table[table["score"].isin(names)].pivot(index="method", columns="score", values="change")
        gains = points.reindex(columns=list(names)).dropna() * [1 if score_of(name).higher_is_better else -1 for name in names]
        best = gains[pareto_front(gains.to_numpy(dtype=float))]
        return tuple(best.sort_values(list(names), kind="stable").index)

    def _axes(self, axes: tuple[GivenScore, GivenScore]) -> tuple[str, str]:
        """Returns the names of two different scores that the plane has."""
        there, names = tuple(dict.fromkeys(self.frame["score"])), tuple(score_of(axis).name for axis in axes)
        if len(set(names)) != 2 or not set(names) <= set(there):
            raise SettingsError(
                f"axes {names} given for a plane with the scores {', '.join(there)}: expected two of these scores, such as "
                "axes=('transfer', 'localization'). Measure other scores with scores=[…], or call summary() to see all changes."
            )
        return names[0], names[1]

    def summary(self, locale: str | None = None, scores: Sequence[GivenScore] | None = None) -> "pd.DataFrame":
        """Returns one row per method, with the value, change and interval of each score as text.

        Args:
            locale: one locale; ``None`` takes the mean over all locales.
            scores: some of the measured scores; ``None`` takes all of them.

        Raises:
            UnknownNameError: there is no such locale or score.
        """
        import pandas as pd

        shown = self._of(locale)
        if scores is not None:
            shown = shown[shown["score"].isin([self.having("score", score_of(one).name) for one in scores])]
        rows = [
            {"method": method, **{row.score.replace("_", "-"): _described(row) for row in group.itertuples()}}
            for method, group in shown.groupby("method", sort=False)
        ]
        return pd.DataFrame(rows).fillna("")

    def summaries(self, locale: str | None = None) -> tuple["pd.DataFrame", "pd.DataFrame"]:
        """Returns two tables with one row per method, as ``summary`` does: the scores of answers, and the side effects. The
        second table is empty if no side effects were measured.

        Args:
            locale: one locale; ``None`` takes the mean over all locales.

        Raises:
            UnknownNameError: there is no such locale.
        """
        scores = list(dict.fromkeys(self.frame["score"]))
        aside = [name for name in scores if name in SIDE_EFFECTS]
        return self.summary(locale, [name for name in scores if name not in aside]), self.summary(locale, aside)

    def beside(self, effects: SideEffects) -> "Plane":
        """Returns this plane with its methods' side effects as additional scores.

        Args:
            effects: side effects of the same methods on the same model.

        Raises:
            SettingsError: the side effects belong to another model or to other methods with the same names, or the plane
                already has their scores.
        """
        import pandas as pd

        theirs: dict[str, Any] = effects.meta.get("methods", {})
        common = {name: own for name, own in self.meta.get("methods", {}).items() if name in theirs}
        Plane(self.frame, {**self.meta, "methods": common}).check(
            model=effects.meta.get("model"), methods={name: theirs[name] for name in common}
        )
        both = sorted(set(effects.frame["score"]) & set(self.frame["score"]))
        if both:
            raise SettingsError(
                f"the scores {both} are in both the plane and the side effects: expected each score in only one of them. "
                "Choose other scores for the side effects."
            )
        own = effects.frame[effects.frame["method"].isin(self.frame["method"])]
        return Plane(pd.concat([self.frame, own], ignore_index=True), self.meta)

    def _of(self, locale: str | None) -> "pd.DataFrame":
        """Returns the rows of one locale. For ``None``, the rows of the mean over locales are returned."""
        return self.frame[self.frame["locale"] == self.having("locale", locale or MEAN)]


def plane(
    model: LensModel,
    items: Items,
    methods: Mapping[str, GivenMethod],
    *,
    scores: Sequence[GivenScore] = ANSWERED,
    controls: Controls | bool = False,
    side_effects: bool | int = False,
    locales: Sequence[str] | None = None,
    scoring: Scoring | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> Plane:
    """Scores methods on items and compares them with the unsteered model.

    Args:
        model: the base model on which methods are compared.
        items: the items that are scored, usually the test part of a split.
        methods: the methods by name. A method can be a plan, a mapping from locales to plans, a choice from ``Sweep.choose``
            or ``search``, a ``Checkpoint``, another loaded model, hooks, or any ``Method``.
        scores: names of scores, or your own scores.
        controls: the controls of every plan, which are added to the table; ``True`` takes 20 random directions and the plan of
            the next locale as controls.
        side_effects: whether to measure the methods' side effects on text too, with the default settings of the function
            ``side_effects``. A number is the number of concepts of each kind on which side effects are measured. A side
            effect that is one of the ``scores`` is measured only once, on all items.
        locales: the locales to score. ``None`` takes the plans' locales or, if there are no plans, all locales of the items
            except English.
        scoring: how choices are presented and scored; ``None`` takes the defaults.
        seed: the seed of the bootstrap.
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``).

    Returns:
        The plane with the rows of ``unsteered``, of ``explicit prompt`` (localization only), and of each method followed by
        its controls.

    Raises:
        SettingsError: there are no methods; a method has the reserved name ``unsteered`` or ``explicit prompt``; plans are
            for different locales; a checkpoint tokenizes text differently; or a score cannot be measured on any of the items.
        FingerprintError: a plan belongs to another model.
        ModelError: scores of an unsteered model are NaN or infinite.
        VectorError: scores under a plan are NaN or infinite.
    """
    common: dict[str, Any] = {"locales": locales, "batch_size": batch_size, "executor": executor, "resume": resume}
    given = answered(model, items, methods, scores=scores, controls=controls, scoring=scoring, **common)
    table = placed(given, seed=seed)
    others = [name for name in SIDE_EFFECTS if name not in set(table.frame["score"])]
    if not side_effects or not others:
        return table
    if side_effects is not True:
        common["concepts"] = side_effects
    return table.beside(effects_on_text(model, items, methods, scores=others, scoring=scoring, seed=seed, **common))


def placed(given: Answers, *, scores: Sequence[GivenScore] | None = None, seed: int = 0) -> Plane:
    """Computes the plane from existing answers.

    Args:
        given: the result of ``answered``.
        scores: some of the measured scores; ``None`` takes all except companions.
        seed: the seed of the bootstrap.

    Raises:
        UnknownNameError: a score was not measured.
    """
    import pandas as pd

    frame = given.frame
    rows: list[dict[str, Any]] = []
    for score in given.scores if scores is None else [score_of(one).name for one in scores]:
        rows += compared(rows_of_score(frame, score), score, "value", seed)
    order: dict[str, float] = {method: at for at, method in enumerate(dict.fromkeys(frame["method"]))}
    order[EXPLICIT] = order[UNSTEERED] + 0.5  # the explicit prompt comes before the methods
    table = pd.DataFrame(rows, columns=COLUMNS).sort_values("method", key=lambda names: names.map(order), kind="stable")
    return Plane(table.reset_index(drop=True), {**given.meta, "seed": seed})


def _described(row: Any) -> str:
    if row.method == UNSTEERED:
        return f"{row.value:.2f} (n={row.n})"
    if row.change == row.low == row.high == 0:
        return f"{row.value:.2f} (no change)"
    p = getattr(row, "p", float("nan"))
    beyond = f"; p={p:.2f}, {row.draws} draws" if p == p else ""
    return f"{row.value:.2f} ({row.change:+.2f} [{row.low:+.2f}, {row.high:+.2f}]{beyond})"
