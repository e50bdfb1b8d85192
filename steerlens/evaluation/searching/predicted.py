"""What vectors would do at strengths that were not run."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from steerlens.evaluation.attribution import Attribution
from steerlens.evaluation.scores import ANSWER, MARGIN
from steerlens.evaluation.searching.measured import Measured, ScoreCache
from steerlens.evaluation.searching.objectives import Gains
from steerlens.evaluation.tasks import SlopeTask
from steerlens.progress import progress
from steerlens.steering import PlanSpec, SteeredTokens, SteeringVector


class Predictor:
    """Predicts what a vector does at strengths that were not run, from one that was at the same layer, and the derivative."""

    def __init__(self, cache: ScoreCache, anchors: Sequence[PlanSpec]) -> None:
        """Runs a pass forward and one backward for each part.

        Args:
            cache: holds what the anchors did.
            anchors: specs of one step, run in every locale, all at the same tokens.
        """
        self.cache = cache
        self._anchors = {(spec.steps[0].vector, spec.steps[0].layer): spec for spec in anchors}
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

    def _predicted(self, locale: str, spec: PlanSpec) -> Measured:
        """Returns what a step would do; what is written has no derivative, so its scores lie on a line through what was run."""
        (step,) = spec.steps
        change = self._known[locale, step.vector].predict(step.layer, step.strength)
        moved = [outcome.moved(own) for outcome, own in zip(self.cache.base(locale), change.tolist(), strict=True)]
        predicted, base = self.cache.of_outcomes(moved), self.cache.values(locale, PlanSpec())
        anchor = self._anchors[step.vector, step.layer]
        run, share = self.cache.values(locale, anchor), step.strength / anchor.steps[0].strength
        for line, score in enumerate(self.cache.scores):
            if score.evidence == "writing":
                predicted.values[line] = base[line] + share * (run[line] - base[line])
        answer = self.cache.line(ANSWER.name)
        predicted.values[answer] = base[answer]
        return predicted
