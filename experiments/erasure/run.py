"""What stronger EN and LOC vectors do to transfer, to localization and to texts, at layers and strengths that nobody chose."""

import math
from typing import Any

import pandas as pd

from experiments.common import Context, Results, main
from experiments.steps import CLAIMED, mean_rows, prepared
from experiments.words import Row, interval, marked, one, rows_of, times
from steerlens.evaluation import frontier, side_effects, strengths
from steerlens.evaluation.paths import point_name
from steerlens.plotting import Figure, forest_figure
from steerlens.settings import TextLimits
from steerlens.steering import UNSTEERED
from steerlens.tables import markdown_table

SCORES = ("transfer", "localization", "english_centric")
TEXTS = ("log_perplexity", "right_language")
LIMIT = TextLimits().perplexity or math.inf
"""The largest perplexity, divided by the unsteered perplexity, of a plan that ``choose`` may take by default."""


def run(context: Context) -> None:
    """Steers with each vector at each depth, with one strength after another, on test."""
    config, source = context.config, prepared(context)
    layers = [round(depth * (context.model.n_layers - 1)) for depth in config["depths"]]
    paths = {
        f"{name} at layer {layer}": strengths(
            {code: source.vectors[name, code].at(layer, 1.0, "last_onward") for code in source.locales}, config["strengths"][name]
        )
        for name in CLAIMED
        for layer in layers
    }
    test, aside, seed = source.part("test"), config["side_effects"], config["seed"]
    with context.timed("test"):
        curve = frontier(context.model, test, paths, scores=SCORES, seed=seed, draws=config["draws"], resume=context.running)
    points = {point_name(path, at): method for path, own in paths.items() for at, method in own.items()}
    sample = test.sample(aside["concepts"], seed=seed)
    common: dict[str, Any] = {"max_new_tokens": aside["tokens"], "seed": seed, "resume": context.running}
    with context.timed("side effects"):
        costs = side_effects(context.model, sample, points, scores=TEXTS, concepts=None, **common)
    context.results.write("texts", mean_rows(costs.frame))
    context.results.figure("curve", _figure(context.results.write("curve", mean_rows(curve.frame))), ["curve"])


def _figure(curve: pd.DataFrame) -> Figure:
    rows = curve[curve["method"] != UNSTEERED]
    names = [_named(*point) for point in zip(rows["method"], rows["at"], strict=True)]
    rows = rows.assign(method=names, group=rows["method"].str.partition(" ")[0])
    words = "at fixed layers and strengths, against unsteered on test; bars: paired 95% intervals over concepts"
    return forest_figure(rows, "EN and LOC as the strength grows", words, SCORES)


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    curve, texts = results.table("curve"), results.table("texts")
    points = [_point(curve, texts, *names) for names in dict.fromkeys(zip(curve["method"], curve["at"], strict=True))]
    header = ["path", "strength", "transfer", "localization", "English-centric", "perplexity", "texts in the right language"]
    by = {vector: [point for point in points if point["path"].startswith(f"{vector} ")] for vector in CLAIMED}
    erased = [point for point in by["EN"] if point["localization"]["high"] < 0]
    return {
        "table": markdown_table(header, [point["cells"] for point in points]),
        "n": {score: one(curve, method=UNSTEERED, score=score)["n"] for score in SCORES[:2]},
        "limit": LIMIT,
        "erased": [point["name"] for point in erased],
        "erased_within": [point["name"] for point in erased if point["perplexity"] <= LIMIT],
        "at": lambda path, strength, score: interval(_of(points, path, strength)[score]),
        "times": lambda path, strength: f"{_of(points, path, strength)['perplexity']:.1f}",
        "right": lambda path, strength: f"{_of(points, path, strength)['right']:.0%}",
    }


def _point(curve: pd.DataFrame, texts: pd.DataFrame, path: str, at: float) -> dict[str, Any]:
    rows = {row["score"]: row for row in rows_of(curve, method=path, at=at)}
    name = path if path == UNSTEERED else point_name(path, at)
    nats, language = (one(texts, method=name, score=score) for score in TEXTS)
    cells = [
        *(path, "" if path == UNSTEERED else f"{at:g}", *(_cell(rows[score]) for score in SCORES)),
        *(times(nats["change"]), f"{language['value']:.0%}"),
    ]
    known = {
        "path": path,
        "name": _named(path, at),
        "cells": cells,
        "perplexity": math.exp(nats["change"]),
        "right": language["value"],
    }
    return {**known, **rows}


def _named(path: str, at: float) -> str:
    return path if path == UNSTEERED else f"{path}, strength {at:g}"


def _of(points: list[dict[str, Any]], path: str, at: float) -> dict[str, Any]:
    return next(point for point in points if point["name"] == _named(path, at))


def _cell(row: Row) -> str:
    return f"{row['value']:.2f}" if row["method"] == UNSTEERED else marked(row).replace(" points", "")


if __name__ == "__main__":
    main("erasure", run, shown)
