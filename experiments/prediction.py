"""Predicted against exact sweeps: how well each way orders the cells, per locale, vector and kind of item.

    python experiments/prediction.py [--locales es-ES,ko-KR,zh-CN] [--concepts 12]

``slope`` is the derivative alone; ``run at s`` bends it through one cell a layer, run at strength s. Spearman correlation of
the mean change of margin over the cells that no way has run, and whether the best layer of these is among the predicted three
best. A way is compared on strengths other than its own anchor's, and so is the slope beside it.
Prints a table in Markdown and writes ``results/prediction.parquet``.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import steerlens as sl
from steerlens.evaluation import Exam
from steerlens.evaluation.attribution import attributions
from steerlens.steering import SteeringVector, difference_of_means

STRENGTHS = (0.5, 1.0, 2.0)
TOKENS = "last_onward"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locales", default="es-ES,ko-KR,zh-CN")
    parser.add_argument("--concepts", type=int, default=12, help="dev concepts of each kind (default: %(default)s)")
    args = parser.parse_args()
    model, rows = sl.load("gemma-3-270m"), []
    for code in args.locales.split(","):
        split = sl.data.atlas([code]).split(seed=0)
        stack, dev = model.residuals(split.train.sample(100).prompts()), split.dev.sample(args.concepts)
        train = split.train.sample(100)
        en, loc = (difference_of_means(stack, pairs(code)) for pairs in (train.english_pairs, train.localized_pairs))
        for vector, kind in ((en, "factual"), (en, "cultural"), (loc, "factual"), (loc, "cultural")):
            rows += compared(model, vector, dev.of(kind=kind, locale=code), kind)
    frame = pd.DataFrame(rows)
    out = Path("results/prediction.parquet")
    out.parent.mkdir(exist_ok=True)
    frame.to_parquet(out)
    wide = frame.pivot_table(index=["vector", "items"], columns="way", values="spearman", sort=False).round(2)
    best = frame.groupby("way", sort=False)["top3"].mean().round(2)
    lines = [["vector", "items", *wide.columns], ["---"] * (2 + wide.shape[1])]
    lines += [[*index, *row] for index, row in zip(wide.index, wide.to_numpy(), strict=True)]
    lines.append(["best layer in the first three", "", *best[list(wide.columns)]])
    print("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


def compared(model: sl.LensModel, vector: SteeringVector, items: sl.data.Items, kind: str) -> Iterator[dict]:
    exam, layers = Exam(model, items), model.layers()
    plans = [vector.at(layer, strength, TOKENS) for layer in layers for strength in STRENGTHS]
    outcomes = [outcome for _, outcome in exam.sweep(plans) if outcome is not None]
    base = np.array([outcome.margin for outcome in exam.base])
    exact = np.array([[o.margin for o in cell] for cell in outcomes]).reshape(len(layers), len(STRENGTHS), -1) - base
    slope = attributions(exam, [(vector, layers)], TOKENS)[vector.name]
    run = exact.mean(axis=2)
    for at in range(1, len(STRENGTHS)):
        bent = slope
        for layer in layers:
            bent = bent.anchored(layer, STRENGTHS[at], exact[layer, at])
        others = [n for n in range(len(STRENGTHS)) if n != at]
        for name, way in ((f"slope, without {STRENGTHS[at]:g}", slope), (f"run at {STRENGTHS[at]:g}", bent)):
            predicted = np.array([[way.predict(layer, STRENGTHS[n]).mean() for n in others] for layer in layers])
            seen = run[:, others]
            ranks = pd.DataFrame({"run": seen.ravel(), "predicted": predicted.ravel()}).corr("spearman").iloc[0, 1]
            best = int(seen.max(axis=1).argmax()) in np.argsort(-predicted.max(axis=1))[:3]
            yield {"vector": vector.name, "items": kind, "locale": vector.locale, "way": name, "spearman": ranks, "top3": best}


if __name__ == "__main__":
    main()
