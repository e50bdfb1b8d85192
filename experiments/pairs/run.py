"""How many pairs a vector needs: how far two vectors of n pairs agree, and what one of n pairs does on test."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from experiments.common import Context, Results, main
from experiments.figures import pairs_figure
from experiments.steps import CLAIMED, MARGINS, Source, best_cells, prepared
from experiments.words import Row, interval, rows_of, score_word, table, verdict
from steerlens.evaluation import SCORES, answered
from steerlens.statistics import bootstrap_interval, draws_interval, percentile_interval
from steerlens.steering import UNSTEERED, Add, SteeringPlan, Step, StepSpec


@dataclass(frozen=True)
class Drawn:
    """One vector at one cell, and the subsets of its pairs that it is taken from again."""

    cell: StepSpec
    differences: dict[str, Tensor]
    """The positive less the negative residual at the cell's layer, ``[pair, d_model]``, by locale."""
    config: dict[str, Any]

    @property
    def all(self) -> int:
        """The pairs of the locale that has the fewest; what a vector of all pairs is called."""
        return min(map(len, self.differences.values()))

    def sizes(self, most: int) -> list[int]:
        """Returns the numbers of pairs asked for that are at most so many; at least one."""
        return [n for n in self.config["pairs"] if n <= most] or [most]

    def means(self, code: str, n: int) -> list[Tensor]:
        """Returns the mean differences ``[d_model]`` of n pairs, for each draw; the vector itself for all pairs."""
        own = self.differences[code]
        if n == self.all:
            return [own.mean(dim=0)]
        generator = torch.Generator().manual_seed(self.config["seed"])
        return [own[torch.randperm(len(own), generator=generator)[:n]].mean(dim=0) for _ in range(self.config["draws"])]


def run(context: Context) -> None:
    """Takes both vectors again, at the cells that were best in the finding's sweep on dev."""
    source, seed = prepared(context), context.config["seed"]
    cells = list(best_cells(context, context.config["from"]).values())
    context.notes["cells"] = list(map(str, cells))
    drawn = [Drawn(cell, {code: _at_cell(source, cell, code) for code in source.locales}, context.config) for cell in cells]
    halves = context.results.write("reliability", pd.DataFrame(row for one in drawn for row in _reliability(one)))
    with context.timed("effect on test"):
        rows = [row for one in drawn for row in _effects(context, source, one, seed)]
    effect = context.results.write("effect", pd.DataFrame(rows))
    means = halves.groupby(["vector", "pairs"], sort=False).mean(numeric_only=True).reset_index()
    context.results.figure("pairs", pairs_figure(means, effect, MARGINS), ["reliability", "effect"])


def _at_cell(source: Source, cell: StepSpec, code: str) -> Tensor:
    return source.differences(cell.vector, code)[source.stack.layers.index(cell.layer)]


def split_halves(differences: Float[Tensor, "pair d_model"], n: int, draws: int, seed: int) -> NDArray:
    """Returns cosines of the mean differences of two sets of ``n`` pairs that share none, drawn at random."""
    generator, values = torch.Generator().manual_seed(seed), []
    for _ in range(draws):
        order = torch.randperm(len(differences), generator=generator)
        one, two = differences[order[:n]].mean(dim=0), differences[order[n : 2 * n]].mean(dim=0)
        values.append(float(torch.cosine_similarity(one, two, dim=0)))
    return np.array(values)


def lengthened(reliability: float, times: float) -> float:
    """Returns the reliability of a measure so many times as long (Spearman-Brown)."""
    return times * reliability / (1 + (times - 1) * reliability)


def _reliability(drawn: Drawn) -> Iterator[dict[str, Any]]:
    """Yields how far two vectors of n pairs each agree, measured, and predicted from the largest n (Spearman-Brown).

    With it, how long a vector of n pairs is against that of all.
    """
    config, sizes = drawn.config, drawn.sizes(drawn.all // 2)
    for code, differences in drawn.differences.items():
        whole = float(differences.mean(dim=0).norm())
        found = {n: split_halves(differences, n, config["halves"], config["seed"]) for n in sizes}
        largest, reached = sizes[-1], float(found[sizes[-1]].mean())
        for n, values in found.items():
            low, high = percentile_interval(values)
            length = float(np.mean([float(mean.norm()) for mean in drawn.means(code, n)])) / whole
            numbers = {"cosine": values.mean(), "low": low, "high": high, "predicted": lengthened(reached, n / largest)}
            yield {"vector": drawn.cell.vector, "locale": code, "pairs": n, "all": len(differences), **numbers, "length": length}


def _effects(context: Context, source: Source, drawn: Drawn, seed: int) -> Iterator[dict[str, Any]]:
    """Yields mean changes by number of pairs, with 95% of the draws, and with their interval over concepts."""
    cell, score = drawn.cell, CLAIMED[drawn.cell.vector]
    sizes, fingerprint = list(dict.fromkeys([*drawn.sizes(drawn.all - 1), drawn.all])), context.model.fingerprint
    plans: dict[str, dict[str, SteeringPlan]] = {}
    for code in source.locales:
        for n in sizes:
            for draw, direction in enumerate(drawn.means(code, n)):
                step = Step(Add(direction.float()), cell.layer, cell.strength, cell.tokens, f"{cell.vector} {code}")
                plans.setdefault(f"{n}/{draw}", {})[code] = SteeringPlan((step,), fingerprint)
    items = source.part("test").of(kind=SCORES[score].kinds[0])
    answers = answered(context.model, items, plans, scores=[score]).frame
    for name in (score, SCORES[score].companion):
        table = answers[answers["score"] == name].pivot_table(index=["concept", "locale"], columns="method", values="value")
        changes = table[list(plans)].sub(table[UNSTEERED], axis=0).groupby("concept").mean()
        for n in sizes:
            values = changes[[plan for plan in plans if plan.startswith(f"{n}/")]].to_numpy()  # [concept, draw]
            over, spread = bootstrap_interval(values.mean(axis=1), seed=seed), draws_interval(values)
            numbers = {"n": over.n, "draws": values.shape[1], "change": over.mean, "low": spread.low, "high": spread.high}
            label = {"vector": cell.vector, "score": name, "pairs": n}
            yield {**label, **numbers, "concepts_low": over.low, "concepts_high": over.high}


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    halves, effect = results.table("reliability"), results.table("effect")
    means = {vector: part.groupby("pairs").mean(numeric_only=True) for vector, part in halves.groupby("vector")}
    return {
        "cells": ", ".join(results.json("record")["cells"]),
        "halves": _halves(means),
        "effect": table(_HEADER, [_effect(row, effect) for row in effect.to_dict("records")]),
        "all": effect.groupby("vector")["pairs"].max().to_dict(),
        "reliable": lambda vector, least: means[vector].index[means[vector]["cosine"] >= least][0],
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
    return table(["vector", "pairs", "cosine [95% of draws]", "predicted by Spearman-Brown", "length, all pairs = 1"], rows)


def _effect(row: Row, effect: pd.DataFrame) -> list[Any]:
    over = {**row, "low": row["concepts_low"], "high": row["concepts_high"]}
    most = effect[effect["vector"] == row["vector"]]["pairs"].max()
    n, draws = f"all ({most})" if row["pairs"] == most else row["pairs"], interval(row) if row["draws"] > 1 else ""
    return [row["vector"], score_word(row["score"]), n, row["draws"], draws, interval(over), verdict(over)]


if __name__ == "__main__":
    main("pairs", run, shown)
