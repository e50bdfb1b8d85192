"""The results of the choices on test items, and the regret of using another locale's choice."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from steerlens.data.splits import group_of
from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.scores import ANSWER, MARGIN, without_companions
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.evaluation.searching.measured import ScoreCache
from steerlens.evaluation.searching.objectives import Gains, Objective
from steerlens.scores import Score
from steerlens.statistics import bootstrap_means, paired_difference, percentile_interval
from steerlens.steering import PlanSpec

ALL = "all"
"""The name of the choice that is made for all locales together."""
BEST = "best"
"""The name of the choice with the best objective. The choice ``best`` may be the unsteered model."""
OWN = "own"
ChoicesByLocale = Mapping[str, Mapping[str, Chosen]]
"""The choices by locale and method, such as ``choices["es-ES"]["surgical"]``. The keys are the locales and ``all``, and the
methods are every contrast, ``surgical`` and ``best``."""
_DRAWS = 2000


def run_choices(cache: ScoreCache, choices: ChoicesByLocale, title: str) -> None:
    """Runs choices in every locale: the locale's own choices, the best choice for all locales, and the best choices of the
    other locales."""
    for locale in cache.locales:
        wanted = [*choices[locale].values(), *(own[BEST] for own in choices.values())]
        cache.run([choice.spec for choice in wanted], (locale,), title)


def tested_scores(cache: ScoreCache) -> list[Score]:
    """Returns the scores that are reported for choices. Companions, the margin and the answer's log probability are left
    out."""
    names = set(without_companions(score.name for score in cache.scores)) - {ANSWER.name, MARGIN.name}
    return [score for score in cache.scores if score.name in names or score.name in cache.aims]


def tested_table(cache: ScoreCache, choices: ChoicesByLocale, seed: int) -> pd.DataFrame:
    """Returns one row per choice (each locale's own choice, or the best choice for all locales), method, locale (``mean``:
    over locales) and score."""
    rows = []
    several = len(cache.locales) > 1
    for choice in (OWN, ALL) if several else (OWN,):
        for method in choices[ALL] if choice == OWN else (BEST,):
            specs = {x: choices[x if choice == OWN else ALL][method].spec for x in cache.locales}
            for locale in (*cache.locales, MEAN) if several else cache.locales:
                asked = cache.locales if locale == MEAN else (locale,)
                plan = str(specs[locale]) if locale != MEAN else str(specs[asked[0]]) if choice == ALL else ""
                place = {"choice": choice, "method": method, "locale": locale, "plan": plan}
                rows += [{**place, **row} for row in _scored(cache, {x: specs[x] for x in asked}, seed)]
    return pd.DataFrame(rows)


def _scored(cache: ScoreCache, specs: Mapping[str, PlanSpec], seed: int) -> list[dict[str, Any]]:
    """Returns the value and the paired change of each score. Over several locales, a concept counts once, with the mean over
    its locales."""
    rows = []
    for score in tested_scores(cache):
        line, parts = cache.line(score.name), []
        for locale, spec in specs.items():
            after, before = cache.values(locale, spec)[line], cache.values(locale, PlanSpec())[line]
            concepts = [group_of(item.concept) for item in cache.items[locale]]
            part = pd.DataFrame({"concept": concepts, "after": after, "before": before})
            parts.append(part[cache.told(locale, score, [spec])])
        every = pd.concat(parts)
        if len(every):  # if scores are not finite, their mean is NaN
            found = paired_difference(every["after"].to_numpy(), every["before"].to_numpy(), list(every["concept"]), seed=seed)
            change = {"change": found.change.mean, "low": found.change.low, "high": found.change.high, "p": found.p}
            rows.append({"score": score.name, "n": found.change.n, "value": found.first, **change})
    return rows


def regret_table(cache: ScoreCache, choices: ChoicesByLocale, objective: Objective, part: str, seed: int) -> pd.DataFrame:
    """Returns the regret of each locale: the gain under the locale's own best plan minus the gain under another plan. The
    other plan is the best plan of another locale or the best plan for all locales."""
    rows = []
    judged = {"objective": objective, **{aim: _gain_of(aim) for aim in cache.aims}}
    for locale in cache.locales:
        n = len({group_of(item.concept) for item in cache.items[locale]})
        for other, chosen in choices.items():
            own, theirs = _resampled(cache, locale, (choices[locale][BEST].spec, chosen[BEST].spec), seed)
            for score, of in judged.items():
                lost = np.array([of(a) - of(b) for a, b in zip(own, theirs, strict=True)])
                low, high = percentile_interval(lost[1:])
                place = {"locale": locale, "choice_of": other, "score": score, "part": part}
                rows.append({**place, "regret": float(lost[0]), "low": float(low), "high": float(high), "n": n})
    return pd.DataFrame(rows)


def _gain_of(aim: str) -> Objective:
    return lambda gains: gains.gain(aim)


def _resampled(cache: ScoreCache, locale: str, specs: Sequence[PlanSpec], seed: int) -> list[list[Gains]]:
    """Returns each spec's gains over all concepts, followed by its gains in bootstrap resamples of each score's concepts. The
    same resamples are used for all specs.

    A score is averaged over the items on which it can be measured under all specs. A score that cannot be measured on any item
    under all specs is left out.
    """
    told = {score.name: cache.told(locale, score, specs) for score in cache.scores}
    found = []
    for spec in specs:
        changes = cache.values(locale, spec) - cache.values(locale, PlanSpec())
        rows = zip(told.items(), changes, strict=True)
        means = {name: _means(change[None, own], seed)[:, 0] for (name, own), change in rows if own.any()}
        draws = zip(*means.values(), strict=True)
        found.append([Gains(dict(zip(means, map(float, draw), strict=True)), cache.aims) for draw in draws])
    return found


def _means(changes: Float[ndarray, "line item"], seed: int) -> Float[ndarray, "draw line"]:
    """Returns the mean over items, followed by the means of resamples that are drawn with replacement."""
    return np.vstack([changes.mean(axis=1), bootstrap_means(changes.T, draws=_DRAWS, seed=seed)])
