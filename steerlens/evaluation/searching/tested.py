"""What the choices do on items that no choice saw, and what another locale's choice costs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from steerlens.evaluation.comparing import MEAN
from steerlens.evaluation.searching.ledger import ENGLISH_CENTRIC, HIT, Ledger
from steerlens.evaluation.searching.objectives import Gains, Objective
from steerlens.evaluation.searching.recipes import Chosen, Recipe
from steerlens.statistics import bootstrap_means, paired_difference, percentile_interval

ALL = "all"
"""The choice made for all locales together."""
BEST = "best"
"""The choice that the objective prefers, which may be to do nothing."""
OWN = "own"
Choices = Mapping[str, Mapping[str, Chosen]]
"""``choices["es-ES"]["surgical"]``; the locales and ``all``, each with EN, LOC, surgical and best."""
_SCORES = (("transfer", True, HIT), ("localization", False, HIT), ("english_centric", False, ENGLISH_CENTRIC))
_DRAWS = 2000


def run_choices(ledger: Ledger, choices: Choices, title: str) -> None:
    """Runs in every locale its own choices, and the best for all and for every other locale."""
    for locale in ledger.locales:
        wanted = [*choices[locale].values(), *(own[BEST] for own in choices.values())]
        ledger.run([choice.recipe for choice in wanted], (locale,), title)


def tested_table(ledger: Ledger, choices: Choices, seed: int) -> pd.DataFrame:
    """A row per choice (each locale's own, or the best for all), method, locale (``mean`` over them) and score."""
    rows = []
    several = len(ledger.locales) > 1
    for choice in (OWN, ALL) if several else (OWN,):
        for method in choices[ALL] if choice == OWN else (BEST,):
            recipes = {x: choices[x if choice == OWN else ALL][method].recipe for x in ledger.locales}
            for locale in (*ledger.locales, MEAN) if several else ledger.locales:
                asked = ledger.locales if locale == MEAN else (locale,)
                plan = str(recipes[locale]) if locale != MEAN else str(recipes[asked[0]]) if choice == ALL else ""
                place = {"choice": choice, "method": method, "locale": locale, "plan": plan}
                rows += [{**place, **row} for row in _scored(ledger, {x: recipes[x] for x in asked}, seed)]
    return pd.DataFrame(rows)


def _scored(ledger: Ledger, recipes: Mapping[str, Recipe], seed: int) -> list[dict[str, Any]]:
    """Value and paired change of each score; over several locales a concept counts once, with their mean."""
    rows = []
    for score, factual, line in _SCORES:
        parts = []
        for locale, recipe in recipes.items():
            after, before = ledger.marks(locale, recipe)[line], ledger.marks(locale, Recipe())[line]
            concepts = [item.concept for item in ledger.items[locale]]
            part = pd.DataFrame({"concept": concepts, "after": after, "before": before})
            parts.append(part[ledger.factual(locale) == factual])
        every = pd.concat(parts)
        if len(every):  # where scores are not finite, there is no mean of them: NaN
            found = paired_difference(every["after"].to_numpy(), every["before"].to_numpy(), list(every["concept"]), seed=seed)
            change = {"change": found.change.mean, "low": found.change.low, "high": found.change.high, "p": found.p}
            rows.append({"score": score, "n": found.change.n, "value": found.first, **change})
    return rows


def regret_table(ledger: Ledger, choices: Choices, objective: Objective, part: str, seed: int) -> pd.DataFrame:
    """How much less each locale gains with the best plan of another, or of all, than with its own."""
    rows = []
    for locale in ledger.locales:
        own = _resampled(ledger, locale, choices[locale][BEST].recipe, seed)
        for other, chosen in choices.items():
            theirs = _resampled(ledger, locale, chosen[BEST].recipe, seed)
            for score, of in (("objective", objective), ("transfer", _transfer), ("localization", _localization)):
                lost = np.array([of(a) - of(b) for a, b in zip(own, theirs, strict=True)])
                low, high = percentile_interval(lost[1:])
                place = {"locale": locale, "choice_of": other, "score": score, "part": part}
                rows.append({**place, "regret": float(lost[0]), "low": float(low), "high": float(high)})
    return pd.DataFrame(rows)


def _transfer(gains: Gains) -> float:
    return gains.transfer


def _localization(gains: Gains) -> float:
    return gains.localization


def _resampled(ledger: Ledger, locale: str, recipe: Recipe, seed: int) -> list[Gains]:
    """A recipe's gains, then those of bootstrap draws of each kind's concepts; the same draws for every recipe."""
    changes, factual = ledger.marks(locale, recipe) - ledger.marks(locale, Recipe()), ledger.factual(locale)
    means = [_means(changes[:, kind], seed) for kind in (factual, ~factual)]
    text = _means(changes[3:], seed)[:, 0]
    return [
        Gains(float(f[0]), float(c[0]), float(c[1]), float(f[2]), float(c[2]), float(np.exp(-t)))
        for f, c, t in zip(*means, text, strict=True)
    ]


def _means(changes: Float[ndarray, "line item"], seed: int) -> Float[ndarray, "draw line"]:
    """The mean over items, then those of draws with replacement."""
    if changes.shape[1] == 0:
        return np.zeros((1 + _DRAWS, len(changes)))
    return np.vstack([changes.mean(axis=1), bootstrap_means(changes.T, draws=_DRAWS, seed=seed)])
