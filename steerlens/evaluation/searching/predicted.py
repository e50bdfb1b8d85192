"""Predicts the effects of vectors at strengths that were not run."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from numpy import ndarray

from steerlens.evaluation.attribution import Attribution, joined
from steerlens.evaluation.scores import ANSWER, MARGIN
from steerlens.evaluation.searching.measured import Measured, ScoreCache
from steerlens.evaluation.searching.objectives import Gains
from steerlens.evaluation.slopes import SlopePart, slopes_of
from steerlens.steering import PlanSpec, SteeredTokens, SteeringVector


class Predictor:
    """Predicts the effect of a vector at strengths that were not run. The prediction uses the derivative and one strength
    that was run at the same layer."""

    def __init__(self, cache: ScoreCache, anchors: Sequence[PlanSpec]) -> None:
        """Runs one forward and one backward pass on the items of each part.

        Args:
            cache: the cache with the results of the anchors.
            anchors: specs with one step that were run in every locale. All anchors steer the same tokens.
        """
        self.cache = cache
        self._anchors = {(spec.steps[0].vector, spec.steps[0].layer): spec for spec in anchors}
        layers: dict[str, list[int]] = {}
        for spec in anchors:
            layers.setdefault(spec.steps[0].vector, []).append(spec.steps[0].layer)
        pieces = self._slopes(layers, anchors[0].steps[0].tokens)
        self._known = {(x, name): self._anchored(x, name, own, anchors) for x, own in pieces.items() for name in layers}

    def _slopes(self, layers: Mapping[str, list[int]], tokens: SteeredTokens) -> dict[str, list[dict[str, Attribution]]]:
        """Returns the slopes of each locale's parts, by vector and layer. Interventions that do not add a vector have no
        slopes."""
        cache, parts = self.cache, {}
        for x, each in cache.parts.items():
            for at, part in enumerate(each):
                own = ((v, tuple(sorted(layers[name]))) for name, v in part.vectors.items() if isinstance(v, SteeringVector))
                if wanted := tuple(own):
                    parts[x, at] = SlopePart(tuple(part.items), wanted)
        found = slopes_of(parts, cache.model, cache.running, tokens, cache.scoring, cache.batch_size)
        return {x: [found[x, at].of if (x, at) in found else {} for at in range(len(each))] for x, each in cache.parts.items()}

    def _anchored(
        self, locale: str, name: str, pieces: Sequence[Mapping[str, Attribution]], anchors: Sequence[PlanSpec]
    ) -> Attribution:
        """Returns the attribution of a vector in a locale. The attribution agrees with the results of the anchors."""
        known = Attribution.unknown(name)
        if all(name in piece for piece in pieces):
            known = joined([piece[name] for piece in pieces])
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
        """Returns the predicted gains of a spec with one step. Side effects are not predicted."""
        return self.cache.gains_of([self._predicted(locale, spec) for locale in locales], locales)

    def _predicted(self, locale: str, spec: PlanSpec) -> Measured:
        """Returns the predicted results of a step. Scores of generated text have no derivative, so they are predicted by a
        straight line through the cell that was run."""
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
