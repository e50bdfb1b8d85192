"""Which ways to steer do more than the standard ones: variants of EN, of LOC and of both, chosen on dev and run once on test."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import nan as NAN
from typing import Any

import pandas as pd

import steerlens as sl
from experiments.common import Context, main
from experiments.steps import CLAIMED, MARGINS, Source, differences, prepared
from experiments.variants.counts import part_of_test, planned, said
from experiments.variants.made import VARIANTS, Variant, made, spelled_alike
from experiments.variants.shown import ALL, APART, CLIMBED, OTHERWISE, TOGETHER, judged, other_axis, shown
from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation import OBJECTIVES, Answers, Chosen, Combinations, Expected, Scoring, Sweep, answered
from steerlens.evaluation.searching.measured import Part, ScoreCache
from steerlens.evaluation.searching.steps import Aim, climb, joint_score
from steerlens.plotting import forest_figure, forest_rows
from steerlens.settings import LESSER_GAIN, spaced
from steerlens.steering import UNSTEERED, PlanSpec, StepSpec, VectorSet

_CELLS = ["vector", "layer", "strength", "tokens", "value", "base", "change", "margin", "n", "items", "score"]


def run(context: Context) -> None:
    """Sweeps every variant on dev, chooses a cell of each, and runs them all on test."""
    source, layers = prepared(context), spaced(context.model.layers(), context.config["layers"])
    counts = planned(source, layers)
    context.notes["item-cells"] = counts
    print(f"{context.name}: {said(counts)}", flush=True)
    with context.timed("vectors"):
        own = made(context, source, layers)
    context.results.write("maps", pd.DataFrame(own.maps))
    swept = _swept(context, source, own.vectors)
    with context.timed("choices on dev"):
        found = {one.name: best_of(_only(swept, one.name).choose(limits=None)[one.name]) for one in VARIANTS}
    _tested(context, source, own.vectors, found)
    _surgical(context, source, swept, found, layers)


def _swept(context: Context, source: Source, vectors: VectorSet) -> Sweep:
    """Sweeps all variants, those with the same tokens and strengths at once, each by its own score."""
    groups: dict[tuple[Any, tuple[float, ...]], list[str]] = {}
    for one in VARIANTS:
        groups.setdefault((one.tokens, one.swept(context.config)), []).append(one.name)
    parts = []
    for (tokens, strengths), names in groups.items():
        with context.timed(f"sweep of {', '.join(names)}"):
            common: dict[str, Any] = {"tokens": tokens, "resume": context.running}
            own = vectors.named(*names)
            parts.append(sl.evaluation.sweep(context.model, source.part("dev"), own, None, strengths, **common))
    assert parts[0].source is not None
    frame = pd.concat([part.frame for part in parts], ignore_index=True)
    swept = Sweep(frame, parts[0].meta, replace(parts[0].source, vectors=vectors))
    cells = [_only(swept, one.name).cells(CLAIMED[one.kind]).assign(score=CLAIMED[one.kind]) for one in VARIANTS]
    context.results.write("sweep", pd.concat(cells)[_CELLS])
    return swept


def _only(swept: Sweep, *names: str) -> Sweep:
    """Returns the sweep of some vectors alone."""
    assert swept.source is not None
    own = replace(swept.source, vectors=swept.source.vectors.named(*names))
    return replace(swept, frame=swept.frame[swept.frame["vector"].isin(names)], source=own)


def best_of(choice: Chosen) -> Expected:
    """Returns the best plan that was run for a choice, also where unsteered was chosen, with what is expected of it.

    Args:
        choice: what was chosen on dev.

    Raises:
        SettingsError: no plan gave finite scores.
    """
    if choice.expected is None:
        raise SettingsError(f"no cell of {choice.name} gives finite scores: sweep smaller strengths.")
    return choice.expected


def _tested(context: Context, source: Source, vectors: VectorSet, found: Mapping[str, Expected]) -> None:
    """Runs every variant's best cell on test, and writes each against unsteered and against the standard vector."""
    rows = []
    for kind in CLAIMED:
        names = [one.name for one in VARIANTS if one.kind == kind]
        items = part_of_test(source, kind)
        answers = _answers(context, items, {name: found[name].best for name in names}, vectors, f"{kind} on test")
        pairs = [(name, UNSTEERED) for name in names] + [(name, kind) for name in names if name != kind]
        rows.append(_differences(context, answers, pairs, kind).assign(items=ALL))
        if kind == "EN":
            rows.append(_differences(context, _otherwise(answers, items), pairs, kind).assign(items=OTHERWISE))
    table = context.results.write("differences", pd.concat(rows))
    context.results.write("variants", pd.DataFrame([_row(one, found[one.name], table) for one in VARIANTS]))
    for kind in CLAIMED:
        part = forest_rows(table[(table["against"] == kind) & (table["items"] == ALL)])
        words = f"on test, minus what {kind} does at its own cell; bars: paired 95% intervals over concepts"
        figure = forest_figure(part, f"Variants of {kind}", words, _scores(kind))
        context.results.figure(kind, figure, ["differences"], 1200)


def _answers(context: Context, items: Items, specs: Mapping[str, PlanSpec], vectors: VectorSet, what: str) -> Answers:
    plans = {name: {code: spec.plan(vectors.of(code)) for code in vectors.locales} for name, spec in specs.items()}
    with context.timed(what):
        common: dict[str, Any] = {"scores": tuple(CLAIMED.values()), "explicit": False, "resume": context.running}
        return answered(context.model, items, plans, **common)


def _differences(context: Context, answers: Answers, pairs: Sequence[tuple[str, str]], kind: str) -> pd.DataFrame:
    return differences(answers, pairs, _scores(kind), context.config["seed"])


def _scores(kind: str) -> tuple[str, ...]:
    return CLAIMED[kind], MARGINS[kind], other_axis(kind)


def _otherwise(answers: Answers, items: Items) -> Answers:
    """Returns the answers to facts whose answer is not the same string as in English."""
    alike, frame = spelled_alike(items), answers.frame[answers.frame["kind"] == "factual"]
    kept = [place not in alike for place in zip(frame["locale"], frame["concept"], strict=True)]
    return Answers(frame[kept], answers.meta)


def _row(one: Variant, found: Expected, table: pd.DataFrame) -> dict[str, Any]:
    """Returns a variant's line: its cell, what dev says of it, and what test says."""
    (step,), score = found.best.steps, CLAIMED[one.kind]
    cell = {"layer": step.layer, "strength": step.strength, "tokens": step.tokens, "taken": found.helps}
    told = judged(table, one.name, one.kind)
    numbers = {
        f"{start}{name}": (told[what] or {}).get(name, NAN)
        for start, what in (("", "alone"), ("against_", "against"), ("other_", "other"))
        for name in ("n", "change", "low", "high")
    }
    return {"kind": one.kind, "variant": one.name, "score": score, **cell, **_expected(found, score), **numbers}


def _expected(found: Expected | None, score: str) -> dict[str, float]:
    """Returns what dev says of a score elsewhere, with the ends of its interval; NaN where it says nothing."""
    gains = (NAN,) * 3 if found is None else found.gains.get(score, (NAN,) * 3)
    return dict(zip(("expected", "expected_low", "expected_high"), gains, strict=True))


def _surgical(context: Context, source: Source, swept: Sweep, found: Mapping[str, Expected], layers: Sequence[int]) -> None:
    """Runs EN and LOC together on test: their cells chosen apart, chosen together, and improved step by step from there."""
    assert swept.source is not None
    vectors, apart = swept.source.vectors.named(*CLAIMED), found["EN"].best + found["LOC"].best
    with context.timed("EN and LOC chosen together"):
        choices = _only(swept, *CLAIMED).choose(limits=None)
    together = best_of(choices.surgical)
    with context.timed("EN and LOC climbed"):
        climbed = _climbed(context, source, vectors, first_of(choices.tried), [apart, together.best], layers)
    specs, dev = {APART: apart, TOGETHER: together.best, CLIMBED: climbed.best}, {TOGETHER: together, CLIMBED: climbed}
    answers = _answers(context, source.part("test"), specs, vectors, "EN and LOC on test")
    pairs = [(name, UNSTEERED) for name in specs] + [(name, APART) for name in specs if name != APART]
    rows = differences(answers, pairs, (*CLAIMED.values(), *MARGINS.values()), context.config["seed"])
    rows["plan"] = rows["method"].map({name: str(spec) for name, spec in specs.items()})
    methods = zip(rows["method"], rows["score"], strict=True)
    numbers = [_expected(dev.get(method), score) for method, score in methods]
    context.results.write("surgical", rows.join(pd.DataFrame(numbers, index=rows.index)))


def first_of(tried: Combinations) -> PlanSpec:
    """Returns the best combination of an EN cell and a LOC cell.

    Args:
        tried: the combinations that were run on dev, the best first.
    """
    row = tried.frame.iloc[0]
    cells = [[row[f"{name}_{at}"] for name in ("vector", "layer", "strength", "tokens")] for at in (1, 2)]
    steps = [StepSpec(vector, int(layer), float(strength), tokens) for vector, layer, strength, tokens in cells]
    return PlanSpec(tuple(steps))


def _climbed(
    context: Context, source: Source, vectors: VectorSet, start: PlanSpec, others: Sequence[PlanSpec], layers: Sequence[int]
) -> Expected:
    """Improves a combination by a step of layer or strength at a time, by both kinds of dev's items, and chooses of all that
    was run."""
    dev, config, codes = source.part("dev"), context.config, tuple(source.locales)
    parts = [Part(code, dev.of(locale=code), vectors.of(code)) for code in codes]
    cache = ScoreCache(context.model, parts, list(CLAIMED.values()), Scoring(), None, context.running, items=dev)
    aim = Aim(cache, codes, joint_score(OBJECTIVES[LESSER_GAIN]))
    strengths = sorted({float(one) for kind in CLAIMED for one in config["strengths"][kind]})
    moves = partial(PlanSpec.neighbours, layers=layers, strengths=strengths, tokens=["last_onward"])
    tried = climb(aim, [start], moves, config["climb"], "EN and LOC together")
    aim.run(others, "EN and LOC as they were chosen")
    spec, expected = aim.choice([*tried, *others], tuple(CLAIMED.values()), config["seed"])
    return best_of(Chosen(CLIMBED, spec, cache.gains(spec, codes), vectors, expected))


if __name__ == "__main__":
    main("variants", run, shown)
