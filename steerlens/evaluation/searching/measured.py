"""What plan specs did to items: each is run once in a locale and remembered."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from steerlens.data import Item, Items
from steerlens.evaluation.attribution import Attribution
from steerlens.evaluation.finite import finite
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.running import Running
from steerlens.evaluation.scores import ANSWER, ENGLISH_CENTRIC, MARGIN, scores_of
from steerlens.evaluation.searching.objectives import Gains
from steerlens.evaluation.tasks import ScoringTask, SlopeTask
from steerlens.models.lens import LensModel
from steerlens.progress import SHOW_FROM, progress
from steerlens.scores import Score
from steerlens.settings import Scoring
from steerlens.steering import Intervention, PlanSpec, SteeredTokens, SteeringVector

if TYPE_CHECKING:
    import pandas as pd

Values = Float[ndarray, "score item"]
"""The scores of items; NaN where a score is not measured on an item's kind, or is not finite."""


@dataclass(frozen=True, eq=False)
class Part:
    """Items of one locale, and the vectors that they are steered with: taken from other concepts."""

    locale: str
    items: Items
    vectors: Mapping[str, Intervention]
    """By name."""


class ScoreCache:
    """What each item got, by locale and plan spec. A locale's items stand in the order of its parts."""

    def __init__(
        self,
        model: LensModel,
        parts: Sequence[Part],
        aims: Sequence[str],
        scoring: Scoring,
        batch_size: int | None,
        running: Running,
    ) -> None:
        """Makes an empty cache; nothing is run yet.

        Args:
            model: what items are scored with.
            parts: what is scored, and with which vectors.
            aims: the scores that the contrasts are meant to raise. Their companions, the English-centric rate, the margin and the
                log probability of the answers' text are measured with them.
            scoring: how choices are put and compared.
            batch_size: items at once; chosen for the device for ``None``.
            running: how tasks are run.
        """
        self.model, self.scoring, self.batch_size, self.running = model, scoring, batch_size, running
        self.aims = tuple(dict.fromkeys(aims))
        self.scores: tuple[Score, ...] = scores_of((*self.aims, ENGLISH_CENTRIC.name, MARGIN.name, ANSWER.name))
        self.locales = tuple(dict.fromkeys(part.locale for part in parts))
        self.parts = {locale: [part for part in parts if part.locale == locale] for locale in self.locales}
        self.items: dict[str, tuple[Item, ...]] = {
            x: tuple(item for p in own for item in p.items) for x, own in self.parts.items()
        }
        self.passes = 0
        """The items that were run, over all specs."""
        self._values: dict[tuple[str, PlanSpec], Values] = {}
        self._bases: dict[str, list[Outcome]] = {}

    def run(self, specs: Iterable[PlanSpec], locales: Sequence[str], title: str) -> None:
        """Runs those of the specs that were not run before, and unsteered.

        Raises:
            ModelError: scores of the unsteered model that are not finite.
        """
        todo = {x: [s for s in dict.fromkeys(specs) if (x, s) not in self._values and s.steps] for x in locales}
        tasks = {
            (x, at): self._task(part, wanted)
            for x, wanted in todo.items()
            if wanted or x not in self._bases
            for at, part in enumerate(self.parts[x])
        }
        total = sum(task.size for task in tasks.values())
        self.passes += sum(len(wanted) * len(self.items[x]) for x, wanted in todo.items())
        with progress(total, title, "item", show=total >= SHOW_FROM) as bar:
            results = self.running.results(list(tasks.values()), self.model, bar)
            found: dict[str, list[list[list[Outcome]]]] = {}
            for ((x, _), task), result in zip(tasks.items(), results, strict=True):
                bar.set_postfix_str(x)
                found.setdefault(x, []).append(task.outcomes(result))
        for x, by_part in found.items():
            base, *steered = ([outcome for part in outcomes for outcome in part] for outcomes in zip(*by_part, strict=True))
            if x not in self._bases:
                self._bases[x] = list(finite(base, self.model))
                self.note(x, PlanSpec(), self.of_outcomes(base))
            for spec, outcomes in zip(todo[x], steered, strict=True):
                self.note(x, spec, self.of_outcomes(outcomes))

    def _task(self, part: Part, specs: Sequence[PlanSpec]) -> ScoringTask:
        plans = tuple(spec.plan(part.vectors) for spec in specs)
        return ScoringTask(tuple(part.items), plans, self.scoring, self.batch_size)

    def base(self, locale: str) -> list[Outcome]:
        """Returns the unsteered outcomes of a locale in which something was run."""
        return self._bases[locale]

    def of_outcomes(self, outcomes: Sequence[Outcome]) -> Values:
        """Returns outcomes as numbers."""
        rows = [[score.value(o) if o.item.kind in score.kinds else np.nan for o in outcomes] for score in self.scores]
        return np.array(rows, dtype=float)

    def note(self, locale: str, spec: PlanSpec, values: Values) -> None:
        """Remembers what was run, here or elsewhere."""
        self._values[locale, spec] = values

    def tried(self, locales: Sequence[str]) -> list[PlanSpec]:
        """Returns the specs that were run in all of these locales, in the order in which they were, unsteered among them."""
        first, *others = locales
        return [spec for x, spec in self._values if x == first and all((other, spec) in self._values for other in others)]

    def values(self, locale: str, spec: PlanSpec) -> Values:
        """Returns what a spec that was run made of a locale's items."""
        return self._values[locale, spec]

    def line(self, score: str) -> int:
        """Returns which row of the values a score stands in."""
        return [own.name for own in self.scores].index(score)

    def gains(self, spec: PlanSpec, locales: Sequence[str]) -> Gains:
        """Returns mean changes over the items of some locales, in all of which the spec was run."""
        return self.gains_of([self.values(x, spec) for x in locales], locales)

    def gains_of(self, values: Sequence[Values], locales: Sequence[str]) -> Gains:
        """Returns the same of values that come from elsewhere: one array a locale."""
        before = np.hstack([self.values(x, PlanSpec()) for x in locales])
        kinds = np.concatenate([self.kinds(x) for x in locales])
        return mean_gains(self.scores, self.aims, before, np.hstack(values), kinds)

    def kinds(self, locale: str) -> ndarray:
        """Returns the kind of each of a locale's items."""
        return np.array([item.kind for item in self.items[locale]])

    def told(self, locale: str, score: Score) -> Bool[ndarray, " item"]:
        """Says of which of a locale's items a score is measured, and could be told unsteered."""
        return np.isin(self.kinds(locale), score.kinds) & ~np.isnan(self.values(locale, PlanSpec())[self.line(score.name)])

    def table(self, specs: Sequence[PlanSpec], locales: Sequence[str]) -> "pd.DataFrame":
        """Returns a row for each spec, item and score, with every step's vector, layer, strength and tokens beside it."""
        import pandas as pd

        return pd.DataFrame([row for spec in specs for locale in locales for row in self._rows(spec, locale)])

    def _rows(self, spec: PlanSpec, locale: str) -> list[dict[str, Any]]:
        steps = {f"{name}_{at}": value for at, step in enumerate(spec.steps, 1) for name, value in asdict(step).items()}
        values, base = self.values(locale, spec), self.values(locale, PlanSpec())
        rows = []
        for column, item in enumerate(self.items[locale]):
            place = {"plan": str(spec), **steps, "locale": locale, "kind": item.kind, "concept": item.concept}
            for line, score in enumerate(self.scores):
                if item.kind in score.kinds and not np.isnan(base[line, column]):
                    numbers = {"value": float(values[line, column]), "base": float(base[line, column])}
                    rows.append({**place, "score": score.name, **numbers})
        return rows


def mean_gains(scores: Sequence[Score], aims: Sequence[str], before: Values, after: Values, kinds: ndarray) -> Gains:
    """Returns the mean change of each score over the items that it is measured on, and could be told of unsteered.

    A score that has no value at all, where those that the contrasts are meant to raise have one, was not measured, and is left
    out: a sweep may hold fewer scores than a search.

    Args:
        scores: what the rows hold.
        aims: the scores that the contrasts are meant to raise.
        before: unsteered.
        after: steered.
        kinds: of each item.
    """
    means: dict[str, float] = {}
    lacking = set()
    for score, old, new in zip(scores, before, after, strict=True):
        own = np.isin(kinds, score.kinds)
        told = own & ~np.isnan(old)
        means[score.name] = float((new - old)[told].mean()) if told.any() else math.nan if own.any() else 0.0
        if own.any() and np.isnan(new[told]).all():
            lacking.add(score.name)
    if lacking.isdisjoint(aims):
        means = {name: mean for name, mean in means.items() if name not in lacking}
    return Gains(means, tuple(aims))


class Predictor:
    """Predicts what a vector does at strengths that were not run, from one that was at the same layer, and the derivative."""

    def __init__(self, cache: ScoreCache, anchors: Sequence[PlanSpec]) -> None:
        """Runs a pass forward and one backward for each part.

        Args:
            cache: holds what the anchors did.
            anchors: specs of one step, run in every locale, all at the same tokens.
        """
        self.cache = cache
        layers: dict[str, list[int]] = {}
        for spec in anchors:
            layers.setdefault(spec.steps[0].vector, []).append(spec.steps[0].layer)
        pieces = self._slopes(layers, anchors[0].steps[0].tokens)
        self._known = {(x, name): self._anchored(x, name, own, anchors) for x, own in pieces.items() for name in layers}

    def _slopes(self, layers: Mapping[str, list[int]], tokens: SteeredTokens) -> dict[str, list[dict[str, dict[int, ndarray]]]]:
        """Returns the slopes of each locale's parts, by vector and layer; none of interventions that are no additions."""
        cache = self.cache
        tasks: dict[tuple[str, int], SlopeTask] = {}
        for x, parts in cache.parts.items():
            for at, part in enumerate(parts):
                own = ((v, tuple(sorted(layers[name]))) for name, v in part.vectors.items() if isinstance(v, SteeringVector))
                tasks[x, at] = SlopeTask(tuple(part.items), tuple(own), tokens, cache.scoring, cache.batch_size)
        found: dict[str, list[dict[str, dict[int, ndarray]]]] = {x: [{} for _ in parts] for x, parts in cache.parts.items()}
        todo = {key: task for key, task in tasks.items() if task.vectors}
        with progress(sum(task.size for task in todo.values()), "Derivatives", "item") as bar:
            for ((x, at), task), result in zip(
                todo.items(), cache.running.results(list(todo.values()), cache.model, bar), strict=True
            ):
                found[x][at] = task.slopes(result)
        return found

    def _anchored(
        self, locale: str, name: str, pieces: Sequence[Mapping[str, Mapping[int, ndarray]]], anchors: Sequence[PlanSpec]
    ) -> Attribution:
        """Returns how a vector's items answer, bent through what was run."""
        known = Attribution.unknown(name)
        if all(name in piece for piece in pieces):
            known = Attribution({x: np.concatenate([piece[name][x] for piece in pieces]) for x in pieces[0][name]})
        for spec in anchors:
            (step,) = spec.steps
            if step.vector == name:
                known = known.anchored(step.layer, step.strength, self._margin_changes(locale, spec))
        return known

    def _margin_changes(self, locale: str, spec: PlanSpec) -> Float[ndarray, " item"]:
        """Returns the change of every item's margin under a spec that was run."""
        line = self.cache.line(MARGIN.name)
        return self.cache.values(locale, spec)[line] - self.cache.values(locale, PlanSpec())[line]

    def gains(self, spec: PlanSpec, locales: Sequence[str]) -> Gains:
        """Returns the predicted gains of one step; side effects are not predicted."""
        return self.cache.gains_of([self._predicted(locale, spec) for locale in locales], locales)

    def _predicted(self, locale: str, spec: PlanSpec) -> Values:
        (step,) = spec.steps
        change = self._known[locale, step.vector].predict(step.layer, step.strength)
        moved = [outcome.moved(own) for outcome, own in zip(self.cache.base(locale), change.tolist(), strict=True)]
        values, answer = self.cache.of_outcomes(moved), self.cache.line(ANSWER.name)
        values[answer] = self.cache.values(locale, PlanSpec())[answer]
        return values
