"""The steps of a search: cells screened, the promising ones run, both vectors combined, and the best improved step by step."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from steerlens.evaluation.searching.ledger import Ledger, Predictor
from steerlens.evaluation.searching.objectives import NO_LIMITS, Gains, Objective
from steerlens.evaluation.searching.recipes import Recipe
from steerlens.settings import Limits

Rank = Callable[[Gains], tuple[float, ...]]
"""What recipes are ordered by, the largest first."""
CANDIDATES = 3
"""Cells of each vector that are combined: their pairs are run for real."""
SCORE_OF = {"EN": "transfer", "LOC": "localization"}
"""What each vector is for."""


def own_score(vector: str) -> Rank:
    """The change of the score that a vector is for; ties go to the larger change of its margin."""
    score = SCORE_OF[vector]
    return lambda gains: (getattr(gains, score), getattr(gains, f"{score}_margin"))


def net_score(vector: str) -> Rank:
    """The same less what it costs the other score; ties go to the larger change of both margins."""
    score, other = SCORE_OF[vector], next(name for name in SCORE_OF.values() if name != SCORE_OF[vector])
    return lambda gains: (getattr(gains, score) + min(0.0, getattr(gains, other)), gains.margin)


def joint_score(objective: Objective) -> Rank:
    """The objective; ties go to the larger sum of gains, then of margins."""
    return lambda gains: (objective(gains), gains.transfer + gains.localization, gains.margin)


@dataclass(frozen=True, eq=False)
class Aim:
    """Whose gains count, in what order, within what limits."""

    ledger: Ledger
    locales: tuple[str, ...]
    rank: Rank
    limits: Limits = NO_LIMITS

    def ordered(self, recipes: Iterable[Recipe]) -> list[Recipe]:
        """Recipes that were run, the best first: those within the limits before the others; ties go to the smaller strength."""

        def key(recipe: Recipe) -> tuple[bool, tuple[float, ...], float]:
            gains = self.ledger.gains(recipe, self.locales)
            return self.limits.allow(gains), _ranked(self.rank, gains), -recipe.strength

        return sorted(recipes, key=key, reverse=True)

    def allowed(self, recipe: Recipe) -> bool:
        """Whether a recipe that was run keeps within the limits."""
        return self.limits.allow(self.ledger.gains(recipe, self.locales))

    def run(self, recipes: Iterable[Recipe], title: str) -> None:
        """Runs recipes in this aim's locales."""
        self.ledger.run(recipes, self.locales, title)


def _ranked(rank: Rank, gains: Gains) -> tuple[float, ...]:
    """Behind all others, if the gains are not valid."""
    return rank(gains) if gains.valid else ()


def promising(predictor: Predictor, aim: Aim, cells: Iterable[Recipe], n: int) -> list[Recipe]:
    """The ``n`` cells with the largest predicted gains."""

    def key(recipe: Recipe) -> tuple[tuple[float, ...], float]:
        return _ranked(aim.rank, predictor.gains(recipe, aim.locales)), -recipe.strength

    return sorted(cells, key=key, reverse=True)[:n]


def candidates(ledger: Ledger, locales: tuple[str, ...], cells: Sequence[Recipe], limits: Limits = NO_LIMITS) -> list[Recipe]:
    """The cells of one vector that are worth combining: the best by its own score, then those by their net gain."""
    vector = cells[0].cells[0].vector
    best = Aim(ledger, locales, own_score(vector), limits).ordered(cells)[:1]
    return list(dict.fromkeys(best + Aim(ledger, locales, net_score(vector), limits).ordered(cells)))[:CANDIDATES]


def combined(ens: Sequence[Recipe], locs: Sequence[Recipe], others: Sequence[Recipe]) -> list[Recipe]:
    """Every EN cell with every LOC cell at another layer; where there is none, the first EN cell with the first of ``others``
    at another layer."""
    pairs = [en + loc for en, loc in product(ens, locs) if en.cells[0].layer != loc.cells[0].layer]
    return pairs or [ens[0] + loc for loc in others if loc.cells[0].layer != ens[0].cells[0].layer][:1]


def expected(aim: Aim, pairs: Sequence[Recipe], n: int) -> list[Recipe]:
    """The ``n`` pairs that would do best if the gains of their two cells, which were run, added up."""

    def key(pair: Recipe) -> tuple[float, ...]:
        one, two = (aim.ledger.gains(cell, aim.locales) for cell in pair.apart())
        return _ranked(aim.rank, one.plus(two))

    return sorted(pairs, key=key, reverse=True)[:n]


def climb(
    aim: Aim, starts: Sequence[Recipe], moves: Callable[[Recipe], Iterable[Recipe]], budget: int, title: str
) -> list[Recipe]:
    """Runs the starts, then the moves from the best so far, until none is better or ``budget`` recipes were run.

    Returns:
        Everything that was run, the best first.
    """
    tried = list(dict.fromkeys(starts))[:budget]
    aim.run(tried, title)
    left = budget - len(tried)
    while tried:
        top = aim.ordered(tried)[0]
        fresh = [recipe for recipe in dict.fromkeys(moves(top)) if recipe not in tried][:left]
        aim.run(fresh, title)
        tried, left = [*tried, *fresh], left - len(fresh)
        if not fresh or aim.ordered(tried)[0] == top:
            break
    return aim.ordered(tried)
