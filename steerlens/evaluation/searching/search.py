"""The search for steering plans. The search chooses layers, strengths and tokens by cross-fitting, for each contrast and for
all contrasts together, and tests the choices on other items."""

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from steerlens.data import ENGLISH, Items, Split
from steerlens.data.splits import group_of
from steerlens.errors import DataError, SettingsError
from steerlens.evaluation.evidence import MAX_NEW_TOKENS, check_of_items
from steerlens.evaluation.running import Executor, Running
from steerlens.evaluation.scores import scores_of
from steerlens.evaluation.searching.choices import Chooser
from steerlens.evaluation.searching.measured import Part, ScoreCache
from steerlens.evaluation.searching.objectives import Objective, objective_of
from steerlens.evaluation.searching.results import Regret, Search, Tested, Tried
from steerlens.evaluation.searching.tested import (
    ALL,
    ChoicesByLocale,
    regret_table,
    run_choices,
    tested_scores,
    tested_table,
)
from steerlens.evaluation.searching.vectors import CrossFit
from steerlens.models.lens import LensModel
from steerlens.provenance import provenance
from steerlens.scores import SCORES, GivenScore, Score
from steerlens.settings import LESSER_GAIN, Limits, SearchSettings
from steerlens.statistics import pareto_front
from steerlens.steering import EN, LOC, Contrast, VectorSet
from steerlens.steering.contrasts import aim_of, contrasts_of


def search(
    model: LensModel,
    items: Items | Split,
    locales: Sequence[str],
    objective: str | Score | Objective = LESSER_GAIN,
    *,
    contrasts: Contrast | Sequence[Contrast] = (EN, LOC),
    scores: Sequence[GivenScore] = (),
    settings: SearchSettings | None = None,
    test: Items | None = None,
    max_new_tokens: int = MAX_NEW_TOKENS,
    batch_size: int | None = None,
    executor: Executor | None = None,
    resume: str | Path | Running | None = None,
) -> Search:
    """Chooses a plan for each locale and a plan for all locales together, and measures the chosen plans on test.

    Vectors are made from concepts of ``items``, and the same concepts are scored. Each fold of concepts is scored under
    vectors from the other folds, so no concept is scored under a vector that was made from the same concept. Each vector is
    first run with one strength at some of the layers (as many layers as the setting ``first_layers`` says). The other
    strengths are predicted from the first results and from the derivatives, as in the mode ``screened`` of ``sweep``. Then the
    most promising cells are run. The best cells of all contrasts are combined and run together, because contrasts interact.
    The best plan of each method is then improved by hill climbing, which changes one layer, one strength or the tokens at a
    time. Only plans that were run and are within the limits can be chosen. The final vectors are taken from all folds.

    Args:
        model: the model that is steered.
        items: the items for vectors and choices. If a split is given, train and dev are used for vectors and choices, and its
            test part is used as ``test``.
        locales: the locales. Each locale is searched alone, and all locales are searched together.
        objective: the objective by which plans for all contrasts together are chosen. The objective is ``lesser gain`` (the
            smallest gain of the contrasts' scores), ``sum of gains``, a score or its name, or a function from ``Gains`` to a
            number. The plan of a single contrast is chosen by the score that the contrast is meant to raise.
        contrasts: one or more contrasts from which vectors are taken. Each contrast must name a score, which may be your own
            score.
        scores: additional scores that are measured and reported. An objective function can use the additional scores.
        settings: the settings of the search, with its budget; ``None`` takes the defaults.
        test: items that are not used for choices. Without test items, the regret is measured on dev, where each locale's own
            choice is among the best by construction.
        max_new_tokens: the largest number of tokens of each generated text (only for scores of generated text).
        batch_size: the number of items in a batch; ``None`` takes a number that suits the device.
        executor: the executor that runs the tasks (see ``sweep``).
        resume: a folder in which the result of every finished task is kept (see ``sweep``).

    Raises:
        UnknownNameError: there is no such objective, or a locale has no items.
        SettingsError: there are no locales, or English is one of the locales; there are no contrasts, two contrasts have the
            same name, or a contrast has no score; a score is a score of held-out text, or cannot be measured on any item of a
            locale; or there are fewer than two layers.
        DataError: a kind of items has fewer concepts than there are folds, or a concept is both in ``items`` and in
            ``test``.
        PairsError: a contrast has no pairs of a locale in one of the folds.
    """
    started, settings = time.time(), settings or SearchSettings()
    name, value = objective_of(objective)
    contrasts, (items, test) = contrasts_of(contrasts), _parts(items, test)
    locales, aims, layers = _checked(items, test, locales), {own.name: aim_of(own) for own in contrasts}, _layers(model, settings)
    beside = [*scores, *([name] if not callable(objective) and name in SCORES else [])]
    check_of_items(scores_of([*aims.values(), *beside]), "a search")
    running = Running.of(executor, resume)
    fitted = CrossFit(model, items, locales, contrasts, layers, settings, batch_size, running)
    cache = ScoreCache(
        model, fitted.parts(), list(aims.values()), settings.scoring, batch_size, running,
        scores=beside, max_new_tokens=max_new_tokens, items=items,
    )  # fmt: skip
    vectors = fitted.vectors()
    choices = _choices(Chooser(cache, aims, value, layers, settings, vectors), cache)
    tried = _tried(cache, value, settings.limits)  # this must be done before the choices of a locale are run in other locales
    judge, part = (cache, "dev") if test is None else (_judge(cache, test, vectors, settings), "test")
    run_choices(judge, choices, f"Choices on {part}")
    _check_each(judge)
    passes = {"dev": cache.passes, "test": 0 if test is None else judge.passes}
    own = {"objective": name, "locales": list(locales), "contrasts": aims, "layers": list(layers), "passes": passes}
    manifest = _manifest(model, items, test, vectors, settings, **own, seconds=round(time.time() - started, 1))
    regret = Regret(regret_table(judge, choices, value, part, settings.seed), manifest)
    tested = None if test is None else Tested(tested_table(judge, choices, settings.seed), manifest)
    return Search(manifest, choices, vectors, replace(tried, meta=manifest), regret, tested)


def _manifest(
    model: LensModel, items: Items, test: Items | None, vectors: VectorSet, settings: SearchSettings, **own: Any
) -> dict[str, Any]:
    """Returns a description of how a search was made."""
    return provenance(
        model=model.fingerprint.to_dict(), items=items.digest(), test_items="" if test is None else test.digest(),
        vectors=vectors.digest(), settings=settings.to_dict(), **own,
    )  # fmt: skip


def _choices(chooser: Chooser, cache: ScoreCache) -> ChoicesByLocale:
    """Returns the choices for each locale and for all locales together."""
    _check_each(cache)
    locales = cache.locales
    found = {x: chooser.choices((x,), x) for x in locales}
    return {**found, ALL: chooser.choices(locales, ALL) if len(locales) > 1 else found[locales[0]]}


def _parts(items: Items | Split, test: Items | None) -> tuple[Items, Items | None]:
    """Returns the items for the search and the items for the test. If a split is given, train and dev are used for the
    search, and test is used for the test."""
    if not isinstance(items, Split):
        return items, test
    return Items((*items.train, *items.dev), items.train.name), items.test if test is None else test


def _layers(model: LensModel, settings: SearchSettings) -> tuple[int, ...]:
    layers = model.layers(settings.layers)
    if len(layers) < 2:
        raise SettingsError(f"layers {layers} given: expected two or more, because surgical plans use two layers.")
    return layers


def _checked(items: Items, test: Items | None, locales: Sequence[str]) -> tuple[str, ...]:
    if not locales or ENGLISH in locales:
        raise SettingsError(
            f"locales {tuple(locales)} given: expected at least one locale and not {ENGLISH}, because every EN pair already "
            "contains the English prompt."
        )
    for locale in locales:  # before anything is run
        for asked in (items, test):
            _ = asked.of(locale=locale) if asked else None
    both = set(map(group_of, items.concepts)) & set(map(group_of, test.concepts if test else ()))
    if both:
        raise DataError(
            f"{len(both)} concepts, such as {sorted(both)[0]!r}, are used both for the search and for the test. The test "
            "results of a choice are too good on concepts that were used for the choice. Give items and test with different "
            "concepts, for example the parts that items.split() makes."
        )
    return tuple(dict.fromkeys(locales))


def _judge(cache: ScoreCache, test: Items, vectors: VectorSet, settings: SearchSettings) -> ScoreCache:
    """Returns the cache with which test items are scored."""
    some = test.sample(settings.test_concepts, seed=settings.seed)
    parts = [Part(x, some.of(locale=x), vectors.of(x)) for x in cache.locales]
    return ScoreCache(
        cache.model, parts, cache.aims, cache.scoring, cache.batch_size, cache.running,
        scores=[score.name for score in cache.scores], max_new_tokens=cache.max_new_tokens, items=test,
    )  # fmt: skip


def _check_each(cache: ScoreCache) -> None:
    for locale in cache.locales:
        cache.check_aims((locale,))


def _tried(cache: ScoreCache, objective: Objective, limits: Limits) -> Tried:
    """Returns a table of every spec that was run in each locale. Specs that were run in all locales also have a row for all
    locales together."""
    import pandas as pd

    rows, names = [], [score.name for score in tested_scores(cache)]
    scopes = {**{x: (x,) for x in cache.locales}, ALL: cache.locales}
    for scope, locales in scopes.items():
        specs = cache.tried(locales)
        gains = [cache.gains(spec, locales) for spec in specs]
        allowed = [limits.allow(own) for own in gains]
        points = [[own.gain(aim) for aim in own.aims] for own, fits in zip(gains, allowed, strict=True) if fits]
        best = iter(pareto_front(np.array(points, dtype=float).reshape(-1, len(cache.aims))).tolist())
        for spec, own, fits in zip(specs, gains, allowed, strict=True):
            place = {"locale": scope, "plan": str(spec), "method": spec.name}
            changes = {**{score: own.get(score, math.nan) for score in names}, "perplexity": own.perplexity}
            verdict = {"objective": objective(own) if own.valid else math.nan, "allowed": fits, "front": fits and next(best)}
            rows.append({**place, **changes, **verdict})
    return Tried(pd.DataFrame(rows))
