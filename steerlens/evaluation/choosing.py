"""Choosing one plan for each contrast, and one for all together, from a sweep, by dev alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from steerlens.errors import SettingsError
from steerlens.evaluation.combinations import Combinations
from steerlens.evaluation.scores import scores_of
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.evaluation.searching.measured import Part, ScoreCache
from steerlens.evaluation.searching.objectives import OBJECTIVES
from steerlens.evaluation.searching.steps import Aim, candidates, combined, joint_score, own_score
from steerlens.evaluation.sweeps import CELL, Sweep, SweptFrom
from steerlens.settings import LESSER_GAIN
from steerlens.steering import SURGICAL, PlanSpec
from steerlens.steering.contrasts import aim_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Choices(Mapping[str, Chosen]):
    """What was chosen: ``choices["EN"]`` for a contrast, ``choices.surgical`` for all together. A method for the plane, each."""

    each: Mapping[str, Chosen]
    """By name: every contrast, and ``surgical`` where there are several."""
    tried: Combinations
    """The combinations that surgical steering was chosen from, on dev."""

    def __getitem__(self, name: str) -> Chosen:
        return self.each[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)

    def __str__(self) -> str:
        width = max(map(len, self.each))
        return "\n".join(f"{name:<{width}}  {chosen}" for name, chosen in self.each.items())

    @property
    def surgical(self) -> Chosen:
        """The combination of all contrasts.

        Raises:
            SettingsError: there was one contrast only.
        """
        if SURGICAL not in self.each:
            raise SettingsError(f"one contrast was swept, {', '.join(self.each)}: surgical steering combines two or more.")
        return self.each[SURGICAL]


def choose(swept: Sweep, source: SweptFrom) -> Choices:
    """Chooses as ``Sweep.choose`` says, which names what is raised."""
    run, locales = _run_cells(swept), source.vectors.locales_in(source.items)
    aims = {name: aim_of(next(v for (own, _), v in source.vectors.items() if own == name)) for name in source.vectors.names}
    parts = [Part(code, source.items.of(locale=code), source.vectors.of(code)) for code in locales]
    cache = ScoreCache(source.model, parts, list(aims.values()), source.scoring, source.batch_size, source.running)
    cells = _noted(cache, run)
    own = {name: [spec for spec in cells if spec.name == name] for name in aims}
    missing = [name for name, held in own.items() if not held]
    if missing or (len(aims) > 1 and run["layer"].nunique() < 2):
        raise SettingsError(
            f"the sweep holds {', '.join(f'{len(held)} cells of {name}' for name, held in own.items())} that were run with "
            f"finite scores, at {run['layer'].nunique()} layers: choosing needs cells of every contrast that were run, not "
            "predicted, at two layers or more. Sweep all, with more layers, in mode 'exact' or 'screened'."
        )
    best = {name: Aim(cache, locales, own_score(aim)).ordered(own[name]) for name, aim in aims.items()}
    tops = {
        name: ordered[0] if Aim(cache, locales, own_score(aims[name])).helps(ordered[0]) else PlanSpec()
        for name, ordered in best.items()
    }
    pairs: list[PlanSpec] = []
    if len(aims) > 1:
        pairs = combined([candidates(cache, locales, own[name], aim) for name, aim in aims.items()], list(best.values())[-1])
        joint = Aim(cache, locales, joint_score(OBJECTIVES[LESSER_GAIN]))
        joint.run(pairs, "Surgical")
        if not any(joint.allowed(pair) for pair in pairs):
            raise SettingsError(
                f"every combination gives NaN or infinite scores, {pairs[0]} among them: sweep smaller strengths, or load the "
                "model in bfloat16 or float32."
            )
        tops[SURGICAL] = joint.ordered(pairs)[0]
    each = {name: Chosen(name, spec, cache.gains(spec, locales), source.vectors) for name, spec in tops.items()}
    return Choices(each, Combinations(cache.table(pairs), swept.meta))


def _run_cells(swept: Sweep) -> "pd.DataFrame":
    """Returns the rows of cells that were run with finite scores: a prediction is no evidence, and NaN is no answer."""
    run = swept.frame[swept.frame["exact"]]
    told = run["base"].notna() & run["score"].isin(swept.scores)
    return run[~(run["value"].isna() & told).groupby([run[name] for name in CELL]).transform("any")]


def _noted(cache: ScoreCache, run: "pd.DataFrame") -> list[PlanSpec]:
    """Puts the sweep's cells into the cache and returns their specs.

    Raises:
        SettingsError: the sweep and the items differ, or the sweep lacks a score that a contrast is meant to raise.
    """
    lines = {score.name: at for at, score in enumerate(cache.scores)}
    needed = {score.name for score in scores_of(cache.aims)}
    lacking = needed - set(run["score"])
    if lacking:
        raise SettingsError(f"the sweep lacks scores {sorted(lacking)}, which its contrasts are meant to raise: sweep these too.")
    specs: dict[PlanSpec, None] = {}
    for locale, rows in run.groupby("locale", sort=False):
        order = {(item.kind, item.concept): at for at, item in enumerate(cache.items.get(str(locale), ()))}
        if set(zip(rows["kind"], rows["concept"], strict=True)) != order.keys():
            raise SettingsError(
                f"the sweep and the items differ in {locale}: give the items that were swept, of all kinds, and the vectors of "
                "the same locales."
            )
        for (vector, layer, strength, tokens), cell in rows.groupby(CELL, sort=False):
            spec = PlanSpec.of(str(vector), int(layer), float(strength), tokens)
            specs[spec] = None
            for noted, column in ((spec, "value"), (PlanSpec(), "base")):
                values = np.full((len(lines), len(order)), np.nan)  # a sweep does not hold the score of the answer's text
                for score, kind, concept, value in zip(cell["score"], cell["kind"], cell["concept"], cell[column], strict=True):
                    if score in lines:
                        values[lines[score], order[kind, concept]] = value
                cache.note(str(locale), noted, values)
    return list(specs)
