"""Chooses plans from a sweep on dev: one plan for each contrast, and one plan for all contrasts together."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from steerlens.data import ENGLISH, Items
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation.combinations import Combinations
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.evaluation.searching.measured import Measured, Part, ScoreCache, Values
from steerlens.evaluation.searching.objectives import OBJECTIVES
from steerlens.evaluation.searching.steps import CANDIDATES, Aim, at_other_layers, combined, joint_score, own_score
from steerlens.evaluation.searching.text_costs import TextCosts
from steerlens.evaluation.sweeps import CELL, Sweep, SweptFrom
from steerlens.scores import score_of
from steerlens.settings import LESSER_GAIN, TextLimits
from steerlens.steering import SURGICAL, PlanSpec, VectorSet
from steerlens.steering.contrasts import aim_of

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("steerlens")

_FEW = 2
"""The number of layers of each contrast that are combined after a screened sweep. A screened sweep runs few cells in full, to
save time."""


@dataclass(frozen=True, eq=False)
class Choices(Mapping[str, Chosen]):
    """The chosen plans: ``choices["EN"]`` for a contrast, ``choices.surgical`` for all contrasts together. Each choice can be
    used as a method for the transfer-localization plane."""

    each: Mapping[str, Chosen]
    """The choices by name. Each contrast has a choice with the contrast's name. If several contrasts share a locale, there is
    also the choice ``surgical``."""
    tried: Combinations
    """The combinations of cells that were run on dev. The plan for all contrasts together was chosen from these combinations,
    the single cells, and the unsteered model."""

    def __getitem__(self, name: str) -> Chosen:
        """Returns the choice with the given name.

        Raises:
            UnknownNameError: there is no such choice.
        """
        if name not in self.each:
            raise UnknownNameError("choice", name, self.each)
        return self.each[name]

    def __contains__(self, name: object) -> bool:
        """Returns whether there is a choice with a name."""
        return name in self.each

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the choice with a ``name``, or ``default`` if there is no such choice.

        Args:
            name: a contrast's name, or ``surgical``.
            default: the result if there is no such choice.
        """
        return self.each.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)

    def __str__(self) -> str:
        width = max(map(len, self.each))
        return "\n".join(f"{name:<{width}}  {chosen}" for name, chosen in self.each.items())

    @property
    def surgical(self) -> Chosen:
        """The choice for all contrasts together: one cell of each contrast, cells of some contrasts, or the unsteered model.

        Raises:
            SettingsError: there was only one contrast, or the contrasts share no locale.
        """
        if SURGICAL not in self.each:
            raise SettingsError(
                f"only these contrasts were swept together: {', '.join(self.each)}. Surgical steering combines two or more "
                "contrasts that have a locale in common. Sweep contrasts with a common locale together."
            )
        return self.each[SURGICAL]


def choose(swept: Sweep, source: SweptFrom, seed: int = 0, limits: TextLimits | None = None) -> Choices:
    """Chooses plans as described in ``Sweep.choose``, which also lists the errors."""
    aims = {name: aim_of(next(iter(source.vectors.named(name).values()))) for name in source.vectors.names}
    lacking = {score.name for score in map(score_of, aims.values())} - set(swept.frame["score"])
    if lacking:
        raise SettingsError(
            f"the sweep lacks the scores {sorted(lacking)}, which its contrasts are meant to raise. Sweep again with the missing "
            "scores."
        )
    cache = ScoreCache(
        source.model, _parts(source, swept), list(aims.values()), source.scoring, source.batch_size, source.running,
        max_new_tokens=source.max_new_tokens, items=source.items,
    )  # fmt: skip
    texts = None if limits is None else TextCosts(cache, limits, seed)
    own = _cells(cache, _run_cells(swept), aims)
    each = {name: Aim(cache, _locales_of(name, swept), own_score(aim), texts=texts) for name, aim in aims.items()}
    chosen = {
        name: aim.choice(own[name], (aims[name],), seed, partial(_run_weaker, aim, own[name], swept))
        for name, aim in each.items()
    }
    if texts is not None:
        own = {name: [spec for spec in cells if not texts.refused(spec, each[name].locales)] for name, cells in own.items()}
    n = _FEW if swept.meta.get("mode") == "screened" else CANDIDATES
    tops = {name: _tops(aim.ordered(own[name]), chosen[name][0], n) for name, aim in each.items()}
    where = _in_common({name: aim.locales for name, aim in each.items()}, source.vectors)
    for name, aim in each.items():
        cache.forget_incomplete([chosen[name][0], *tops[name]])
        aim.run([chosen[name][0], *tops[name]], f"{name} on all items")
        _say_if_at_edge(chosen[name][0], swept)
    cache.check_aims(cache.locales)
    tried: list[PlanSpec] = []
    if len(aims) > 1 and where:
        joint = Aim(cache, where, joint_score(OBJECTIVES[LESSER_GAIN]), texts=texts)
        left = [name for name, cells in own.items() if cells]  # a contrast whose cells all make texts worse is left out
        if len(left) > 1:
            others = [replace(each[name], locales=where).ordered(own[name]) for name in left]
            pairs = combined([tops[name] for name in left], others)
            if pairs or not any(found and found.skipped for _, found in chosen.values()):
                tried = _run_together(joint, pairs)
        alone = (cell for cells in tops.values() for cell in cells)
        chosen[SURGICAL] = joint.choice([*tried, *alone], tuple(dict.fromkeys(aims.values())), seed)
    made = {
        name: Chosen(name, spec, cache.gains(spec, each[name].locales if name in each else where), source.vectors, found)
        for name, (spec, found) in chosen.items()
    }
    return Choices(made, Combinations(cache.table(tried, where), swept.meta))


def _run_weaker(aim: Aim, cells: list[PlanSpec], swept: Sweep, top: PlanSpec) -> list[PlanSpec]:
    """Runs the cells of the sweep that are at the layer of the cell ``top``, have a smaller strength and were only predicted.
    Returns these cells, and adds them to ``cells``, which are the contrast's cells with results."""
    best = top.steps[0]
    strengths = sorted(set(swept.frame.loc[swept.frame["vector"] == best.vector, "strength"]))
    lacking = [PlanSpec((replace(best, strength=x),)) for x in strengths if 0 < x < best.strength]
    lacking = [spec for spec in lacking if spec not in cells]
    if lacking:
        aim.run(lacking, f"{best.vector}, weaker", top)
        cells += lacking
    return lacking


def _tops(ordered: list[PlanSpec], chosen: PlanSpec, n: int) -> list[PlanSpec]:
    """Returns the cells of one contrast that are combined with cells of other contrasts. If the contrast's chosen cell is at
    the layer of one of the returned cells, the chosen cell replaces this cell."""
    tops = at_other_layers(ordered, n)
    return [chosen if chosen.steps and chosen.steps[0].layer == top.steps[0].layer else top for top in tops]


def _say_if_at_edge(spec: PlanSpec, swept: Sweep) -> None:
    """Logs a message if the strongest of several strengths was chosen, because a larger strength may gain more."""
    strengths = set(swept.frame.loc[swept.frame["vector"] == spec.name, "strength"])
    if len(strengths) > 1 and spec.steps[0].strength == max(strengths):
        log.info(
            "%s was chosen at the largest swept strength, so a larger strength may be better. To try larger strengths, use "
            "sweep(..., mode='exact', extend=%d), which doubles the largest strength while the best cell has this strength.",
            *(spec, swept.meta.get("extend", 0) + 2),
        )


def _parts(source: SweptFrom, swept: Sweep) -> list[Part]:
    """Returns the swept items of each locale and kind, with the vectors of the locale."""
    frame = swept.frame
    locales = dict.fromkeys(source.vectors.locales_in(source.items))
    if ENGLISH in set(frame["locale"]):  # some scores are measured on English items
        locales[ENGLISH] = None
    parts, some = [], _places(_run_cells(swept)) if swept.meta.get("mode") == "halving" else None
    for code in locales:
        kinds = dict.fromkeys(frame["kind"] if code != ENGLISH else frame.loc[frame["locale"] == ENGLISH, "kind"])
        for kind in kinds:
            own = tuple(
                item
                for item in source.items.of(locale=code)
                if item.kind == kind and (some is None or (code, item.concept) in some)
            )
            if own:
                parts.append(Part(code, Items(own, source.items.name), source.vectors.of(code)))
    return parts


def _locales_of(name: str, swept: Sweep) -> tuple[str, ...]:
    """Returns the locales in which a contrast was swept."""
    return tuple(dict.fromkeys(swept.frame.loc[swept.frame["vector"] == name, "locale"]))


def _in_common(locales: Mapping[str, tuple[str, ...]], vectors: VectorSet) -> tuple[str, ...]:
    """Returns the locales in which all contrasts were swept. A warning is logged if a contrast was also swept in other
    locales.

    In English, vectors without a locale are measured only by some scores. Therefore English is included only if there is no
    other locale.
    """
    first, *others = locales.values()
    both = tuple(code for code in first if all(code in own for own in others))
    both = tuple(code for code in both if code != ENGLISH or ENGLISH in vectors.locales) or both
    if len(locales) > 1 and any(len(vectors.named(name).locales or both) > len(both) for name in locales):
        listed = "; ".join(f"{name}: {', '.join(own)}" for name, own in locales.items())
        how = (
            f"combinations are chosen in {', '.join(both)}, because all contrasts were swept there"
            if both
            else "no combination is chosen"
        )
        log.warning(
            "The contrasts were swept in different locales (%s). Each contrast is chosen in its own locales, and %s.", listed, how
        )
    return both


def _cells(cache: ScoreCache, run: "pd.DataFrame", aims: Mapping[str, str]) -> dict[str, list[PlanSpec]]:
    """Returns the plan specs of each contrast's cells, and puts the results of the cells into the cache.

    Raises:
        SettingsError: no cell of a contrast was run, or several contrasts are combined and all cells are at one layer.
    """
    counts = {name: len(run.loc[run["vector"] == name, CELL].drop_duplicates()) for name in aims}
    layers = run["layer"].nunique()
    if not all(counts.values()) or (len(aims) > 1 and layers < 2):
        listed = " and ".join(f"{n} {name}" for name, n in counts.items())
        raise SettingsError(
            f"the sweep contains {listed} cells that were run and have finite scores, at {layers} layers: expected cells of "
            "every contrast, at two or more layers. Cells that were only predicted do not count. Sweep all contrasts at more "
            "layers, in mode 'exact' or 'screened'."
        )
    specs = _noted(cache, run)
    return {name: [spec for spec in specs if spec.name == name] for name in aims}


def _run_together(joint: Aim, combinations: list[PlanSpec]) -> list[PlanSpec]:
    """Runs combinations and returns them in order, with the best combination first.

    Raises:
        SettingsError: there are no combinations, or no combination has finite scores.
    """
    if not combinations:
        raise SettingsError(
            "the cells of the contrasts cannot be combined, because each contrast needs a different layer. Sweep more layers, "
            "or fewer contrasts."
        )
    joint.run(combinations, "Surgical")
    if not any(joint.allowed(spec) for spec in combinations):
        raise SettingsError(
            f"every combination, such as {combinations[0]}, gives NaN or infinite scores. Sweep smaller strengths, or load the "
            "model in bfloat16 or float32."
        )
    return joint.ordered(combinations)


def _run_cells(swept: Sweep) -> "pd.DataFrame":
    """Returns the rows of the cells that were run with finite scores. Predicted cells, cells with NaN scores, and cells that
    halving ran on fewer items are not used for choices."""
    run = swept.frame[swept.frame["exact"]]
    run = run[run["valid"].groupby([run[name] for name in CELL]).transform("all").astype(bool)]
    items = run["locale"] + " " + run["concept"]
    # halving runs better cells on more items
    asked = items.groupby([run[name] for name in CELL]).transform("nunique")
    return run[asked == asked.groupby(run["vector"]).transform("max")]


def _places(run: "pd.DataFrame") -> set[tuple[str, str]]:
    """Returns the locale and concept of each item that was swept."""
    return set(zip(run["locale"], run["concept"], strict=True))


def _noted(cache: ScoreCache, run: "pd.DataFrame") -> list[PlanSpec]:
    """Puts the results of the sweep's cells into the cache, and returns the plan specs of the cells.

    Raises:
        SettingsError: the sweep and the items differ.
    """
    lines = {score.name: at for at, score in enumerate(cache.scores)}
    specs: dict[PlanSpec, None] = {}
    swept = set(zip(run["vector"], run["kind"], strict=True))
    for locale in dict.fromkeys((*cache.locales, *run["locale"])):
        for at, part in enumerate(cache.parts.get(locale, [Part(locale, Items(()), {})])):
            kinds = {item.kind for item in part.items} or set(run["kind"])
            rows = run[(run["locale"] == locale) & run["kind"].isin(kinds)]
            order = {item.concept: column for column, item in enumerate(part.items)}
            if rows.empty and not any((name, kind) in swept for name in part.vectors for kind in kinds):
                continue  # no vector of this locale is measured on these items
            if set(rows["concept"]) != order.keys():
                raise SettingsError(
                    f"the sweep and the given items differ in {locale}: expected the items that were swept, and vectors for "
                    "the locales that were swept. Give the items and vectors of the sweep."
                )
            base = _unknown(lines, order)  # filled by the cells of every vector, which may contain different scores
            for (vector, layer, strength, tokens), cell in rows.groupby(CELL, sort=False):
                spec = PlanSpec.of(str(vector), int(layer), float(strength), tokens)
                specs[spec] = None
                for noted, column, values in ((spec, "value", _unknown(lines, order)), (PlanSpec(), "base", base)):
                    for score, concept, value in zip(cell["score"], cell["concept"], cell[column], strict=True):
                        if score in lines:
                            values[lines[score], order[concept]] = value
                    cache.note(locale, at, noted, Measured(values, np.ones(len(order), dtype=bool)))  # all these cells are valid
    return list(specs)


def _unknown(lines: Mapping[str, int], order: Mapping[str, int]) -> Values:
    """Returns an array of NaN for values that are not known yet. For example, a sweep may lack the score of an answer's
    text."""
    return np.full((len(lines), len(order)), np.nan)
