"""The steps of a search: cells are predicted, promising cells are run, cells of contrasts are combined, and the best plan is
improved step by step."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from steerlens.evaluation.searching.expected import Expected, Rank, expected, ranked
from steerlens.evaluation.searching.measured import ScoreCache
from steerlens.evaluation.searching.objectives import NO_LIMITS, Gains, Objective
from steerlens.evaluation.searching.predicted import Predictor
from steerlens.evaluation.searching.text_costs import TextCosts
from steerlens.settings import Limits
from steerlens.steering import PlanSpec

_CLOSE = 1e-3
"""The largest difference between the gains (in graded forms of scores) of two plans that count as equal: a tenth of a
percentage point. The second plan must also have at least as many right answers as the first plan."""
CANDIDATES = 3
"""The number of cells of each contrast that are combined with cells of other contrasts."""


def own_score(aim: str) -> Rank:
    """Returns a function that ranks plans by the gain in the graded form of one score (such as the preference for the right
    answer). On few items, this gain is more precise than the gain in the score itself. Ties are decided by the gain in the
    score itself, and then by the gain in the margin."""
    return lambda gains: (_told(gains.by_degrees().gain(aim)), gains.gain(aim), _told(gains.finer(aim)))


def net_score(aim: str) -> Rank:
    """Returns a function that ranks plans by the gain in the graded form of one score, minus the losses in the scores of the
    other contrasts."""

    def rank(gains: Gains) -> tuple[float, ...]:
        fine = gains.by_degrees()
        return (_told(fine.gain(aim) + sum(min(0.0, fine.gain(other)) for other in gains.aims if other != aim)),)

    return rank


def joint_score(objective: Objective) -> Rank:
    """Returns a function that ranks plans by the objective, computed from the gains in the graded forms of the scores. If two
    plans are equal, the objective of the gains in the scores themselves decides, then the sum of these gains, and then the
    margins."""
    return lambda gains: (_told(objective(gains.by_degrees())), objective(gains), gains.total, _told(gains.margins))


def _told(gain: float) -> float:
    """Returns a gain rounded to four decimals, so that rounding errors of float32 cannot decide that a plan helps."""
    return round(gain, 4)


@dataclass(frozen=True, eq=False)
class Aim:
    """The criteria of a choice: the locales whose gains count, the rank of plans, and the limits."""

    cache: ScoreCache
    locales: tuple[str, ...]
    rank: Rank
    limits: Limits = NO_LIMITS
    texts: TextCosts | None = None
    """The object that measures the harm of plans to texts. The harm of a chosen plan must be within the limits. ``None`` means
    that texts are not measured."""

    def ordered(self, specs: Iterable[PlanSpec]) -> list[PlanSpec]:
        """Returns specs that were run, with the best spec first. Specs within the limits come before all other specs. If two
        specs have the same rank, the spec with the smaller strength comes first."""

        def key(spec: PlanSpec) -> tuple[bool, tuple[float, ...], float]:
            gains = self.cache.gains(spec, self.locales)
            return self.limits.allow(gains), ranked(self.rank, gains), -spec.strength

        return sorted(specs, key=key, reverse=True)

    def allowed(self, spec: PlanSpec) -> bool:
        """Returns whether a spec that was run is within the limits."""
        return self.limits.allow(self.cache.gains(spec, self.locales))

    def choice(
        self,
        specs: Iterable[PlanSpec],
        aims: Sequence[str],
        seed: int = 0,
        weaker: Callable[[PlanSpec], Iterable[PlanSpec]] = lambda _: (),
    ) -> tuple[PlanSpec, Expected | None]:
        """Returns the best of some specs that were run, with its expected effect. If the best spec is not expected to help,
        the empty spec of the unsteered model is returned.

        For a single contrast, a weaker strength at the best spec's layer is taken if the weaker strength is as good as the
        best spec (see ``Changes.as_good``). Weak strengths are preferred because strong plans have side effects.

        A spec that makes texts worse than the limits allow is skipped, together with all specs that contain it. Texts are
        measured under the best spec and under specs that are often the best in the folds of the expected effect.

        Args:
            specs: the specs that were run. Specs outside the limits are skipped.
            aims: the scores that are reported.
            seed: the seed of the folds.
            weaker: a function that is called with the best spec that is left. The function runs and returns specs with a
                smaller strength that were not run before.
        """
        found, skipped, fit = None, list[str](), list(dict.fromkeys(specs))
        while fit := self._fit(fit):
            fit = self._fit(dict.fromkeys([*fit, *weaker(fit[0])]))
            ranks = [ranked(self.rank, self.cache.gains(spec, self.locales)) for spec in fit]
            fit.sort(key=weakest_of_best(fit, ranks).__ne__)  # the weakest of the best comes first
            found, decisive = expected(self.cache, self.locales, fit, self.rank, aims, seed)
            broken = self._broken(decisive)
            if not broken:
                return (found.best if found.helps else PlanSpec()), replace(found, skipped=tuple(skipped))
            skipped.append(broken)
        return PlanSpec(), found and replace(found, helps=False, tried=0, skipped=tuple(skipped))

    def _fit(self, specs: Iterable[PlanSpec]) -> list[PlanSpec]:
        """Returns the specs that can be chosen, with the best spec first."""
        fit = [spec for spec in self.ordered(specs) if spec.steps and self.allowed(spec) and not self._refused(spec)]
        return [spec for spec in fit if ranked(self.rank, self.cache.gains(spec, self.locales))]

    def _broken(self, specs: Iterable[PlanSpec]) -> str:
        """Returns the first spec that makes texts worse than the limits allow, with its effect on texts. Returns an empty text
        if there is no such spec."""
        if self.texts is None:
            return ""
        broken = (spec for spec in dict.fromkeys(specs) if not self.texts.within(spec, self.locales))
        return next((f"{spec} ({self.texts.cost(spec, self.locales)})" for spec in broken), "")

    def _refused(self, spec: PlanSpec) -> bool:
        return self.texts is not None and self.texts.refused(spec, self.locales)

    def run(self, specs: Iterable[PlanSpec], title: str, like: PlanSpec | None = None) -> None:
        """Runs specs in the locales of this aim, on the items on which the spec ``like`` was run. If ``like`` is ``None``,
        specs are run on all items."""
        self.cache.run(specs, self.locales, title, like)


def weakest_of_best(specs: Sequence[PlanSpec], ranks: Sequence[tuple[float, ...]]) -> PlanSpec:
    """Returns the weakest of the specs that are as good as the first spec.

    Args:
        specs: the specs that were run. The best spec comes first.
        ranks: the ranks of the specs.
    """
    first, *then = ranks[0]
    same = [spec for spec, rank in zip(specs, ranks, strict=True) if rank[0] >= first - _CLOSE and list(rank[1:2]) >= then[:1]]
    return min(same, key=lambda spec: spec.strength)


def promising(predictor: Predictor, aim: Aim, cells: Iterable[PlanSpec], n: int) -> list[PlanSpec]:
    """Returns the ``n`` cells with the largest predicted gains."""

    def key(spec: PlanSpec) -> tuple[tuple[float, ...], float]:
        return ranked(aim.rank, predictor.gains(spec, aim.locales)), -spec.strength

    return sorted(cells, key=key, reverse=True)[:n]


def candidates(
    cache: ScoreCache, locales: tuple[str, ...], cells: Sequence[PlanSpec], aim: str, limits: Limits = NO_LIMITS
) -> list[PlanSpec]:
    """Returns the cells of one contrast that are combined with cells of other contrasts. The first cell is the best by the
    contrast's own score, and the other cells are the best by net gain."""
    best = Aim(cache, locales, own_score(aim), limits).ordered(cells)[:1]
    return list(dict.fromkeys(best + Aim(cache, locales, net_score(aim), limits).ordered(cells)))[:CANDIDATES]


def at_other_layers(ordered: Sequence[PlanSpec], n: int = CANDIDATES) -> list[PlanSpec]:
    """Returns the best cell of each of the ``n`` best layers of one contrast. Only the returned cells are run on the items of
    the other contrasts and combined.

    Args:
        ordered: the cells of one contrast. The best cell comes first.
        n: the number of layers.
    """
    best: dict[int, PlanSpec] = {}
    for spec in ordered:
        best.setdefault(spec.steps[0].layer, spec)
    return list(best.values())[:n]


def combined(each: Sequence[Sequence[PlanSpec]], others: Sequence[Sequence[PlanSpec]]) -> list[PlanSpec]:
    """Returns every combination of cells of two or more contrasts at different layers. Combinations of all contrasts come
    first.

    If some contrasts have no combination with cells at different layers, the last of the contrasts gets a cell of ``others``
    instead. The cell from ``others`` is the best cell at a layer that the best cells of the other contrasts do not use.

    Args:
        each: the cells of each contrast.
        others: more cells of each contrast. The best cell comes first.
    """
    found: list[PlanSpec] = []
    for n in range(len(each), 1, -1):
        for some in combinations(range(len(each)), n):
            found += _of_all([each[at] for at in some], others[some[-1]])
    return found


def _of_all(each: Sequence[Sequence[PlanSpec]], others: Sequence[PlanSpec]) -> list[PlanSpec]:
    """Returns every combination at different layers that has one cell of each given contrast."""
    found = [_together(cells) for cells in product(*each)]
    apart = [spec for spec in found if spec is not None]
    return apart or [spec for other in others if (spec := _together([*(own[0] for own in each[:-1]), other])) is not None][:1]


def _together(cells: Sequence[PlanSpec]) -> PlanSpec | None:
    layers = [cell.steps[0].layer for cell in cells]
    return PlanSpec(tuple(step for cell in cells for step in cell.steps)) if len(set(layers)) == len(layers) else None


def additive(aim: Aim, combinations: Sequence[PlanSpec], n: int) -> list[PlanSpec]:
    """Returns the ``n`` combinations with the largest sum of the gains of their cells. The gain of each cell was measured with
    this cell alone."""

    def key(spec: PlanSpec) -> tuple[float, ...]:
        first, *others = (aim.cache.gains(cell, aim.locales) for cell in spec.apart())
        for other in others:
            first = first.plus(other)
        return ranked(aim.rank, first)

    return sorted(combinations, key=key, reverse=True)[:n]


def climb(
    aim: Aim, starts: Sequence[PlanSpec], moves: Callable[[PlanSpec], Iterable[PlanSpec]], budget: int, title: str
) -> list[PlanSpec]:
    """Runs the specs ``starts`` and then improves the best spec by hill climbing. The climb ends if no move improves the best
    spec, or after ``budget`` specs were run.

    Returns:
        All specs that were run, with the best spec first.
    """
    tried = list(dict.fromkeys(starts))[:budget]
    aim.run(tried, title)
    left = budget - len(tried)
    while tried:
        top = aim.ordered(tried)[0]
        fresh = [spec for spec in dict.fromkeys(moves(top)) if spec not in tried][:left]
        aim.run(fresh, title)
        tried, left = [*tried, *fresh], left - len(fresh)
        if not fresh or aim.ordered(tried)[0] == top:
            break
    return aim.ordered(tried)
