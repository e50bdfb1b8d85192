"""How many pairs a vector needs: how far two vectors of n pairs agree, and what one of n pairs does on test."""

from typing import Any

import pandas as pd

from experiments.common import Context, Results, main
from experiments.steps import CLAIMED, MARGINS, best_cells, prepared
from experiments.words import Row, interval, one, rows_of, score_word, verdict
from steerlens.evaluation import fewer_pairs
from steerlens.plotting import pairs_figure
from steerlens.probing import split_halves
from steerlens.steering import CONTRASTS, pair_differences
from steerlens.tables import markdown_table


def run(context: Context) -> None:
    """Takes both vectors again, at the cells that were best in the finding's sweep on dev."""
    config, source = context.config, prepared(context)
    cells = best_cells(context, config["from"]).values()
    context.notes["cells"] = list(map(str, cells))
    drawn = {
        cell: pair_differences(source.stack, CONTRASTS[cell.vector], cell.layer, source.train, locales=source.locales)
        for cell in cells
    }
    common: dict[str, Any] = {"pairs": config["pairs"], "draws": config["draws"], "seed": config["seed"]}
    halves = [split_halves(own, halves=config["halves"], **common).frame for own in drawn.values()]
    with context.timed("effect on test"):
        effects = [
            fewer_pairs(
                context.model, source.part("test"), own, cell.strength, tokens=cell.tokens, resume=context.running, **common
            ).frame
            for cell, own in drawn.items()
        ]
    agreement = context.results.write("reliability", pd.concat(halves))
    effect = context.results.write("effect", pd.concat(effects))
    figure = pairs_figure(agreement, effect[effect["score"].isin(MARGINS.values())])
    context.results.figure("pairs", figure, ["reliability", "effect"])


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    halves, effect = results.table("reliability"), results.table("effect")
    means = {vector: part.groupby("pairs").mean(numeric_only=True) for vector, part in halves.groupby("vector")}
    return {
        "cells": ", ".join(results.json("record")["cells"]),
        "halves": _halves(means),
        "effect": markdown_table(_HEADER, [_effect(row, effect) for row in effect.to_dict("records")]),
        "all": effect.groupby("vector")["pairs"].max().to_dict(),
        "reliable": lambda vector, least: means[vector].index[means[vector]["cosine"].round(2) >= least][0],
        "change": lambda vector, n: interval(_over_concepts(one(effect, vector=vector, score=CLAIMED[vector], pairs=n))),
        "effective": lambda vector, share: _enough(rows_of(effect, vector=vector, score=MARGINS[vector]), share),
    }


_HEADER = ("vector", "score", "pairs", "draws", "change [95% of draws]", "change [95% over concepts]", "shown")


def _enough(rows: list[Row], share: float) -> int:
    """Returns the first number of pairs whose vector has this share of the effect of all pairs."""
    return next(row["pairs"] for row in rows if row["change"] >= share * rows[-1]["change"])


def _halves(means: dict[str, pd.DataFrame]) -> str:
    rows = [
        [vector, n, f"{row.cosine:.2f} [{row.low:.2f}, {row.high:.2f}]", f"{row.predicted:.2f}", f"{row.length:.2f}"]
        for vector in CLAIMED
        for n, row in means[vector].iterrows()
    ]
    header = ["vector", "pairs", "cosine [95% of draws]", "predicted by Spearman-Brown", "length, all pairs = 1"]
    return markdown_table(header, rows)


def _over_concepts(row: Row) -> Row:
    return {**row, "low": row["concepts_low"], "high": row["concepts_high"]}


def _effect(row: Row, effect: pd.DataFrame) -> list[Any]:
    over = _over_concepts(row)
    most = effect[effect["vector"] == row["vector"]]["pairs"].max()
    n, draws = f"all ({most})" if row["pairs"] == most else row["pairs"], interval(row) if row["draws"] > 1 else ""
    return [row["vector"], score_word(row["score"]), n, row["draws"], draws, interval(over), verdict(over)]


if __name__ == "__main__":
    main("pairs", run, shown)
