"""How every item is answered under every method: what the plane and the effects by item are computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from steerlens.data import ENGLISH, KINDS, Items
from steerlens.errors import SettingsError
from steerlens.evaluation.comparing import UNSTEERED
from steerlens.evaluation.consistency import consistency
from steerlens.evaluation.finite import finite
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.sweeps import kind_of
from steerlens.models.lens import LensModel
from steerlens.progress import advance, progress
from steerlens.steering import Controls, SteeringPlan
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure

EXPLICIT = "explicit prompt"
"""The country named in the prompt and nothing steered: what LOC steering wants to reach."""

Method = Mapping[str, SteeringPlan] | LensModel
"""What is placed on the plane: the plan of each locale, or another checkpoint of the model, unsteered."""
_Label = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Answers(ResultTable):
    """A row per method and item; of a control that is drawn, per draw.

    Columns: method, of (the method that a control belongs to), control (``random direction`` and so on), draw, locale, kind,
    concept, hit, english_centric, margin, consistency (RankC with the same model's unsteered English answer; factual items).
    """

    columns: ClassVar[tuple[str, ...]] = (
        "method", "of", "control", "draw", "locale", "kind", "concept", "hit", "english_centric", "margin", "consistency",
    )  # fmt: skip

    def heatmap(self, score: str = "transfer") -> "Figure":
        """Methods by locales, coloured by the share of items: ``transfer``, ``localization`` or ``english_centric``.

        Raises:
            UnknownNameError: no such score.
            SettingsError: no items of the kind that the score is measured on.
        """
        from steerlens.plotting import answers_heatmap

        part = self.frame[self.frame["kind"] == kind_of(score)]
        if part.empty:
            raise SettingsError(f"no {kind_of(score)} items were answered, which {score} is measured on. Answer both kinds.")
        column = "english_centric" if score == "english_centric" else "hit"
        means = part.astype({column: float}).groupby(["method", "locale"], sort=False)
        return answers_heatmap(means.agg(value=(column, "mean"), n=("concept", "nunique")).reset_index(), score)


def answered(
    model: LensModel,
    items: Items,
    methods: Mapping[str, Method],
    *,
    controls: Controls | bool = False,
    locales: Sequence[str] | None = None,
    scoring: Scoring | None = None,
    batch_size: int | None = None,
) -> Answers:
    """Scores every item unsteered, with its explicit prompt, and under each method.

    Args:
        items: usually the test part of a split. Consistency is taken where English is among them.
        methods: per name, the plan of each locale, or another checkpoint of the same model.
        controls: of every plan; ``True`` for 20 random directions and the next locale's plan.
        locales: what is scored; for ``None`` the plans' locales, and without plans all of the items' but English.

    Raises:
        SettingsError: no methods, plans for different locales, or a checkpoint that reads text in other tokens.
        FingerprintError: a plan of another model.
        ModelError: scores of an unsteered model that are NaN or infinite.
        VectorError: such scores under a plan.
    """
    import pandas as pd

    marker = _Marker(model, scoring or Scoring(), batch_size)
    plans = {name: method for name, method in methods.items() if not isinstance(method, LensModel)}
    others = {name: method for name, method in methods.items() if isinstance(method, LensModel)}
    codes = locales_of(items, methods, locales)
    for name, other in others.items():
        _check_tokens(model, other, name, items)
    variants = _variants(plans, codes, Controls() if controls is True else controls or None)
    parts = [part for code in codes for kind in KINDS if len(part := items.of(kind=kind, locale=code))]
    total = sum(len(part) * (1 + len(variants[part[0].locale]) + len(others)) for part in parts)
    rows: list[_Label] = []
    with progress(total, "Answers", "item") as bar:
        references = marker.english(items, codes)
        for part in parts:
            rows += marker.marked(part, _label(UNSTEERED), variants[part[0].locale], references, bar)
        for name, other in others.items():
            its = _Marker(other, marker.scoring, batch_size)
            references = its.english(items, codes)
            for part in parts:
                rows += its.marked(part, _label(name), [], references, bar)
    return Answers(pd.DataFrame(rows))


@dataclass(frozen=True)
class _Marker:
    """Has items answered and makes rows of what comes."""

    model: LensModel
    scoring: Scoring
    batch_size: int | None

    def scorer(self, part: Items | Sequence[Any], scoring: Scoring | None = None) -> Scorer:
        """The items made batches."""
        return Scorer(self.model, part, scoring or self.scoring, batch_size=self.batch_size)

    def english(self, items: Items, codes: Sequence[str]) -> dict[str, Outcome]:
        """The unsteered English answer to each factual concept that one of the locales asks."""
        asked = {item.concept for item in items if item.kind == "factual" and item.locale in codes}
        part = items.where(lambda item: item.locale == ENGLISH and item.kind == "factual" and item.concept in asked)
        return {outcome.item.concept: outcome for outcome in self._scored(part)} if len(part) else {}

    def _scored(self, part: Items | Sequence[Any], scoring: Scoring | None = None) -> Sequence[Outcome]:
        return finite(self.scorer(part, scoring).score(), self.model)

    def marked(
        self,
        part: Items,
        unsteered: _Label,
        variants: Sequence[tuple[_Label, SteeringPlan]],
        english: Mapping[str, Outcome],
        bar: Any,
    ) -> list[_Label]:
        """A row per item of one locale and kind, unsteered, with its explicit prompt, and under each variant."""
        bar.set_postfix_str(part[0].locale)
        scorer, done = self.scorer(part), {}
        for index, outcomes in scorer.sweep([plan for _, plan in variants]):
            advance(bar, len(scorer) / scorer.n_batches)
            if outcomes is not None:
                finite(scorer.base, self.model)  # first, or the plan would be blamed
                done[index] = finite(outcomes, self.model, variants[index][1])
        base = finite(scorer.base, self.model)  # the sweep has scored it on its way
        rows = [_row(unsteered, outcome, english) for outcome in base]
        advance(bar, len(scorer))
        if unsteered["method"] == UNSTEERED and (named := [item for item in part if item.explicit]):
            explicit = self._scored(named, replace(self.scoring, form="explicit"))
            rows += [_row(_label(EXPLICIT), outcome, english) for outcome in explicit]
        return rows + [_row(label, outcome, english) for index, (label, _) in enumerate(variants) for outcome in done[index]]


def _row(label: _Label, outcome: Outcome, english: Mapping[str, Outcome]) -> _Label:
    factual = outcome.item.kind == "factual"
    agreed = consistency(outcome, english.get(outcome.item.concept)) if factual else float("nan")
    return {**label, **outcome.row(), "consistency": agreed}


def _label(method: str, of: str = "", control: str = "", draw: int = 0) -> _Label:
    return {"method": method, "of": of, "control": control, "draw": draw}


def _variants(
    plans: Mapping[str, Mapping[str, SteeringPlan]], codes: Sequence[str], controls: Controls | None
) -> dict[str, list[tuple[_Label, SteeringPlan]]]:
    """By locale, every plan that its items are scored under."""
    found: dict[str, list[tuple[_Label, SteeringPlan]]] = {code: [] for code in codes}
    for method, own in plans.items():
        for code in codes:
            found[code].append((_label(method), own[code]))
        for control, drawn in (controls.of(own) if controls else {}).items():
            for code in codes:
                found[code] += [(_label(f"{method}: {control}", method, control, i), p) for i, p in enumerate(drawn[code])]
    return found


def locales_of(items: Items, methods: Mapping[str, Method], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """The locales that methods are scored in: those wanted, else the plans', else all of the items' but English.

    Raises:
        SettingsError: no methods, plans for different locales, or not for all that are wanted.
    """
    plans = {name: set(method) for name, method in methods.items() if not isinstance(method, LensModel)}
    first = next(iter(plans.values()), None)
    if not methods or any(own != first for own in plans.values()) or (wanted and first is not None and not set(wanted) <= first):
        named = {name: sorted(own) for name, own in plans.items()}
        raise SettingsError(
            f"methods must be given, all for the same locales{f', {wanted} among them' if wanted else ''}: {named}"
        )
    if wanted:
        return tuple(wanted)
    plan = next((method for method in methods.values() if not isinstance(method, LensModel)), None)
    return tuple(plan) if plan is not None else tuple(code for code in items.locales if code != ENGLISH)


def _check_tokens(model: LensModel, other: LensModel, name: str, items: Items) -> None:
    """Scores per token are comparable only where both models read the same tokens.

    Raises:
        SettingsError: a prompt that they read differently.
    """
    for item in items:
        text = item.prompt()
        if model.tokenizer.ids(text) != other.tokenizer.ids(text):
            raise SettingsError(
                f"method {name!r} is {other.name}, which reads {text.text!r} in other tokens than {model.name}: expected a "
                "checkpoint or adapter of the same model. Place another model on a plane of its own."
            )
