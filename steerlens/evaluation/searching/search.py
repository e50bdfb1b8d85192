"""The search: layers, strengths and tokens of EN, LOC and both together, chosen by cross-fitting and tested elsewhere."""

import logging
import math
import time
from collections.abc import Sequence

from steerlens.data import ENGLISH, Items, Split
from steerlens.data.splits import group_of
from steerlens.errors import DataError, SettingsError
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.searching.choices import Chooser
from steerlens.evaluation.searching.ledger import Ledger, Part
from steerlens.evaluation.searching.objectives import LESSER_GAIN, Limits, Objective, objective_of
from steerlens.evaluation.searching.recipes import VectorsByLocale
from steerlens.evaluation.searching.results import Regret, Search, Tested, Tried
from steerlens.evaluation.searching.settings import SearchSettings
from steerlens.evaluation.searching.tested import ALL, front_of, regret_table, run_choices, tested_table
from steerlens.evaluation.searching.vectors import CrossFit
from steerlens.models.lens import LensModel

log = logging.getLogger("steerlens")


def search(
    model: LensModel,
    items: Items | Split,
    locales: Sequence[str],
    objective: str | Objective = LESSER_GAIN,
    *,
    settings: SearchSettings | None = None,
    test: Items | None = None,
    batch_size: int | None = None,
) -> Search:
    """Chooses a plan for each locale, and one for all, and says what each does on test.

    Concepts of ``items`` give vectors and are scored, none under its own: a fold is scored under vectors from the other folds.
    Each vector is run at ``first_layers`` of the layers at one strength; that and derivatives predict the other strengths (as
    ``sweep`` does in mode ``screened``) and the most promising cells are run; the best cells of both vectors are combined, since
    the two interact; and the best of each is improved by a step of layer, strength or tokens at a time. Only what was run, within
    the limits, is chosen from. The final vectors are taken from all folds.

    Args:
        items: what vectors are taken from and choices rest on; of a split, train and dev, and its test for ``test``.
        locales: searched one by one and together.
        objective: ``lesser gain`` (of transfer and localization), ``sum of gains``, ``transfer``, ``localization``, or a function
            from ``Gains`` to a number. EN alone is chosen by transfer and LOC alone by localization.
        settings: what is tried and what may be spent; the defaults for ``None``.
        test: items that no choice sees. Without them, regret is that on dev, where each locale's own choice is among the best by
            construction.

    Raises:
        UnknownNameError: no such objective, or a locale without items.
        SettingsError: no locales, English among them, or fewer than two layers.
        DataError: fewer concepts of a kind than folds; a concept both in ``items`` and in ``test``.
        PairsError: a locale whose items give no pairs for a vector in some fold.
    """
    started, settings = time.time(), settings or SearchSettings()
    name, value = objective_of(objective)
    if isinstance(items, Split):
        test = items.test if test is None else test
        items = Items((*items.train, *items.dev), items.train.name)
    locales = _checked(items, test, locales)
    layers = model.layers(settings.layers)
    if len(layers) < 2:
        raise SettingsError(f"layers {layers} given: a search adds two vectors at two layers. Give two or more.")
    log.info("Taking vectors from all folds but one")
    fitted = CrossFit(model, items, locales, layers, settings, batch_size)
    ledger = Ledger(fitted.parts())
    chooser = Chooser(ledger, value, layers, settings)
    choices = {x: chooser.choices((x,), x) for x in locales}
    choices[ALL] = chooser.choices(locales, ALL) if len(locales) > 1 else choices[locales[0]]
    vectors, tried = {x: fitted.vectors(x) for x in locales}, _tried(ledger, value, settings.limits)
    judge = ledger if test is None else _judge(model, test, vectors, settings, batch_size)
    part = "dev" if test is None else "test"
    run_choices(judge, choices, f"Choices on {part}")
    manifest = {
        "objective": name, "locales": list(locales), "layers": list(layers), "settings": settings.to_dict(),
        "model": model.fingerprint.to_dict(), "data": items.digest(), "test": None if test is None else test.digest(),
        "passes": {"dev": ledger.passes, "test": 0 if test is None else judge.passes}, "seconds": round(time.time() - started, 1),
    }  # fmt: skip
    return Search(
        manifest,
        choices,
        vectors,
        tried,
        Regret(regret_table(judge, choices, value, part, settings.seed)),
        None if test is None else Tested(tested_table(judge, choices, settings.seed)),
    )


def _checked(items: Items, test: Items | None, locales: Sequence[str]) -> tuple[str, ...]:
    if not locales or ENGLISH in locales:
        raise SettingsError(
            f"locales {tuple(locales)} given: expected at least one, and not {ENGLISH}, which EN pairs start from."
        )
    for locale in locales:  # before anything is run
        for asked in (items, test):
            _ = asked.of(locale=locale) if asked else None
    both = set(map(group_of, items.concepts)) & set(map(group_of, test.concepts if test else ()))
    if both:
        raise DataError(
            f"{len(both)} concepts are both searched on and tested, {sorted(both)[0]!r} among them: a choice tested on what "
            "it was made from looks better than it is. Give items and test of different concepts, as items.split() makes them."
        )
    return tuple(dict.fromkeys(locales))


def _judge(model: LensModel, test: Items, vectors: VectorsByLocale, settings: SearchSettings, batch_size: int | None) -> Ledger:
    some = test.sample(settings.test_concepts, seed=settings.seed)
    return Ledger(
        [Part(x, Scorer(model, some.of(locale=x), settings.scoring, batch_size=batch_size), own) for x, own in vectors.items()]
    )


def _tried(ledger: Ledger, objective: Objective, limits: Limits) -> Tried:
    """Every recipe that was run, in each locale and, where it was run in all, over all."""
    import pandas as pd

    rows = []
    scopes = {**{x: (x,) for x in ledger.locales}, ALL: ledger.locales}
    for scope, locales in scopes.items():
        recipes = ledger.tried(locales)
        gains = [ledger.gains(recipe, locales) for recipe in recipes]
        allowed = [limits.allow(own) for own in gains]
        best = iter(front_of([own for own, fits in zip(gains, allowed, strict=True) if fits]))
        for recipe, own, fits in zip(recipes, gains, allowed, strict=True):
            place = {"locale": scope, "plan": str(recipe), "method": recipe.method}
            changes = {n: getattr(own, n) for n in ("transfer", "localization", "english_centric", "perplexity")}
            verdict = {"objective": objective(own) if own.valid else math.nan, "allowed": fits, "front": fits and next(best)}
            rows.append({**place, **changes, **verdict})
    return Tried(pd.DataFrame(rows))
