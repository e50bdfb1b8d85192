"""Puts the finding's results on all models and data sets beside each other, into the README of ``finding``.

python -m experiments.side_by_side
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from experiments.common import ROOT, Results, fill, settings
from experiments.finding.shown import layer_of, plan_of
from experiments.finding.verdicts import verdicts
from experiments.steps import mean_rows
from experiments.words import Row, marked, one, rows_of, times
from steerlens.tables import markdown_table

BLOCK = "models"
DATA = {"finding": "atlas", "public": "BMLAMA-53 and BLEnD", "paper": "Global-MMLU and BLEnD"}
"""The experiments that have the finding's tables, each with the name of its data."""


def side_by_side(root: Path = ROOT) -> str:
    """Returns a Markdown table with a column for each data set and model, from the committed tables."""
    columns = [
        {"": f"{record.parent.name}, {data}", **dict(_column(name, Results(record.parent)))}
        for name, data in DATA.items()
        for record in sorted((root / name / "results").glob("*/record.json"))
    ]
    first, *rows = ([name, *(column[name] for column in columns)] for name in columns[0])
    return markdown_table(first, rows) + "\n"


def _column(name: str, results: Results) -> Iterator[tuple[str, str]]:
    record, means = results.json("record"), mean_rows(results.table("plane"))
    depth, cosines, against = map(results.table, ("depth", "cosines", "against"))
    chosen = {choice["method"]: choice["steps"] for choice in results.json("chosen")}
    config, tested = record["config"], {score: one(means, method="unsteered", score=score)["n"] for score in _AXES}
    yield "locales", ", ".join(code[:2] for code in config["locales"])
    yield "layers swept", f"{config['layers']} of {record['model']['n_layers']}"
    yield "settings", "today's" if config == settings(name, model=results.path.name) else "earlier"
    yield "test concepts, factual and cultural", " and ".join(str(n) for n in tested.values())
    for vector, said in {"EN": "EN's best layer", "LOC": "LOC's best layer", "LOC - EN": "LOC's best layer minus EN's"}.items():
        yield said, layer_of(one(depth, vector=vector, by="score", measure="peak"))
    size, near = cosines[cosines["measure"] == "cosine"]["value"].abs(), cosines["near"].iloc[0]
    yield f"cosine of EN and LOC within ±{near:g}", f"{(size <= near).mean():.0%} of layers and locales"
    yield (
        "unsteered: transfer, localization",
        ", ".join(f"{one(means, method='unsteered', score=score)['value']:.2f}" for score in _AXES),
    )
    yield "explicit prompt: localization", _change(means, method="explicit prompt", score="localization")
    for method, steps in chosen.items():
        yield f"{method}: plan", plan_of(steps)
        for score in (*_AXES, "log_perplexity"):
            yield f"{method}: {_WORDS.get(score, score)}", _change(means, method=method, score=score)
    for other, score in (("EN", "localization"), ("LOC", "transfer")):
        yield f"surgical minus {other}: {score}", _change(against, method="surgical", against=other, score=score)
    added = dict.fromkeys(step["vector"] for step in chosen["surgical"])
    for found, verdict, _ in verdicts(depth, cosines, means, against, added):
        yield f"*{found}*", f"*{verdict}*"


_AXES = ("transfer", "localization")
_WORDS = {"log_perplexity": "perplexity"}


def _change(frame: Any, **values: str) -> str:
    row: Row | None = next(iter(rows_of(frame, **values)), None)
    if row is None:
        return ""
    if row["change"] == row["low"] == row["high"] == 0:
        return "(no change)"
    if row["score"] == "log_perplexity":
        return times(row["change"])
    return marked(row).replace(" points", "")


if __name__ == "__main__":
    fill(ROOT / "finding" / "README.md", BLOCK, side_by_side())
