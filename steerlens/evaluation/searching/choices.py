"""The choices for one locale, or for several together: EN alone, LOC alone, both, and the best of them."""

import logging
from collections.abc import Sequence
from functools import partial

from steerlens.evaluation.searching.ledger import Ledger, Predictor
from steerlens.evaluation.searching.objectives import Objective
from steerlens.evaluation.searching.recipes import Chosen, Recipe, neighbours, single
from steerlens.evaluation.searching.steps import (
    SCORE_OF,
    Aim,
    candidates,
    climb,
    combined,
    expected,
    joint_score,
    net_score,
    own_score,
    promising,
)
from steerlens.evaluation.searching.tested import BEST
from steerlens.settings import SearchSettings, spaced

log = logging.getLogger("steerlens")


class Chooser:
    """Chooses for some locales at a time; what was run for one choice serves the next."""

    def __init__(self, ledger: Ledger, objective: Objective, layers: Sequence[int], settings: SearchSettings) -> None:
        """Runs one strength of both vectors at the first layers, and takes the derivatives."""
        self.ledger, self.objective, self.settings = ledger, objective, settings
        self.strengths = tuple(sorted(dict.fromkeys(map(float, settings.strengths))))
        ordered = sorted(self.strengths, key=abs)
        tokens, few = settings.tokens[0], spaced(layers, settings.first_layers)
        self.grid = [single(v, x, s, tokens) for v in SCORE_OF for x in few for s in self.strengths]
        self.anchors = [recipe for recipe in self.grid if recipe.cells[0].strength == ordered[(len(ordered) - 1) // 2]]
        ledger.run(self.anchors, ledger.locales, "One strength")
        self.predictor = Predictor(ledger, self.anchors)
        self._moves = partial(neighbours, layers=layers, strengths=self.strengths, tokens=settings.tokens)

    def choices(self, locales: Sequence[str], name: str) -> dict[str, Chosen]:
        """EN, LOC, surgical and the best, for these locales together.

        Where no plan of a method keeps within the limits, it does nothing.
        """
        here, limits = tuple(locales), self.settings.limits
        singles = {vector: self._singles(vector, here, name) for vector in SCORE_OF}
        ens, locs = (candidates(self.ledger, here, own, limits.of_text) for own in singles.values())
        joint = Aim(self.ledger, here, joint_score(self.objective), limits)
        budget = self.settings.combinations
        starts = expected(joint, combined(ens, locs, singles["LOC"]), -(-2 * budget // 3))
        pairs = climb(joint, starts, self._moves, budget, f"{name}: EN and LOC together")
        kept = {
            vector: self._kept(own, Aim(self.ledger, here, own_score(vector), limits.of_text)) for vector, own in singles.items()
        }
        kept["surgical"] = self._kept(pairs, joint)
        best = self._kept(list(kept.values()), joint)
        if not self._score(best, here) > self._score(Recipe(), here):
            best = Recipe()
        log.info("%s: %s", name, best)
        return {method: Chosen(method, r, self.ledger.gains(r, here)) for method, r in {**kept, BEST: best}.items()}

    def _singles(self, vector: str, here: tuple[str, ...], name: str) -> list[Recipe]:
        """Every cell of one vector that was run in these locales, after half the budget went to promising ones."""
        budget = self.settings.singles
        fresh = [r for r in self.grid if r.method == vector and r not in self.anchors]
        starts = promising(self.predictor, Aim(self.ledger, here, net_score(vector)), fresh, -(-budget // 2))
        title = f"{name}: {vector}"
        Aim(self.ledger, here, own_score(vector)).run(starts, title)
        run = [recipe for recipe in self.ledger.tried(here) if recipe.method == vector]
        own = Aim(self.ledger, here, own_score(vector), self.settings.limits.of_text)
        return climb(own, run, self._moves, len(run) + budget // 2, title)

    def _kept(self, recipes: Sequence[Recipe], aim: Aim) -> Recipe:
        """The best of some recipes; none at all, if none keeps within the limits."""
        top = aim.ordered(recipes)[0]
        return top if aim.allowed(top) else Recipe()

    def _score(self, recipe: Recipe, here: tuple[str, ...]) -> float:
        return self.objective(self.ledger.gains(recipe, here))
