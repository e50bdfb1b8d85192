"""The expected gain of a choice on concepts that were not used for the choice. Cross-fitting over concepts removes the
winner's curse."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from steerlens.data.splits import group_of
from steerlens.errors import UnknownNameError
from steerlens.evaluation.searching.measured import ScoreCache
from steerlens.evaluation.searching.objectives import Gains
from steerlens.scores import score_of
from steerlens.statistics import bootstrap_interval, cross_fitted
from steerlens.steering import PlanSpec, StepSpec

Rank = Callable[[Gains], tuple[float, ...]]
"""A function that computes the rank of a plan spec from the plan's gains. The plan with the largest rank is the best plan."""


_OFTEN = 0.25
"""A plan counts as often chosen in folds if it was chosen for at least this share of the held-out concepts."""
_LISTED = 2
"""The largest number of skipped plans that a description lists."""


@dataclass(frozen=True)
class Expected:
    """The change that is expected on new concepts if the best of several plans is chosen. For each fold of the concepts, the
    best plan is chosen on all other folds and measured on the fold.

    If the list of plans was itself selected on the same concepts (for example by a screened sweep or by hill climbing),
    cross-fitting does not correct for this selection. The expected change is then still a little too large.
    """

    best: PlanSpec
    """The chosen plan: the best plan on all concepts, or a weaker strength at the same layer. The weaker strength is chosen if
    its score is lower by at most one standard error."""
    tried: int
    """The number of plans that were run and compared, without the skipped plans. The value is 0 if every plan was skipped."""
    gains: Mapping[str, tuple[float, float, float]]
    """For each score that the contrasts are meant to raise: the mean change on held-out concepts, and the low and high end of
    the 95% interval over concepts. The mapping is empty if there are too few concepts for cross-fitting."""
    on_dev: Mapping[str, float]
    """The change of each score under the best plan, on all concepts. The best plan was chosen on the same concepts."""
    helps: bool
    """Whether the best plan is better than the unsteered model and does not make texts too much worse. If the value is
    ``False``, the model stays unsteered."""
    skipped: tuple[str, ...] = ()
    """Plans that would have been chosen on all concepts or in many folds, but make texts worse than the limits allow. Each plan
    is followed by its effect on texts."""

    def __str__(self) -> str:
        if self.helps:
            which = f"the best of {self.tried} plans" if self.tried > 1 else "the only plan"
            return f"{which}. It {self._changes()}{self._left_out()}"
        within = " within the limits on texts" if self.skipped else ""
        why = f"no plan{within} is shown to help" if self.tried else "every plan that helps makes texts worse"
        which = f"best of {self.tried} plans" if self.tried > 1 else "only other plan" if self.skipped else "only plan"
        which = which if self.tried else "best of them"
        return f"unsteered, because {why}. The {which} is {self.best}, which {self._changes()}{self._left_out()}"

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields as plain JSON values."""
        return {**asdict(self), "best": self.best.to_list()}

    def _left_out(self) -> str:
        if not self.skipped:
            return ""
        more = len(self.skipped) - _LISTED
        listed = "; ".join(self.skipped[:_LISTED]) + (f"; and {more} more" if more > 0 else "")
        return f". Skipped, because texts become worse: {listed}"

    def _changes(self) -> str:
        return f"changes {' and '.join(self._change(score) for score in self.on_dev)}"

    def _change(self, score: str) -> str:
        known = score_of(score)
        said = f"{known.title} by {known.factor * self.on_dev[score]:+.1f} {known.change_unit} on all dev concepts"
        if score not in self.gains:
            return said
        mean, low, high = (known.factor * number for number in self.gains[score])
        return f"{said} ({mean:+.1f} [{low:+.1f}, {high:+.1f}] on held-out dev concepts)"


@dataclass(frozen=True)
class KeptExpected:
    """The fields with which an ``Expected`` object is stored in a file."""

    best: tuple[StepSpec, ...]
    tried: int
    gains: dict[str, tuple[float, float, float]]
    on_dev: dict[str, float]
    helps: bool
    skipped: tuple[str, ...] = ()

    def made(self) -> Expected:
        """Returns an ``Expected`` object with the fields from the file."""
        return Expected(PlanSpec(self.best), self.tried, self.gains, self.on_dev, self.helps, self.skipped)


class Changes:
    """The changes of each score by concept under several plans. For each concept, the class stores the sum of the changes over
    the concept's items, and the number of items that have the score."""

    def __init__(self, cache: ScoreCache, locales: Sequence[str], specs: Sequence[PlanSpec]) -> None:
        """Adds up the results of each concept. All wordings and locales of a concept are added together.

        Args:
            cache: the results of the plans.
            locales: the locales whose items are included.
            specs: the specs of plans that were all run on the same items of the locales.
        """
        self.cache, self.specs = cache, list(specs)
        items = [item for x in locales for item in cache.measured_items(x, self.specs[0])]
        names = [group_of(item.concept) for item in items]
        order = {name: at for at, name in enumerate(dict.fromkeys(names))}
        of_item = np.array([order[name] for name in names], dtype=int)
        kinds = dict(zip(names, (item.kind for item in items), strict=True))
        self.kinds = [kinds[name] for name in order]
        shape = (len(cache.scores), len(order), len(self.specs))
        self.sums, self.counts = np.zeros(shape), np.zeros(shape)
        before = np.hstack([cache.base_values(x, self.specs[0]) for x in locales])
        for at, spec in enumerate(self.specs):
            change = np.hstack([cache.measured(x, spec).values for x in locales]) - before
            for line, own in enumerate(change):
                told = ~np.isnan(own)
                self.sums[line, :, at] = np.bincount(of_item[told], own[told], len(order))
                self.counts[line, :, at] = np.bincount(of_item[told], minlength=len(order))

    def gains(self, concepts: Int[ndarray, " some"], of: Int[ndarray, " some"] | int) -> Gains:
        """Returns the mean changes over the items of the given concepts. ``of`` is the index of one plan for all concepts, or
        one index for each concept."""
        sums, counts = (part[:, concepts, of].sum(axis=1) for part in (self.sums, self.counts))
        names = [score.name for score in self.cache.scores]
        means = {name: float(total / n) for name, total, n in zip(names, sums, counts, strict=True) if n}
        return Gains(means, tuple(aim for aim in self.cache.aims if aim in means))

    def as_good(self, best: int, concepts: Int[ndarray, " some"], aim: str) -> int:
        """Returns the index of the weakest plan that is as good as the best plan and differs from the best plan only by a
        smaller strength.

        A plan counts as equally good if its score is lower by at most one standard error of the difference, paired by
        concept. The rule is the one-standard-error rule of Breiman et al. (1984, section 3.4.3), and keeps the strength
        small.

        Args:
            best: the index of the best plan.
            concepts: the concepts on which the best plan was found.
            aim: the score that the plans are meant to raise. If the score has a graded form, the graded form is compared.
        """
        lines = {own.name: at for at, own in enumerate(self.cache.scores)}
        line = lines.get(score_of(aim).graded, lines.get(aim))
        if line is None:
            return best
        weaker = [at for at, spec in enumerate(self.specs) if _weaker(spec, self.specs[best])]
        with np.errstate(invalid="ignore"):
            means = self.sums[line][concepts] / self.counts[line][concepts]
        for at in sorted(weaker, key=lambda at: self.specs[at].strength):
            lost = means[:, best] - means[:, at]
            lost = lost[~np.isnan(lost)]
            if len(lost) > 1 and lost.mean() <= lost.std(ddof=1) / np.sqrt(len(lost)):
                return at
        return best

    def by_concept(self, score: str, judged: Sequence[Int[ndarray, " concept"]]) -> Float[ndarray, " measured"]:
        """Returns the mean change of a score for each concept, under the plans that were chosen for the concept. Concepts
        without the score are left out."""
        line, every = self.cache.line(score), np.arange(len(self.kinds))
        with np.errstate(invalid="ignore"):
            means = np.stack([self.sums[line, every, of] / self.counts[line, every, of] for of in judged]).mean(axis=0)
        return means[~np.isnan(means)]


def expected(
    cache: ScoreCache, locales: Sequence[str], specs: Sequence[PlanSpec], rank: Rank, aims: Sequence[str], seed: int = 0
) -> tuple[Expected, list[PlanSpec]]:
    """Estimates the gain on new concepts if the best of several plans is chosen. Also decides whether the best plan is better
    than the unsteered model.

    Args:
        cache: the results of the plans. All plans were run on the same items and have finite scores.
        locales: the locales for which the choice is made.
        specs: the specs of the plans. The best plan comes first.
        rank: the function that ranks the plans. If two plans have the same rank, the earlier plan is taken.
        aims: the scores that the contrasts are meant to raise. For a single contrast, the weakest strength that is as good as
            the best plan is taken.
        seed: the seed of the folds and the intervals.

    Returns:
        The expected gain, and the plans whose effect on texts must be within the limits: the best plan and the plans that were
        chosen for at least a quarter of the concepts. The list is empty if the best plan does not even help on the concepts
        of the choice.
    """
    changes = Changes(cache, locales, specs)
    every = np.arange(len(changes.kinds))

    def sparing(best: int, some: Int[ndarray, " concept"]) -> int:
        return changes.as_good(best, some, aims[0]) if len(aims) == 1 else best

    taken = sparing(0, every)
    on_dev = changes.gains(every, taken)
    nothing = ranked(rank, Gains(dict.fromkeys(on_dev.changes, 0.0), on_dev.aims))

    def choose(some: Int[ndarray, " concept"]) -> int:
        return sparing(max(range(len(specs)), key=lambda at: (ranked(rank, changes.gains(some, at)), -at)), some)

    told = {aim: on_dev[aim] for aim in aims if aim in on_dev}
    better = ranked(rank, on_dev) > nothing
    if min(changes.kinds.count(kind) for kind in changes.kinds) < 2:
        return Expected(specs[taken], len(specs), {}, told, better), [specs[taken]] if better else []
    judged = cross_fitted(changes.kinds, choose, seed=seed)
    held = Gains(_mean([changes.gains(every, of) for of in judged]), on_dev.aims)
    gains = {}
    for aim in told:
        interval = bootstrap_interval(changes.by_concept(aim, judged), seed=seed)
        gains[aim] = (interval.mean, interval.low, interval.high)
    helps = better and ranked(rank, held) > nothing
    shares = np.bincount(np.concatenate(judged), minlength=len(specs)) / sum(map(len, judged))
    often = [spec for spec, share in zip(specs, shares, strict=True) if share >= _OFTEN]
    return Expected(specs[taken], len(specs), gains, told, helps), [specs[taken], *often] if better else []


def _weaker(spec: PlanSpec, than: PlanSpec) -> bool:
    """Returns whether a plan with one step differs from another plan only by a smaller strength."""
    if len(spec.steps) != 1 or len(than.steps) != 1:
        return False
    own, other = spec.steps[0], than.steps[0]
    return replace(own, strength=other.strength) == other and 0 < own.strength < other.strength


def ranked(rank: Rank, gains: Gains) -> tuple[float, ...]:
    """Returns the rank of gains. Gains that are not finite, or that lack a score of the ranking, get the lowest rank."""
    try:
        return rank(gains) if gains.valid else ()
    except UnknownNameError:
        return ()


def _mean(each: Sequence[Gains]) -> dict[str, float]:
    return {name: float(np.mean([own[name] for own in each])) for name in each[0] if all(name in own for own in each)}
