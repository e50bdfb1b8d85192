"""Choosing one plan each for EN, LOC and surgical steering from a sweep, by dev alone."""

from typing import TYPE_CHECKING

import numpy as np

from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation.questions import Scoring
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.searching.ledger import Ledger, Part
from steerlens.evaluation.searching.objectives import LESSER_GAIN, OBJECTIVES
from steerlens.evaluation.searching.recipes import Chosen, Recipe, VectorsByLocale, single
from steerlens.evaluation.searching.steps import Aim, candidates, combined, joint_score, own_score
from steerlens.evaluation.sweeps import Sweep
from steerlens.models.lens import LensModel
from steerlens.steering import Which

if TYPE_CHECKING:
    import pandas as pd


def choose(
    model: LensModel,
    dev: Items,
    swept: Sweep,
    vectors: VectorsByLocale,
    *,
    tokens: Which = "all",
    scoring: Scoring | None = None,
    batch_size: int | None = None,
) -> tuple[tuple[Chosen, ...], Sweep]:
    """One plan each for EN, LOC and surgical steering, by what they did on dev over all locales.

    EN is the cell with the largest change of transfer, LOC the one with the largest change of localization; ties go to
    the larger change of margin, then to the smaller strength. Surgical combines the best cells of both, judged by their
    gain less what they cost the other score, at two different layers; each combination is run on dev, and the one whose
    lesser gain is largest is taken. ``search`` goes further: each locale's own choice, limits, both vectors improved together.

    Args:
        dev: the items that were swept.
        swept: a sweep of both vectors.

    Returns:
        The choices, and the surgical combinations' results as a table like the sweep's.

    Raises:
        SettingsError: the sweep lacks EN or LOC, has only one layer, or was made on other items; or all scores are NaN.
    """
    run = _run_cells(swept)
    locales = tuple(vectors)
    ledger = Ledger([Part(x, Scorer(model, dev.of(locale=x), scoring, batch_size=batch_size), own) for x, own in vectors.items()])
    cells = _noted(ledger, run, tokens)
    ens, locs = ([recipe for recipe in cells if recipe.method == name] for name in ("EN", "LOC"))
    best_en, best_loc = (Aim(ledger, locales, own_score(n)).ordered(own) for n, own in (("EN", ens), ("LOC", locs)))
    pairs = combined(candidates(ledger, locales, ens), candidates(ledger, locales, locs), best_loc)
    joint = Aim(ledger, locales, joint_score(OBJECTIVES[LESSER_GAIN]))
    joint.run(pairs, "Surgical")
    if not any(joint.allowed(pair) for pair in pairs):
        raise SettingsError(
            f"every combination of EN and LOC gives NaN or infinite scores, {pairs[0]} among them: sweep smaller strengths, or "
            "load the model in bfloat16 or float32."
        )
    tops = (("EN", best_en[0]), ("LOC", best_loc[0]), ("surgical", joint.ordered(pairs)[0]))
    chosen = tuple(Chosen(method, recipe, ledger.gains(recipe, locales)) for method, recipe in tops)
    return chosen, Sweep(_as_sweep(ledger.rows(pairs)))


def _run_cells(swept: Sweep) -> "pd.DataFrame":
    run = swept.frame[swept.frame["exact"]]  # a prediction is no evidence
    cell = ["vector", "layer", "strength"]
    run = run[~run["margin"].isna().groupby([run[name] for name in cell]).transform("any")]  # and NaN is no answer
    if {"EN", "LOC"} - set(run["vector"]) or run["layer"].nunique() < 2:
        en, loc = (run[run["vector"] == name].groupby(["layer", "strength"]).ngroups for name in ("EN", "LOC"))
        raise SettingsError(
            f"the sweep holds {en} EN and {loc} LOC cells that were run with finite scores, at {run['layer'].nunique()} layers: "
            "choosing needs cells of both vectors that were run, not predicted, at two layers or more. Sweep both, with more "
            "layers, in mode 'exact' or 'screened'."
        )
    return run


def _noted(ledger: Ledger, run: "pd.DataFrame", tokens: Which) -> list[Recipe]:
    """The sweep's cells, put into the ledger."""
    columns = ["hit", "english_centric", "margin"]
    recipes: dict[Recipe, None] = {}
    for locale, rows in run.groupby("locale", sort=False):
        order = {(item.kind, item.concept): at for at, item in enumerate(ledger.items.get(str(locale), ()))}
        for (vector, layer, strength), cell in rows.groupby(["vector", "layer", "strength"], sort=False):
            keys = list(zip(cell["kind"], cell["concept"], strict=True))
            if set(keys) != order.keys():
                raise SettingsError(
                    f"the sweep and dev hold different items in {locale} ({len(set(keys))} and {len(order)}): give the items "
                    "that were swept, of both kinds, and the vectors of the same locales."
                )
            at, recipe = [order[key] for key in keys], single(str(vector), int(layer), float(strength), tokens)
            recipes[recipe] = None
            for noted, prefix in ((recipe, ""), (Recipe(), "base_")):
                answers = np.full((4, len(order)), np.nan)  # a sweep does not hold the score of the answer's text
                answers[:3, at] = cell[[prefix + name for name in columns]].to_numpy(dtype=float).T
                ledger.note(str(locale), noted, answers)
    return list(recipes)


def _as_sweep(rows: "pd.DataFrame") -> "pd.DataFrame":
    """The combinations in the sweep's columns: EN's layer and strength, and LOC's beside them."""
    named = rows.assign(method=rows["recipe"].map(str), vector="surgical")
    for at, prefix in enumerate(("", "loc_")):
        for name in ("layer", "strength"):
            named[prefix + name] = [getattr(recipe.cells[at], name) for recipe in rows["recipe"]]
    return named.drop(columns="recipe")
