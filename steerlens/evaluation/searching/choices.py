"""Chooses plans for one locale or for several locales together: one plan for each contrast, one plan for all contrasts
together, and the best of these plans."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from steerlens.evaluation.searching.chosen import Chosen
from steerlens.evaluation.searching.expected import Expected
from steerlens.evaluation.searching.measured import ScoreCache
from steerlens.evaluation.searching.objectives import Objective
from steerlens.evaluation.searching.predicted import Predictor
from steerlens.evaluation.searching.steps import (
    Aim,
    additive,
    candidates,
    climb,
    combined,
    joint_score,
    net_score,
    own_score,
    promising,
)
from steerlens.evaluation.searching.tested import BEST
from steerlens.evaluation.searching.text_costs import TextCosts
from steerlens.settings import SearchSettings, spaced
from steerlens.steering import SURGICAL, PlanSpec, VectorSet

log = logging.getLogger("steerlens")


class Chooser:
    """Chooses plans for groups of locales. The results of plans that were run for one choice are reused for later choices."""

    def __init__(
        self,
        cache: ScoreCache,
        aims: Mapping[str, str],
        objective: Objective,
        layers: Sequence[int],
        settings: SearchSettings,
        vectors: VectorSet,
    ) -> None:
        """Runs every contrast with one strength at the layers that are tried first, and computes the derivatives.

        Args:
            cache: the items that are scored, and the results of plans that were already run.
            aims: the score that each contrast is meant to raise.
            objective: the objective by which combinations are chosen.
            layers: the layers that are tried.
            settings: the settings of the search, with its budget.
            vectors: the vectors of the chosen plans.
        """
        self.cache, self.aims, self.objective, self.settings, self.vectors = cache, dict(aims), objective, settings, vectors
        text = settings.limits.text
        self.texts = None if text is None else TextCosts(cache, text, settings.seed)
        self.strengths = tuple(sorted(dict.fromkeys(map(float, settings.strengths))))
        ordered = sorted(self.strengths, key=abs)
        tokens, few = settings.tokens[0], spaced(layers, settings.first_layers)
        self.grid = [PlanSpec.of(v, x, s, tokens) for v in self.aims for x in few for s in self.strengths]
        self.anchors = [spec for spec in self.grid if spec.steps[0].strength == ordered[(len(ordered) - 1) // 2]]
        cache.run(self.anchors, cache.locales, "One strength")
        self.predictor = Predictor(cache, self.anchors)
        self._moves = partial(PlanSpec.neighbours, layers=layers, strengths=self.strengths, tokens=settings.tokens)

    def choices(self, locales: Sequence[str], name: str) -> dict[str, Chosen]:
        """Returns the choice for every contrast, the choice for all contrasts together (``surgical``), and the best of these
        choices (``best``), for a group of locales.

        The choice ``surgical`` leaves out contrasts that do not help. If no plan is both within the limits and better than
        the unsteered model, the unsteered model is chosen.
        """
        here, limits = tuple(locales), self.settings.limits
        singles = {contrast: self._singles(contrast, here, name) for contrast in self.aims}
        kept = {
            contrast: Aim(self.cache, here, own_score(self.aims[contrast]), limits.of_text, self.texts).choice(
                own, (self.aims[contrast],), self.settings.seed
            )
            for contrast, own in singles.items()
        }
        singles = {contrast: self._not_refused(own, here) for contrast, own in singles.items()}
        joint = Aim(self.cache, here, joint_score(self.objective), limits, self.texts)
        aims = tuple(dict.fromkeys(self.aims.values()))
        if len(self.aims) > 1:
            kept[SURGICAL] = joint.choice(self._combinations(singles, joint, name), aims, self.settings.seed)
        kept[BEST] = self._best(joint, {spec: found for spec, found in kept.values() if spec.steps and joint.allowed(spec)})
        log.info("%s: %s", name, kept[BEST][0])
        return {
            method: Chosen(method, spec, self.cache.gains(spec, here), self.vectors, found)
            for method, (spec, found) in kept.items()
        }

    def _best(self, joint: Aim, found: Mapping[PlanSpec, Expected | None]) -> tuple[PlanSpec, Expected | None]:
        """Returns the choice with the best objective. If no choice is better than the unsteered model, the unsteered model is
        returned."""
        top = next(iter(joint.ordered(found)), PlanSpec())
        gains, nothing = (joint.rank(self.cache.gains(spec, joint.locales)) for spec in (top, PlanSpec()))
        return (top, found[top]) if top.steps and gains > nothing else (PlanSpec(), None)

    def _combinations(self, singles: Mapping[str, list[PlanSpec]], joint: Aim, name: str) -> list[PlanSpec]:
        """Runs combinations of the contrasts' cells, and returns these combinations and the cells. A contrast is left out if
        all of its cells make texts worse."""
        limits, budget = self.settings.limits.of_text, self.settings.combinations
        left = {contrast: own for contrast, own in singles.items() if own}
        each = [candidates(self.cache, joint.locales, own, self.aims[contrast], limits) for contrast, own in left.items()]
        starts = additive(joint, combined(each, list(left.values())), -(-2 * budget // 3))
        title = f"{name}: {' and '.join(left)} together"
        run = climb(joint, starts, lambda spec: self._not_refused(self._moves(spec), joint.locales), budget, title)
        alone = [part for spec in run[:1] for part in spec.apart()]  # a part of the best combination may gain as much
        joint.run(alone, title)
        return [*run, *alone, *(cell for cells in each for cell in cells)]

    def _not_refused(self, specs: Iterable[PlanSpec], here: tuple[str, ...]) -> list[PlanSpec]:
        """Returns the specs, except the specs that were found to make texts worse in the locales."""
        return [spec for spec in specs if self.texts is None or not self.texts.refused(spec, here)]

    def _singles(self, contrast: str, here: tuple[str, ...], name: str) -> list[PlanSpec]:
        """Runs promising cells of one contrast, and returns every cell of the contrast that was run in the locales."""
        budget, aim = self.settings.singles, self.aims[contrast]
        fresh = [spec for spec in self.grid if spec.name == contrast and spec not in self.anchors]
        starts = promising(self.predictor, Aim(self.cache, here, net_score(aim)), fresh, -(-budget // 2))
        title = f"{name}: {contrast}"
        Aim(self.cache, here, own_score(aim)).run(starts, title)
        run = [spec for spec in self.cache.tried(here) if spec.name == contrast]
        own = Aim(self.cache, here, own_score(aim), self.settings.limits.of_text)
        return climb(own, run, self._moves, len(run) + budget // 2, title)
