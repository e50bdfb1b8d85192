"""What the unsteered model knows, on the atlas and on public data sets side by side, with intervals over concepts.

    STEERLENS_REAL_DATA=folder python experiments/unsteered.py [--n 400] [--locales es-ES,id-ID,ko-KR]

The folder holds ``bmlama53/`` (one .tsv per language) and ``blend/`` (one .json per country) as their repositories have them;
without it the atlas alone is scored. Writes ``results/unsteered.parquet`` and prints a table.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import steerlens as sl
from steerlens.evaluation import Scorer, Scoring
from steerlens.statistics import bootstrap_interval
from steerlens.tables import ResultTable, markdown_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=400, help="concepts of each kind and set at the most (default: %(default)s)")
    parser.add_argument("--locales", default="en-US,es-ES,id-ID,ko-KR", help="codes with commas (default: %(default)s)")
    parser.add_argument("--model", default="gemma-3-270m")
    args = parser.parse_args()
    locales, model = args.locales.split(","), sl.load(args.model)
    rows = []
    for name, items in data_sets([code for code in locales if code != "en-US"]):
        for code in (code for code in locales if code in items.locales):
            rows += [{"data": name, "locale": code, **row} for row in scored(model, items.sample(args.n).of(locale=code))]
            print(pd.DataFrame(rows[-5:]).to_string(index=False, header=False))
    out = ResultTable(pd.DataFrame(rows)).save("results/unsteered.parquet")
    print(f"\n{table(pd.DataFrame(rows))}\n\n{out}")


def data_sets(locales: list[str]) -> Iterator[tuple[str, sl.data.Items]]:
    yield "atlas", sl.data.atlas(locales)
    if folder := os.environ.get("STEERLENS_REAL_DATA"):
        yield "BMLAMA-53", sl.data.bmlama(locales, path=Path(folder) / "bmlama53")
        yield "BLEnD", sl.data.blend(locales, path=Path(folder) / "blend").distinctive()


def scored(model: sl.LensModel, items: sl.data.Items) -> Iterator[dict]:
    """A row per score: its mean over concepts, its 95% interval, n, and what guessing would reach."""
    for kind in ("factual", "cultural"):
        part = items.of(kind=kind)
        if not len(part):
            continue
        implicit = Scorer(model, part).score()
        named = sl.data.Items(tuple(item for item in part if item.explicit))
        explicit = Scorer(model, named, Scoring(form="explicit")).score() if len(named) else []
        chance = float(np.mean([1 / len(item.choices) for item in part]))
        if kind == "factual":
            yield row("accuracy", [outcome.correct for outcome in implicit], chance)
            continue
        for form, outcomes in (("implicit", implicit), ("explicit", explicit)):
            if outcomes:
                yield row(f"local, {form}", [outcome.correct for outcome in outcomes], chance)
                yield row(f"English-centric, {form}", [outcome.english_centric for outcome in outcomes], chance)


def row(score: str, hits: list[bool], chance: float) -> dict:
    interval = bootstrap_interval(np.array(hits, dtype=float))
    return {"score": score, "value": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n, "chance": chance}


def table(frame: pd.DataFrame) -> str:
    """Markdown: a line per data set and score, a column per locale."""
    frame = frame.assign(text=[f"{r.value:.2f} [{r.low:.2f}, {r.high:.2f}] n={r.n}" for r in frame.itertuples()])
    wide = frame.pivot_table(index=["data", "score"], columns="locale", values="text", aggfunc="first", sort=False).reset_index()
    return markdown_table(wide.columns, wide.to_numpy())


if __name__ == "__main__":
    main()
