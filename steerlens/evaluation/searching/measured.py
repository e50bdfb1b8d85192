"""The cache of results of plan specs on items. Each spec is run once in a locale, and its results are stored."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from steerlens.data import Item, Items
from steerlens.errors import SettingsError
from steerlens.evaluation.english import english_outcomes
from steerlens.evaluation.evidence import MAX_NEW_TOKENS, are_written, check_of_items, written_by
from steerlens.evaluation.finite import finite
from steerlens.evaluation.item_scores import English, value_of
from steerlens.evaluation.outcomes import Outcome, Writing
from steerlens.evaluation.running import Running
from steerlens.evaluation.scores import ANSWER, ENGLISH_CENTRIC, MARGIN, scores_of
from steerlens.evaluation.searching.objectives import Gains
from steerlens.evaluation.tasks import ScoringTask
from steerlens.evaluation.text_tasks import WritingTask
from steerlens.models.lens import LensModel
from steerlens.progress import SHOW_FROM, progress
from steerlens.scores import GivenScore, Score, score_of
from steerlens.settings import Scoring
from steerlens.steering import Intervention, PlanSpec

if TYPE_CHECKING:
    import pandas as pd

_TABLE = ["plan", "locale", "kind", "concept", "score", "value", "base", "valid"]
"""The columns of a table without rows."""
Values = Float[ndarray, "score item"]
"""The scores of items. A value is NaN if the score is not measured on the item's kind, or is not finite."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The results of one plan spec on items of a locale."""

    values: Values
    """The values ``[score, item]``. A value is NaN if the score is not measured on the item's kind or cannot be computed."""
    valid: Bool[ndarray, " item"]
    """Whether the model's scores of each item are finite. If the scores of an item are not finite, all its values are
    NaN."""

    @property
    def untold(self) -> Bool[ndarray, "score item"]:
        """A mask of the values that could not be measured although the model's scores are finite."""
        return np.isnan(self.values) & self.valid


@dataclass(frozen=True, eq=False)
class Part:
    """Items of one locale, and the vectors that are used on these items. The vectors were taken from other concepts."""

    locale: str
    items: Items
    vectors: Mapping[str, Intervention]
    """The vectors that are used on the items, by name."""


class ScoreCache:
    """The scores of each item, by locale and plan spec. A locale's items are in the order of its parts."""

    def __init__(
        self,
        model: LensModel,
        parts: Sequence[Part],
        aims: Sequence[str],
        scoring: Scoring,
        batch_size: int | None,
        running: Running,
        *,
        scores: Sequence[GivenScore] = (),
        max_new_tokens: int = MAX_NEW_TOKENS,
        items: Items | None = None,
    ) -> None:
        """Makes an empty cache. The model is not run yet.

        Args:
            model: the model with which items are scored.
            parts: the items that are scored, with their vectors.
            aims: the scores that the contrasts are meant to raise. The companions of the aims, the English-centric rate, the
                margin and the log probability of the answers' text are measured too.
            scoring: how choices are presented and scored.
            batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
            running: the executor that runs tasks, and the folder for results.
            scores: additional scores that are measured.
            max_new_tokens: the largest number of tokens of each generated text (only for scores of generated text).
            items: all items, including the items of the parts. Some scores need English items, which are taken from ``items``.
                ``None`` means that there are no English items.

        Raises:
            SettingsError: there is a score of held-out text.
        """
        self.model, self.scoring, self.batch_size, self.running = model, scoring, batch_size, running
        self.max_new_tokens, self.aims = max_new_tokens, tuple(dict.fromkeys(aims))
        self.scores: tuple[Score, ...] = scores_of((*self.aims, *scores, ENGLISH_CENTRIC.name, MARGIN.name, ANSWER.name))
        check_of_items(self.scores, "choosing a plan")
        self.locales = tuple(dict.fromkeys(part.locale for part in parts))
        self.parts = {locale: [part for part in parts if part.locale == locale] for locale in self.locales}
        self.items: dict[str, tuple[Item, ...]] = {
            x: tuple(item for p in own for item in p.items) for x, own in self.parts.items()
        }
        self.passes = 0
        """The number of items that were run, over all specs."""
        self._measured: dict[tuple[str, int, PlanSpec], Measured] = {}
        self._bases: dict[tuple[str, int], list[Outcome]] = {}
        self._given = items if items is not None else Items(())
        self._english: English | None = None

    def run(self, specs: Iterable[PlanSpec], locales: Sequence[str], title: str, like: PlanSpec | None = None) -> None:
        """Runs the specs that were not run before. The unsteered model is also run if necessary.

        Args:
            specs: the plan specs that are run.
            locales: the locales on whose items the specs are run.
            title: the title of the progress bar.
            like: a spec that was already run. Only the items on which ``like`` was run are used. ``None`` uses all items.

        Raises:
            ModelError: scores of the unsteered model are not finite.
        """
        places = [(x, at) for x in locales for at in (range(len(self.parts[x])) if like is None else self._run_parts(x, like))]
        todo = {place: self._todo(*place, specs) for place in places}
        tasks = {
            key: self._task(self.parts[key[0]][key[1]], wanted)
            for key, wanted in todo.items()
            if wanted or key not in self._bases
        }
        total = sum(task.size for task in tasks.values())
        self.passes += sum(len(todo[key]) * len(self.parts[key[0]][key[1]].items) for key in tasks)
        with progress(total, title, "item", show=total >= SHOW_FROM) as bar:
            results = self.running.results(list(tasks.values()), self.model, bar)
            found: dict[tuple[str, int], list[list[Outcome]]] = {}
            for ((x, at), task), result in zip(tasks.items(), results, strict=True):
                bar.set_postfix_str(x)
                found[x, at] = task.outcomes(result)
        texts = self._texts({key: [*([] if key in self._bases else [PlanSpec()]), *todo[key]] for key in tasks})
        for (x, at), (base, *steered) in found.items():
            if (x, at) not in self._bases:
                self._bases[x, at] = list(finite(base, self.model))
                self.note(x, at, PlanSpec(), self.of_outcomes(base, texts.get((x, at, PlanSpec()))))
            for spec, outcomes in zip(todo[x, at], steered, strict=True):
                self.note(x, at, spec, self.of_outcomes(outcomes, texts.get((x, at, spec))))

    def _todo(self, locale: str, at: int, specs: Iterable[PlanSpec]) -> list[PlanSpec]:
        return [spec for spec in dict.fromkeys(specs) if spec.steps and (locale, at, spec) not in self._measured]

    def _task(self, part: Part, specs: Sequence[PlanSpec]) -> ScoringTask:
        plans = tuple(spec.plan(part.vectors) for spec in specs)
        return ScoringTask(tuple(part.items), plans, self.scoring, self.batch_size)

    def _texts(self, specs: Mapping[tuple[str, int], Sequence[PlanSpec]]) -> dict[tuple[str, int, PlanSpec], list[Writing]]:
        """Returns the texts that are generated under the specs of each part, if a score needs generated texts."""
        if not are_written(self.scores):
            return {}
        tasks = {(x, at, spec): self._text(self.parts[x][at], spec) for (x, at), own in specs.items() for spec in own}
        return dict(written_by(tasks, self.model, self.running))

    def _text(self, part: Part, spec: PlanSpec) -> WritingTask:
        plan = spec.plan(part.vectors) if spec.steps else None
        return WritingTask(tuple(part.items), plan, self.max_new_tokens, self.batch_size, self.scoring)

    @property
    def english(self) -> English:
        """The unsteered English outcomes, which some scores use as a reference. The outcomes are computed once."""
        if self._english is None:
            common = (self.scores, self.scoring, self.batch_size, self.running)
            self._english = english_outcomes(self.model, self._given, self.locales, *common)
        return self._english

    def base(self, locale: str) -> list[Outcome]:
        """Returns the unsteered outcomes of a locale in which a spec was run."""
        return [outcome for at in range(len(self.parts[locale])) for outcome in self._bases[locale, at]]

    def of_outcomes(self, outcomes: Sequence[Outcome], writings: Sequence[Writing] | None = None) -> Measured:
        """Returns the value of each score for each outcome of a locale. Scores of generated text are included if the generated
        texts are given."""
        texts: Sequence[Writing | None] = writings if writings is not None else [None] * len(outcomes)
        each = list(zip(outcomes, texts, strict=True))
        rows = [[value_of(score, outcome, self.english, writing) for outcome, writing in each] for score in self.scores]
        return Measured(np.array(rows, dtype=float), np.array([outcome.valid for outcome in outcomes]))

    def note(self, locale: str, at: int, spec: PlanSpec, measured: Measured) -> None:
        """Stores the results of a spec on one part of a locale's items. The results may come from a sweep."""
        self._measured[locale, at, spec] = measured

    def forget_incomplete(self, specs: Iterable[PlanSpec]) -> None:
        """Removes incomplete results of specs, so that these specs are run again. Results are incomplete if they lack a score
        that the contrasts are meant to raise."""
        for x, at, spec in [key for key in self._measured if key[2].steps and key[2] in set(specs)]:
            kinds = {item.kind for item in self.parts[x][at].items}
            lines = [self.line(aim) for aim in self.aims if kinds & set(score_of(aim).kinds)]
            if any(np.isnan(self._measured[x, at, spec].values[line]).all() for line in lines):
                del self._measured[x, at, spec]

    def tried(self, locales: Sequence[str]) -> list[PlanSpec]:
        """Returns the specs that were run on all items of the locales, in the order in which the specs were run. The empty
        spec of the unsteered model is included."""
        parts = [(x, at) for x in locales for at in range(len(self.parts[x]))]
        first = parts[0]
        specs = [spec for x, at, spec in self._measured if (x, at) == first]
        return [spec for spec in specs if all((*part, spec) in self._measured for part in parts)]

    def measured(self, locale: str, spec: PlanSpec) -> Measured:
        """Returns the results of a spec on the parts of a locale's items on which the spec was run."""
        return self._joined(locale, spec, spec)

    def values(self, locale: str, spec: PlanSpec) -> Values:
        """Returns the values of a spec on the items of a locale on which the spec was run."""
        return self.measured(locale, spec).values

    def base_values(self, locale: str, spec: PlanSpec) -> Values:
        """Returns the unsteered values of the items on which a spec was run."""
        return self._joined(locale, PlanSpec(), spec).values

    def measured_items(self, locale: str, spec: PlanSpec) -> list[Item]:
        """Returns the items of a locale on which a spec was run."""
        return [item for at in self._run_parts(locale, spec) for item in self.parts[locale][at].items]

    def _joined(self, locale: str, spec: PlanSpec, of: PlanSpec) -> Measured:
        parts = [self._measured[locale, at, spec] for at in self._run_parts(locale, of)]
        return Measured(np.hstack([own.values for own in parts]), np.concatenate([own.valid for own in parts]))

    def _run_parts(self, locale: str, spec: PlanSpec) -> list[int]:
        return [at for at in range(len(self.parts[locale])) if (locale, at, spec) in self._measured]

    def line(self, score: str) -> int:
        """Returns the index of a score's row in the values."""
        return [own.name for own in self.scores].index(score)

    def gains(self, spec: PlanSpec, locales: Sequence[str]) -> Gains:
        """Returns the mean change of each score over the items of the locales on which the spec was run."""
        return self._gains(spec, [self.measured(x, spec) for x in locales], locales)

    def gains_of(self, measured: Sequence[Measured], locales: Sequence[str]) -> Gains:
        """Returns the mean change of each score for given results, such as predicted results. The results contain all items,
        one locale after another."""
        return self._gains(PlanSpec(), measured, locales)

    def _gains(self, of: PlanSpec, measured: Sequence[Measured], locales: Sequence[str]) -> Gains:
        before = np.hstack([self.base_values(x, of) for x in locales])
        kinds = np.array([item.kind for x in locales for item in self.measured_items(x, of)])
        after = Measured(np.hstack([own.values for own in measured]), np.concatenate([own.valid for own in measured]))
        return mean_gains(self.scores, self.aims, before, after, kinds)

    def told(self, locale: str, score: Score, specs: Sequence[PlanSpec] = ()) -> Bool[ndarray, " item"]:
        """Returns a mask of the items of a locale for which a score can be measured, both with the unsteered model and under
        the specs."""
        line = self.line(score.name)
        untold = [self.measured(locale, spec).untold[line] for spec in (PlanSpec(), *specs)]
        return np.isin([item.kind for item in self.items[locale]], score.kinds) & ~np.any(untold, axis=0)

    def check_aims(self, locales: Sequence[str]) -> None:
        """Raises an error if an aim cannot be measured, because no plan can be chosen by such an aim.

        Args:
            locales: the locales for which a plan is chosen together. Specs were run in each of the locales.

        Raises:
            SettingsError: a score that the contrasts are meant to raise cannot be measured on any item with the unsteered
                model.
        """
        for aim in map(score_of, self.aims):
            if not any(self.told(locale, aim).any() for locale in locales):
                raise SettingsError(
                    f"score {aim.name!r}, which a contrast is meant to raise, cannot be measured on any item in "
                    f"{', '.join(locales)}: expected {' or '.join(aim.kinds)} items on which this score can be measured. To "
                    "measure consistency, give the English items too."
                )

    def table(self, specs: Sequence[PlanSpec], locales: Sequence[str]) -> "pd.DataFrame":
        """Returns a table with one row for each spec, item and score. The columns include every step's vector, layer,
        strength and tokens."""
        import pandas as pd

        rows = [row for spec in specs for locale in locales for row in self._rows(spec, locale)]
        return pd.DataFrame(rows) if rows else pd.DataFrame(columns=_TABLE)

    def _rows(self, spec: PlanSpec, locale: str) -> list[dict[str, Any]]:
        steps = {f"{name}_{at}": value for at, step in enumerate(spec.steps, 1) for name, value in asdict(step).items()}
        measured, base = self.measured(locale, spec), self.base_values(locale, spec)
        rows = []
        for column, item in enumerate(self.measured_items(locale, spec)):
            place = {"plan": str(spec), **steps, "locale": locale, "kind": item.kind, "concept": item.concept}
            for line, score in enumerate(self.scores):
                if item.kind in score.kinds and not np.isnan(base[line, column]):
                    numbers = {"value": float(measured.values[line, column]), "base": float(base[line, column])}
                    rows.append({**place, "score": score.name, **numbers, "valid": bool(measured.valid[column])})
        return rows


def mean_gains(scores: Sequence[Score], aims: Sequence[str], before: Values, after: Measured, kinds: ndarray) -> Gains:
    """Returns the mean change of each score over the items for which the score can be measured both with and without steering.

    A mean change is NaN if steering made the model's scores of an item overflow. A score without items is left out. If at
    least one of the ``aims`` has values, a score without any value is left out. The margin and the answer's log probability
    are also left out if one kind of items has no values.

    Args:
        scores: the scores, in the order of the rows of the values.
        aims: the scores that the contrasts are meant to raise.
        before: the unsteered values.
        after: the steered results.
        kinds: the kind of each item (``factual`` or ``cultural``).
    """
    means: dict[str, float] = {}
    lacking = set()
    for score, old, new in zip(scores, before, after.values, strict=True):
        own = np.isin(kinds, score.kinds)
        if not own.any():
            continue
        told = own & ~np.isnan(old) & ~(np.isnan(new) & after.valid)
        means[score.name] = float((new - old)[told].mean()) if told.any() else math.nan
        parts = [own & (kinds == kind) for kind in dict.fromkeys(kinds[own])] if score in (MARGIN, ANSWER) else [told]
        if any(np.isnan(new[part]).all() for part in parts):
            lacking.add(score.name)
    if not set(means).intersection(aims) <= lacking:
        means = {name: mean for name, mean in means.items() if name not in lacking}
    return Gains(means, tuple(aims))
