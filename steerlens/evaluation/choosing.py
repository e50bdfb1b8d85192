"""Choosing one plan for each contrast, and one for all together, from a sweep, by dev alone."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from steerlens.errors import SettingsError
from steerlens.evaluation.combinations import Combinations
from steerlens.evaluation.scores import scores_of
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.evaluation.searching.measured import Measured, Part, ScoreCache
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
    aims = {name: aim_of(next(iter(source.vectors.named(name).values()))) for name in source.vectors.names}
    lacking = {score.name for score in scores_of(aims.values())} - set(swept.frame["score"])
    if lacking:
        raise SettingsError(f"the sweep lacks scores {sorted(lacking)}, which its contrasts are meant to raise: sweep these too.")
    parts = _parts(source, set(swept.frame["kind"]))
    cache = ScoreCache(
        source.model, parts, list(aims.values()), source.scoring, source.batch_size, source.running,
        max_new_tokens=source.max_new_tokens, items=source.items,
    )  # fmt: skip
    own = _cells(cache, _run_cells(swept), aims)
    cache.check_aims(cache.locales)
    each = {name: Aim(cache, cache.locales, own_score(aim)) for name, aim in aims.items()}
    best = {name: aim.ordered(own[name]) for name, aim in each.items()}
    tops = {name: ordered[0] if each[name].helps(ordered[0]) else PlanSpec() for name, ordered in best.items()}
    tried: list[PlanSpec] = []
    if len(aims) > 1:
        several = [candidates(cache, cache.locales, own[name], aim) for name, aim in aims.items()]
        tried = _run_together(cache, combined(several, list(best.values())[-1]))
        tops[SURGICAL] = tried[0]
    chosen = {name: Chosen(name, spec, cache.gains(spec, cache.locales), source.vectors) for name, spec in tops.items()}
    return Choices(chosen, Combinations(cache.table(tried), swept.meta))


def _parts(source: SweptFrom, kinds: Collection[str]) -> list[Part]:
    """Returns what the swept items, those of the kinds that were swept, are scored with; all items of a locale together."""
    items = source.items.where(lambda item: item.kind in kinds)
    return [Part(code, items.of(locale=code), source.vectors.of(code)) for code in source.vectors.locales_in(items)]


def _cells(cache: ScoreCache, run: "pd.DataFrame", aims: Mapping[str, str]) -> dict[str, list[PlanSpec]]:
    """Returns the specs of each contrast's cells, and puts them into the cache.

    Raises:
        SettingsError: a contrast without cells that were run, or cells at one layer alone, where several are combined.
    """
    counts = {name: len(run.loc[run["vector"] == name, CELL].drop_duplicates()) for name in aims}
    layers = run["layer"].nunique()
    if not all(counts.values()) or (len(aims) > 1 and layers < 2):
        listed = " and ".join(f"{n} {name}" for name, n in counts.items())
        raise SettingsError(
            f"the sweep holds {listed} cells that were run with finite scores, at {layers} layers: choosing needs cells of every "
            "contrast that were run, not predicted, at two layers or more. Sweep all, with more layers, in mode 'exact' or "
            "'screened'."
        )
    specs = _noted(cache, run)
    return {name: [spec for spec in specs if spec.name == name] for name in aims}


def _run_together(cache: ScoreCache, combinations: list[PlanSpec]) -> list[PlanSpec]:
    """Runs combinations and returns them, the best first.

    Raises:
        SettingsError: there are none, or none gives finite scores.
    """
    if not combinations:
        raise SettingsError("no cells of all contrasts lie at different layers: sweep more layers, or fewer contrasts.")
    joint = Aim(cache, cache.locales, joint_score(OBJECTIVES[LESSER_GAIN]))
    joint.run(combinations, "Surgical")
    if not any(joint.allowed(spec) for spec in combinations):
        raise SettingsError(
            f"every combination gives NaN or infinite scores, {combinations[0]} among them: sweep smaller strengths, or load the "
            "model in bfloat16 or float32."
        )
    return joint.ordered(combinations)


def _run_cells(swept: Sweep) -> "pd.DataFrame":
    """Returns the rows of cells that were run with finite scores: a prediction is no evidence, and NaN is no answer."""
    run = swept.frame[swept.frame["exact"]]
    return run[run["valid"].groupby([run[name] for name in CELL]).transform("all").astype(bool)]


def _noted(cache: ScoreCache, run: "pd.DataFrame") -> list[PlanSpec]:
    """Puts the sweep's cells into the cache and returns their specs.

    Raises:
        SettingsError: the sweep and the items differ.
    """
    lines = {score.name: at for at, score in enumerate(cache.scores)}
    specs: dict[PlanSpec, None] = {}
    for locale in dict.fromkeys((*cache.locales, *run["locale"])):
        rows = run[run["locale"] == locale]
        order = {(item.kind, item.concept): at for at, item in enumerate(cache.items.get(locale, ()))}
        if set(zip(rows["kind"], rows["concept"], strict=True)) != order.keys():
            raise SettingsError(
                f"the sweep and the items differ in {locale}: give the items that were swept, and the vectors of the same "
                "locales."
            )
        for (vector, layer, strength, tokens), cell in rows.groupby(CELL, sort=False):
            spec = PlanSpec.of(str(vector), int(layer), float(strength), tokens)
            specs[spec] = None
            for noted, column in ((spec, "value"), (PlanSpec(), "base")):
                values = np.full((len(lines), len(order)), np.nan)  # a sweep does not hold the score of the answer's text
                for score, kind, concept, value in zip(cell["score"], cell["kind"], cell["concept"], cell[column], strict=True):
                    if score in lines:
                        values[lines[score], order[kind, concept]] = value
                cache.note(locale, noted, Measured(values, np.ones(len(order), dtype=bool)))  # all these cells are valid
    return list(specs)
