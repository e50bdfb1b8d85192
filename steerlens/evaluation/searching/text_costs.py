"""The harm that plans do to texts. A plan is not chosen if texts become much less probable under the plan, or if the model
repeats itself."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from steerlens.data import Items
from steerlens.errors import VectorError
from steerlens.evaluation.held_out import held_out_texts
from steerlens.evaluation.scores import repetition
from steerlens.evaluation.searching.measured import Part, ScoreCache
from steerlens.evaluation.tasks import Task
from steerlens.evaluation.text_tasks import ReadingTask, WritingTask
from steerlens.progress import progress
from steerlens.settings import TextLimits
from steerlens.steering import PlanSpec, SteeringPlan, StepSpec

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("steerlens")

_Known = dict[tuple[PlanSpec, str], list[float]]
"""One number for each text, by plan spec and locale."""


@dataclass(frozen=True)
class TextCost:
    """The effect of a plan on texts, compared with the unsteered model."""

    perplexity: float
    """The perplexity of held-out text under the plan, divided by the perplexity without steering. The value is infinite if the
    model gives NaN or infinity under the plan."""
    repetition: float | None
    """The change of the repetition in generated texts. ``None`` means that no texts were generated, because the perplexity was
    already over its limit, repetition has no limit, or the model cannot generate texts."""

    def __str__(self) -> str:
        more = "" if self.repetition is None else f", repetition {self.repetition:+.2f}"
        return f"perplexity × {self.perplexity:.1f}{more}"


class TextCosts:
    """Measures the effect of plan specs on texts of dev concepts. Texts are scored and generated only for a plan spec that is
    about to be chosen. Every result is stored."""

    def __init__(self, cache: ScoreCache, limits: TextLimits, seed: int = 0) -> None:
        """Draws the concepts. The model is not run yet.

        Args:
            cache: the model, the dev items and the vectors.
            limits: the limits on the effect on texts, with the number of concepts that are drawn.
            seed: the seed of the draw of concepts.
        """
        self.cache, self.limits = cache, limits
        self._parts = {locale: _drawn(parts, limits.concepts, seed) for locale, parts in cache.parts.items()}
        self._nats: _Known = {}
        self._repeated: _Known = {}
        self._costs: dict[tuple[PlanSpec, tuple[str, ...]], TextCost] = {}
        self._refused: list[tuple[PlanSpec, tuple[str, ...]]] = []

    def within(self, spec: PlanSpec, locales: tuple[str, ...]) -> bool:
        """Returns whether a plan spec is within the limits, as a mean over the texts of some locales. A plan spec that is not
        within the limits is refused from now on.

        Args:
            spec: the plan spec.
            locales: the locales whose texts are read and written.
        """
        cost = self.cost(spec, locales)
        fits = cost.perplexity <= self._largest and (cost.repetition or 0.0) <= _limit(self.limits.repetition)
        if not fits or math.isinf(cost.perplexity):
            self._refused.append((spec, locales))
            log.info("%s is not chosen, because it makes texts worse: %s", spec, cost)
            return False
        return True

    def refused(self, spec: PlanSpec, locales: tuple[str, ...]) -> bool:
        """Returns whether a plan spec contains a plan spec that was refused in the same locales. A plan spec contains another
        plan spec if it has all steps of the other plan spec with at least the same strengths. No text is measured.

        Args:
            spec: the plan spec.
            locales: the locales for which the plan spec could be chosen.
        """
        return any(where == locales and _contains(spec, other) for other, where in self._refused)

    def cost(self, spec: PlanSpec, locales: tuple[str, ...]) -> TextCost:
        """Returns the effect of a plan spec on the texts of some locales. Texts are generated only if the perplexity is within
        its limit.

        Args:
            spec: the plan spec.
            locales: the locales whose texts are read and written.

        Raises:
            ModelError: the unsteered model gives NaN or infinity for the texts.
        """
        if (spec, locales) not in self._costs:
            self._costs[spec, locales] = self._measured(spec, locales)
        return self._costs[spec, locales]

    def _measured(self, spec: PlanSpec, locales: tuple[str, ...]) -> TextCost:
        """Returns the effect of a plan spec that was not measured before."""
        batch = self.cache.batch_size

        def reading(part: Part, plan: SteeringPlan | None) -> ReadingTask:
            return ReadingTask(tuple(held_out_texts(part.items, part.locale, None).values()), plan, batch)

        def writing(part: Part, plan: SteeringPlan | None) -> WritingTask:
            return WritingTask(tuple(part.items), plan, self.limits.max_new_tokens, batch, self.cache.scoring)

        def repeated(task: Any, result: "pd.DataFrame") -> list[float]:
            return [repetition(one) or 0.0 for one in task.writings(result)]  # a text that is too short repeats nothing

        try:
            nats = self._change(spec, locales, self._nats, reading, lambda _, result: list(result["nats"]))
            perplexity = math.exp(min(nats, 700.0))
        except VectorError:  # the model's numbers overflow under the plan
            perplexity = math.inf
        if not self._writes or perplexity > self._largest or math.isinf(perplexity):
            return TextCost(perplexity, None)
        return TextCost(perplexity, self._change(spec, locales, self._repeated, writing, repeated))

    @property
    def _writes(self) -> bool:
        """Whether texts are generated. Some models can only score texts. For these models, the limit on repetition is not
        checked."""
        return self.limits.repetition is not None and self.cache.model.capabilities.generation

    @property
    def _largest(self) -> float:
        return _limit(self.limits.perplexity)

    def _change(
        self,
        spec: PlanSpec,
        locales: tuple[str, ...],
        known: _Known,
        task_of: Callable[[Part, SteeringPlan | None], Task],
        values: Callable[[Any, "pd.DataFrame"], list[float]],
    ) -> float:
        """Returns the mean change of a measure (such as the log perplexity) under a plan spec, compared with the unsteered
        model. The mean is over the texts of some locales. Values that are not known yet are measured."""
        both = [(one, x) for x in locales for one in (PlanSpec(), spec)]
        wanted = [(key, self._parts[key[1]]) for key in both if key not in known]
        tasks = [task_of(part, key[0].plan(part.vectors) if key[0].steps else None) for key, part in wanted]
        found: _Known = {}
        with progress(sum(task.size for task in tasks), f"Texts under {spec}", "text", show=bool(tasks)) as bar:
            results = self.cache.running.results(tasks, self.cache.model, bar)
            for (key, _), task, result in zip(wanted, tasks, results, strict=True):
                found[key] = values(task, result)
        known.update(found)
        before, after = (np.array([number for x in locales for number in known[one, x]]) for one in (PlanSpec(), spec))
        return float((after - before).mean())


def _limit(limit: float | None) -> float:
    return math.inf if limit is None else limit


def _drawn(parts: list[Part], concepts: int, seed: int) -> Part:
    """Returns some concepts of each kind of one locale, with their vectors. The concepts are drawn from the first part and
    from other parts with the same vectors. In a search, the first part is the first fold."""
    first = [*map(id, parts[0].vectors.values())]
    same = [part for part in parts if [*map(id, part.vectors.values())] == first]
    items = Items(tuple(item for part in same for item in part.items)).sample(concepts, seed=seed)
    return Part(parts[0].locale, items, parts[0].vectors)


def _contains(spec: PlanSpec, other: PlanSpec) -> bool:
    """Returns whether a plan spec has every step of another plan spec with at least the same strength."""
    return all(any(_as_strong(own, step) for own in spec.steps) for step in other.steps)


def _as_strong(step: StepSpec, than: StepSpec) -> bool:
    if step == than:
        return True
    same = (step.vector, step.layer, step.tokens) == (than.vector, than.layer, than.tokens)
    return same and step.strength * than.strength > 0 and abs(step.strength) >= abs(than.strength)
