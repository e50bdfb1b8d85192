"""What unsteered models know, on the atlas and on public data sets side by side, with intervals over concepts.

    STEERLENS_REAL_DATA=folder python -m experiments.unsteered --model gemma-3-270m [--n 200] [--locales en-US,es-ES,id-ID,ko-KR]
    python -m experiments.unsteered --write    # puts the table of all models into docs/data.md

The folder holds ``bmlama53/`` (one .tsv per language) and ``blend/`` (one .json per country) as their repositories have them;
without it the atlas alone is scored. A run replaces its model's rows of ``experiments/unsteered.csv``. Locales whose writing the
model's tokenizer breaks into bytes are left out.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import steerlens as sl
from experiments.common import fill, label
from steerlens.evaluation import Scorer, Scoring
from steerlens.models.tokens import Tokenizer
from steerlens.statistics import bootstrap_interval
from steerlens.tables import markdown_table

FILE = Path(__file__).with_suffix(".csv")
PAGE = Path(__file__).parents[1] / "docs" / "data.md"
_PER_CHARACTER = 1.2
"""Tokens a character from which on a language counts as broken into bytes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=200, help="concepts of each kind and set at the most (default: %(default)s)")
    parser.add_argument("--locales", default="en-US,es-ES,id-ID,ko-KR", help="codes with commas (default: %(default)s)")
    parser.add_argument("--model", help="a name, a folder or a .gguf file")
    parser.add_argument("--write", action="store_true", help="put the table into docs/data.md, run nothing")
    args = parser.parse_args()
    if not args.model and not FILE.is_file():
        parser.error(f"--model is needed: {FILE.name} is not there yet")
    if args.model:
        keep(label(args.model), pd.DataFrame(measured(sl.load(args.model), args.locales.split(","), args.n)))
    if args.write:
        fill(PAGE, "unsteered", f"{table()}\n")
    print(table())


def measured(model: sl.LensModel, locales: list[str], n: int) -> Iterator[dict]:
    """Yields a row for each data set, locale and score."""
    for name, items in data_sets([code for code in locales if code != "en-US"]):
        for code in (code for code in locales if code in items.locales):
            part = items.sample(n).of(locale=code)
            if not whole_words(model.tokenizer, part):
                print(f"{code} of {name}: left out, the tokenizer breaks it into bytes")
                continue
            yield from ({"data": name, "locale": code, **row} for row in scored(model, part))
            print(f"{code} of {name}: done", flush=True)


def whole_words(tokenizer: Tokenizer, items: sl.data.Items) -> bool:
    """Whether a tokenizer makes fewer tokens of the questions than 1.2 times their characters."""
    questions = [item.question for item in items]
    tokens = sum(len(tokenizer.hf(text, add_special_tokens=False)["input_ids"]) for text in questions)
    return tokens <= _PER_CHARACTER * sum(map(len, questions))


def keep(model: str, rows: pd.DataFrame) -> None:
    """Writes a model's rows beside those of the others."""
    others = pd.read_csv(FILE) if FILE.is_file() else pd.DataFrame({"model": []})
    frame = pd.concat([others[others["model"] != model], rows.assign(model=model)], ignore_index=True)
    frame[["model", *(name for name in frame if name != "model")]].to_csv(FILE, index=False, float_format="%.4g")


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


def table() -> str:
    """Returns Markdown: a line for each model, data set and score, a column for each locale, and what guessing would reach."""
    frame = pd.read_csv(FILE)
    frame = frame.assign(text=[f"{r.value:.2f} [{r.low:.2f}, {r.high:.2f}] n={r.n}" for r in frame.itertuples()])
    lines = ["model", "data", "score", "guessing"]
    by_score = frame.groupby(["data", "score"], sort=False)["chance"]
    frame = frame.assign(guessing=by_score.transform("mean").map("{:.2f}".format))
    wide = frame.pivot_table(index=lines, columns="locale", values="text", aggfunc="first", sort=False).fillna("").reset_index()
    return markdown_table(wide.columns, wide.to_numpy())


if __name__ == "__main__":
    main()
