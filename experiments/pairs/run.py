"""How many pairs a vector needs: how far two vectors of n pairs agree, and what one of n pairs does on test."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from experiments.common import Context, main
from experiments.figures import pairs_figure
from experiments.measures import CLAIMED, MARGINS, SCORES, lengthened, split_halves
from experiments.pairs.found import found
from experiments.steps import TOKENS, Source, chosen_by, prepared
from steerlens.evaluation import Cell, Scorer
from steerlens.statistics import bootstrap_interval, draws_interval, percentile_interval
from steerlens.steering import SteeringPlan, Step


@dataclass(frozen=True)
class Drawn:
    """One vector at one cell, and the subsets of its pairs that it is taken from again."""

    cell: Cell
    differences: dict[str, Tensor]
    """Positive less negative residual at the cell's layer, ``[pair, d_model]``, by locale."""
    config: dict[str, Any]

    @property
    def all(self) -> int:
        """Pairs of the locale that has the fewest; what a vector of all pairs is called."""
        return min(map(len, self.differences.values()))

    def sizes(self, most: int) -> list[int]:
        """Numbers of pairs asked for that are at most so many; at least one."""
        return [n for n in self.config["pairs"] if n <= most] or [most]

    def means(self, code: str, n: int) -> list[Tensor]:
        """The mean differences ``[d_model]`` of n pairs, for each draw; the vector itself for all pairs."""
        own = self.differences[code]
        if n == self.all:
            return [own.mean(dim=0)]
        generator = torch.Generator().manual_seed(self.config["seed"])
        return [own[torch.randperm(len(own), generator=generator)[:n]].mean(dim=0) for _ in range(self.config["draws"])]


def run(context: Context) -> None:
    """Both vectors at the cells that the finding chose on dev."""
    experiment = context.config["from"]
    source = prepared(context)
    cells = [choice.cells[0] for choice in chosen_by(context, experiment) if choice.method in CLAIMED]
    context.notes["cells"] = list(map(str, cells))
    drawn = [Drawn(cell, {code: _differences(source, cell, code) for code in source.locales}, context.config) for cell in cells]
    halves = context.results.write("reliability", pd.DataFrame(row for one in drawn for row in _reliability(one)))
    with context.timed("effect on test"):
        answers = pd.DataFrame(row for one in drawn for row in _answers(context, source, one))
    effect = context.results.write("effect", pd.DataFrame(_effects(answers, context.config["seed"])))
    means = halves.groupby(["vector", "pairs"], sort=False).mean(numeric_only=True).reset_index()
    context.results.figure("pairs", pairs_figure(means, effect, MARGINS), ["reliability", "effect"])


def _differences(source: Source, cell: Cell, code: str) -> Tensor:
    pairs, stack = source.pairs[code][cell.vector], source.stack.at_layers([cell.layer])
    return stack.of(pairs.positive).residuals[0].double() - stack.of(pairs.negative).residuals[0].double()


def _reliability(drawn: Drawn) -> Iterator[dict[str, Any]]:
    """Agreement of two vectors of n pairs each, measured, and as Spearman and Brown predict it from the largest n; and how long
    a vector of n pairs is against that of all."""
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


def _answers(context: Context, source: Source, drawn: Drawn) -> Iterator[dict[str, Any]]:
    """A row per number of pairs, draw and item of the kind that the vector is for, with the item unsteered."""
    cell, kind = drawn.cell, SCORES[CLAIMED[drawn.cell.vector]][0]
    for code in source.locales:
        labels, plans = [], []
        for n in dict.fromkeys([*drawn.sizes(drawn.all - 1), drawn.all]):
            for draw, direction in enumerate(drawn.means(code, n)):
                step = Step(direction.float(), cell.layer, cell.strength, TOKENS, f"{cell.vector} {code}")
                labels.append({"vector": cell.vector, "pairs": n, "draw": draw})
                plans.append(SteeringPlan((step,), context.model.fingerprint))
        exam = Scorer(context.model, source.part("test").of(kind=kind, locale=code))
        for index, outcomes in exam.sweep(plans):
            for at, outcome in enumerate(outcomes or ()):
                base = exam.base[at]
                yield {**labels[index], **outcome.row(), "base_hit": base.hit, "base_margin": base.margin}


def _effects(answers: pd.DataFrame, seed: int) -> Iterator[dict[str, Any]]:
    """Mean change by number of pairs, with 95% of the draws, and with its interval over concepts."""
    for vector, own in answers.groupby("vector", sort=False):
        for score in (CLAIMED[vector], MARGINS[vector]):
            column = SCORES[score][1]
            changed = own.assign(change=own[column].astype(float) - own[f"base_{column}"].astype(float))
            for n, part in changed.groupby("pairs"):
                values = part.pivot_table(index="concept", columns="draw", values="change").to_numpy()  # means over locales
                over = bootstrap_interval(values.mean(axis=1), seed=seed)
                spread = draws_interval(values)
                numbers = {"n": over.n, "draws": values.shape[1], "change": over.mean, "low": spread.low, "high": spread.high}
                label = {"vector": vector, "score": score, "pairs": n}
                yield {**label, **numbers, "concepts_low": over.low, "concepts_high": over.high}


if __name__ == "__main__":
    main("pairs", run, found)
