"""Which control explains what: every control and variant of EN and of LOC at the same layer, strength and length."""

from functools import partial
from typing import Any

import pandas as pd
import torch

from experiments.common import Context, Results, main
from experiments.steps import CLAIMED, MARGINS, Plans, Source, best_cells, differences, mean_rows, prepared
from experiments.words import Row, interval, marked, one, rows_of, score_word, verdict
from steerlens.data import Items
from steerlens.evaluation import Answers, answered, placed
from steerlens.plotting import forest_figure
from steerlens.steering import UNSTEERED, Contrast, Controls, Intervention, SteeringVector, StepSpec, pooled, take
from steerlens.tables import markdown_table

SCORES = (*CLAIMED.values(), *MARGINS.values())
Vectors = dict[str, SteeringVector]
"""A vector of each locale."""
VARIANTS = {
    "EN": [Contrast("from cultural prompts", partial(Items.english_pairs, kind="cultural"))],
    "LOC": [
        Contrast(f"country put before {kind} prompts", partial(Items.named_pairs, kind=kind)) for kind in ("factual", "cultural")
    ],
}
"""The same contrast from prompts that should not carry it."""


def run(context: Context) -> None:
    """Runs both vectors at the cells that were best in the finding's sweep on dev, and all of their controls."""
    config, source = context.config, prepared(context)
    steps = best_cells(context, config["from"])
    context.notes["cells"] = list(map(str, steps.values()))
    own: dict[str, Any] = {name: {code: source.vectors[name, code] for code in source.locales} for name in steps}
    others = {name: _others(context, source, name, own[name]) for name in steps}
    context.results.write("directions", _directions(own, others, steps))
    plans = {name: _at(vectors, steps[name]) for name, vectors in own.items()}
    variants: Plans = {}
    for name, found in others.items():
        for variant, vectors in found.items():
            alike = {code: vector.rescaled(own[name][code]) for code, vector in vectors.items()}
            variants[f"{name}: {variant}"] = _at(alike, steps[name])
        variants |= _replaced(name, own[name], steps[name])
    answers = _answers(context, source, plans, variants)
    context.results.write("plane", mean_rows(placed(answers, seed=config["seed"]).frame))
    methods = [method for method in dict.fromkeys(answers.frame["method"]) if ": " in method]
    pairs = [(name, UNSTEERED) for name in plans]
    pairs += [(method, against) for method in methods for against in (UNSTEERED, method.partition(":")[0])]
    context.results.write("differences", differences(answers, pairs, SCORES, config["seed"]))
    _draw(context)


def _others(context: Context, source: Source, name: str, own: Vectors) -> dict[str, Vectors]:
    """Takes the same contrast from prompts that should not carry it, and from other locales."""
    with context.timed(f"vectors like {name}"):
        taken = take(context.model, source.train, VARIANTS[name], locales=source.locales)
    found: dict[str, Any] = {variant: {code: taken[variant, code] for code in own} for variant in taken.names}
    found["pooled over locales"] = {code: pooled(own.values(), code) for code in own}
    found["pooled without its own"] = {code: pooled([own[other] for other in own if other != code], code) for code in own}
    return found


def _at(vectors: dict[str, Any], step: StepSpec) -> dict[str, Any]:
    return {code: vector.at(step.layer, step.strength, step.tokens) for code, vector in vectors.items()}


def _replaced(name: str, own: Vectors, step: StepSpec) -> Plans:
    """Takes the vector's direction out of the residual, and sets it to what it is in the positive prompts' mean."""
    made: dict[str, dict[str, Intervention]] = {
        "ablated": {code: vector.ablation() for code, vector in own.items()},
        "set to the positive mean": {code: vector.projection() for code, vector in own.items()},
    }
    return {
        f"{name}: {what}": {code: edits.at(step.layer, tokens=step.tokens) for code, edits in by_locale.items()}
        for what, by_locale in made.items()
    }


def _directions(own: dict[str, Vectors], others: dict[str, dict[str, Vectors]], steps: dict[str, StepSpec]) -> pd.DataFrame:
    """Returns how each variant lies to its vector at the cell's layer, and how long it was before it was made as long."""
    rows = []
    for name, found in others.items():
        for variant, vectors in found.items():
            for code, vector in vectors.items():
                one, two = (each.direction(steps[name].layer) for each in (own[name][code], vector))
                cosine, length = torch.cosine_similarity(one, two, dim=0), two.norm() / one.norm()
                rows.append({"method": f"{name}: {variant}", "locale": code, "cosine": float(cosine), "length": float(length)})
    return pd.DataFrame(rows)


def _answers(context: Context, source: Source, plans: Plans, variants: Plans) -> Answers:
    config, test = context.config, source.part("test")
    controls = Controls(config["random"], config["seed"], source.shuffled(config["shuffled"]))
    with context.timed("controls"):
        first = answered(context.model, test, plans, controls=controls, resume=context.running).frame
    with context.timed("variants"):
        second = answered(context.model, test, variants, resume=context.running).frame
    return Answers(pd.concat([first, second[second["method"].isin(list(variants))]], ignore_index=True))


def _draw(context: Context) -> None:
    rows = context.results.table("differences").query("against == @UNSTEERED")
    rows = rows.assign(group=rows["method"].str.partition(":")[0]).sort_values("group", kind="stable")
    words = "against unsteered; bars: paired 95% intervals over concepts, of the mean over draws where there are draws"
    context.results.figure("controls", forest_figure(rows, "EN, LOC and their controls", words, SCORES), ["differences"], 1400)


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    rows = results.table("differences")
    return {
        "cells": ", ".join(results.json("record")["cells"]),
        "vectors": {vector: _vector(results, rows, vector) for vector in CLAIMED},
        "raised": {
            vector: interval(one(rows, method=vector, against=UNSTEERED, score=score)) for vector, score in MARGINS.items()
        },
    }


def _vector(results: Results, rows: pd.DataFrame, vector: str) -> dict[str, Any]:
    margin, words, plane = MARGINS[vector], judged(rows, vector), results.table("plane")
    scores, directions = (CLAIMED[vector], margin, MARGINS["LOC" if vector == "EN" else "EN"]), results.table("directions")
    lines = []
    for method in (vector, *dict.fromkeys(row["method"] for row in rows_of(rows, against=vector))):
        changes = [marked(one(rows, method=method, against=UNSTEERED, score=score)) for score in scores]
        beside = "" if method == vector else marked(one(rows, method=method, against=vector, score=margin))
        p, own = round(one(plane, method=method, score=scores[0])["p"], 3), directions[directions["method"] == method]
        lies = [f"{own[name].mean():.2f}" if len(own) else "" for name in ("cosine", "length")]
        lines.append([method, *changes, p, beside, words.get(method, ""), *lies])
    header = ["method", *map(score_word, scores), "p", f"{score_word(margin)} minus {vector}'s", f"as {vector}?"]
    n = one(rows, method=vector, against=UNSTEERED, score=scores[0])["n"]
    return {"n": n, "score": scores[0], "table": markdown_table([*header, "cosine", "length"], lines)}


def judged(rows: pd.DataFrame, vector: str) -> dict[str, str]:
    """Says of each control whether it raises the margin as the vector does; empty if the vector is not shown to raise it."""
    score = MARGINS[vector]
    if one(rows, method=vector, against=UNSTEERED, score=score)["low"] <= 0:
        return {}
    beside = {row["method"]: row for row in rows_of(rows, against=vector, score=score)}
    return {method: _judged(one(rows, method=method, against=UNSTEERED, score=score), row) for method, row in beside.items()}


def _judged(alone: Row, beside: Row) -> str:
    """Judges a control by its change against unsteered, and against the vector."""
    raises, less = verdict(alone) == "more", verdict(beside)
    if less == "more":
        return "does more"
    if less == "less":
        return "does a part of it" if raises else "does not do it"
    return "does it too" if raises else "cannot be told"


if __name__ == "__main__":
    main("controls", run, shown)
