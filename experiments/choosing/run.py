"""How much of the best cell's gain each rule of choosing keeps, by resampling the finding's sweep on dev."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy import ndarray

from experiments.common import Context, Results, main
from experiments.steps import CLAIMED
from experiments.words import rows_of
from steerlens.evaluation import SCORES, Sweep
from steerlens.evaluation.depths import change_table
from steerlens.statistics import bootstrap_interval, cross_fitted
from steerlens.tables import markdown_table

Changes = Float[ndarray, "concept cell"]
"""Means over a concept's locales."""
Located = Float[ndarray, "concept locale cell"]
"""The changes in each locale, NaN where a concept is not asked in one."""
Tables = dict[str, Changes]
"""The changes of ``hits``, ``margin`` and ``preference``, for the same concepts and cells."""
Rule = Callable[[Tables, int], int | None]
"""From the changes of some concepts and a seed to a cell for all locales, or ``None`` for unsteered."""
Cells = Int[ndarray, " locale"]
"""A cell for each locale."""
_BEST, _BEST_OF_EACH = "the best cell", "the best cell of each locale"
"""By all concepts: what a rule could reach."""
_PREFERENCE, _WEAKEST = "preference", "preference, weakest strength within one standard error"
_SMALL = 0.02
"""What is added to a spread, so that a cell that moves nothing is not the surest."""


def run(context: Context) -> None:
    """Draws concepts that a rule chooses by, again and again, and judges what it chose on the others."""
    config = context.config
    swept = Sweep.load(context.other(config["from"]).path / "swept.parquet")
    rows = []
    for vector in CLAIMED:
        located, rules = _located(swept, vector), _rules(_shape(swept, vector), config["folds"])
        strengths = _strengths(swept, vector)
        for n in config["concepts"]:
            with context.timed(f"{vector}, {n} concepts"):
                rows += _kept(vector, n, located, rules, strengths, config)
    context.results.write("kept", pd.DataFrame(rows))
    told = [row for by in config["by"] for n in config["tested"] for row in _told(swept, by, n, config)]
    context.results.write("told", pd.DataFrame(told))
    context.results.write("spread", pd.DataFrame([_spread(swept, vector) for vector in CLAIMED]))


def _located(swept: Sweep, vector: str) -> dict[str, Located]:
    """Returns the changes of a vector's score by concept, locale and cell: of hits (ties by the margin), margin, preference."""
    score = SCORES[CLAIMED[vector]]
    names = {"hits": score.name, "margin": score.companion, "preference": score.graded}
    return {name: _by_locale(swept.frame, vector, of) for name, of in names.items()}


def _by_locale(frame: pd.DataFrame, vector: str, score: str) -> Located:
    own = frame[frame["vector"] == vector]
    tables = [change_table(part, vector, score) for _, part in own.groupby("locale")]
    concepts = sorted(set().union(*(table.index for table in tables)))
    return np.stack([table.reindex(concepts).to_numpy() for table in tables], axis=1)


def _over_locales(located: dict[str, Located]) -> Tables:
    """Returns the means over the locales that each concept is asked in."""
    return {name: np.nanmean(changes, axis=1) for name, changes in located.items()}


def _shape(swept: Sweep, vector: str) -> tuple[int, int]:
    layers, strengths = change_table(swept.frame, vector, CLAIMED[vector]).columns.levshape
    return layers, strengths


def _strengths(swept: Sweep, vector: str) -> Float[ndarray, " cell"]:
    return change_table(swept.frame, vector, CLAIMED[vector]).columns.get_level_values("strength").to_numpy()


def _rules(shape: tuple[int, int], folds: int) -> dict[str, Rule]:
    """Returns the rules that are compared."""
    return {
        "hits": lambda of, _: _best(of["hits"]),
        "margin": lambda of, _: _best(of["margin"]),
        _PREFERENCE: lambda of, _: _best(of["preference"]),
        "preference, neighbours pooled": lambda of, _: _best(_pooled(of["preference"], shape)),
        "preference over its spread": lambda of, _: _best(of["preference"] / (of["preference"].std(axis=0) + _SMALL)),
        "hits, or unsteered": lambda of, seed: _or_nothing(of["hits"], folds, seed),
        "margin, or unsteered": lambda of, seed: _or_nothing(of["margin"], folds, seed),
        "preference, or unsteered": lambda of, seed: _or_nothing(of["preference"], folds, seed),
        "preference, if two standard errors above zero": lambda of, _: _sure(of["preference"]),
        _WEAKEST: lambda of, _: _weakest(of["preference"], shape),
        f"{_WEAKEST}, or unsteered": lambda of, seed: _or_nothing(of["preference"], folds, seed, shape),
    }


_OF_LOCALES: dict[str, Callable[[Located], Cells]] = {
    "preference, each locale's own": lambda preference: _means(preference).argmax(axis=1),
    "preference, locales partly pooled": lambda preference: _partly_pooled(preference).argmax(axis=1),
}
"""The rules that choose a cell for each locale."""


def _means(changes: Located) -> Float[ndarray, "locale cell"]:
    """Returns each locale's means over its concepts; for a locale that none of the concepts is asked in, those of the others."""
    asked = ~np.isnan(changes).all(axis=(0, 2))
    means = np.tile(np.nanmean(changes, axis=1).mean(axis=0), (changes.shape[1], 1))
    means[asked] = np.nanmean(changes[:, asked], axis=0)
    return means


def _partly_pooled(changes: Located) -> Float[ndarray, "locale cell"]:
    """Returns each locale's means, pulled to the mean over locales as far as they differ by chance (Efron and Morris, 1973).

    The weight of what is a locale's own is B / (B + W / n): B is the variance of the locales' true means, W that of a concept's
    changes around its own mean and its locale's, n the number of concepts. Both are means over all cells, since three locales
    tell little of one cell's B. A concept that is hard in all locales moves all of them alike: it is no part of W.
    """
    means = _means(changes)
    centre = means.mean(axis=0)
    whole = changes[~np.isnan(changes).any(axis=(1, 2))]
    n, locales, _ = whole.shape
    if n < 2 or locales < 2:  # nothing says how the locales differ
        return np.broadcast_to(centre, means.shape)
    apart = whole - whole.mean(axis=1, keepdims=True)  # from the concept's mean over locales
    own = apart.mean(axis=0)
    within = ((apart - own) ** 2).sum(axis=(0, 1)).mean() / ((n - 1) * (locales - 1))
    spread = (own**2).sum(axis=0).mean() / (locales - 1)  # is B + W / n on average
    weight = max(0.0, 1 - within / n / spread) if spread > 0 else 0.0
    return centre + weight * (means - centre)


def _best(changes: Changes) -> int:
    return int(changes.mean(axis=0).argmax())


def _pooled(changes: Changes, shape: tuple[int, int]) -> Changes:
    """Returns each cell's mean with its neighbours in layer and strength (weights 1, 2, 1)."""
    grid = changes.reshape(-1, *shape)
    for axis in (1, 2):
        n, before = grid.shape[axis], np.roll(np.arange(grid.shape[axis]), 1)
        before[0], after = 0, np.minimum(np.arange(n) + 1, n - 1)
        grid = (grid.take(before, axis) + 2 * grid + grid.take(after, axis)) / 4
    return grid.reshape(len(changes), -1)


def _weakest(changes: Changes, shape: tuple[int, int]) -> int:
    """Returns the weakest strength at the best cell's layer that is no worse than the best cell by more than one standard error.

    The error is that of the two cells' difference, paired by concept (the rule of Breiman et al., 1984, section 3.4.3).
    """
    best = _best(changes)
    for cell in range(best - best % shape[1], best):
        lost = changes[:, best] - changes[:, cell]
        if lost.mean() <= lost.std(ddof=1) / np.sqrt(len(lost)):
            return cell
    return best


def _or_nothing(changes: Changes, folds: int, seed: int, shape: tuple[int, int] | None = None) -> int | None:
    """Returns the best cell, or with ``shape`` the weakest one as good as it, if what is so chosen without a fold helps there."""

    def choose(some: Changes) -> int:
        return _best(some) if shape is None else _weakest(some, shape)

    judged = cross_fitted(["all"] * len(changes), lambda some: choose(changes[some]), folds=folds, repeats=1, seed=seed)
    return choose(changes) if changes[np.arange(len(changes)), judged[0]].mean() > 0 else None


def _sure(changes: Changes) -> int | None:
    cell = _best(changes)
    error = changes[:, cell].std(ddof=1) / np.sqrt(len(changes))
    return cell if changes[:, cell].mean() > 2 * error else None


def _kept(
    vector: str,
    n: int,
    located: dict[str, Located],
    rules: dict[str, Rule],
    strengths: Float[ndarray, " cell"],
    config: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    """Yields a row for each rule: what it gains on concepts that it did not see, how often it chooses nothing, and the mean
    strength of what it chooses."""
    tables, hits, preference = _over_locales(located), located["hits"], located["preference"]
    rng, best = np.random.default_rng(config["seed"]), {_BEST: _best(tables["hits"]), _BEST_OF_EACH: _means(hits).argmax(axis=1)}
    gains: dict[str, list[float]] = {name: [] for name in (_BEST, *rules, _BEST_OF_EACH, *_OF_LOCALES)}
    nothing, used = dict.fromkeys(gains, 0), {name: list[float]() for name in gains}
    for draw in range(config["choices"]):
        order = rng.permutation(len(hits))
        seen, others = {name: own[order[:n]] for name, own in tables.items()}, hits[order[n:]]
        chosen = {name: rule(seen, draw) for name, rule in rules.items()}
        for name, cells in {
            **best,
            **chosen,
            **{name: rule(preference[order[:n]]) for name, rule in _OF_LOCALES.items()},
        }.items():
            nothing[name] += cells is None
            if cells is not None:
                used[name].append(float(strengths[cells].mean()))
            gains[name].append(0.0 if cells is None else _gain(others, cells))
    for name, own in gains.items():
        strength = float(np.mean(used[name])) if used[name] else np.nan
        kept = {"gain": float(np.mean(own)), "unsteered": nothing[name] / len(own), "strength": strength}
        yield {"vector": vector, "concepts": n, "pool": len(hits), "cells": hits.shape[2], "rule": name, **kept}


def _gain(hits: Located, cells: int | Cells) -> float:
    """Returns the mean change over concepts, each the mean of its locales, under one cell for all or one for each locale."""
    return float(np.nanmean(hits[:, np.arange(hits.shape[1]), cells], axis=1).mean())


def _told(swept: Sweep, by: int, n: int, config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields how often the interval of a plan, chosen by one of two rules and tested on ``n`` others, excludes zero."""
    for vector in CLAIMED:
        tables, shape = _over_locales(_located(swept, vector)), _shape(swept, vector)
        if n + by > len(tables["hits"]):
            continue
        for rule, within in ((_PREFERENCE, None), (_WEAKEST, shape)):
            rng, found = np.random.default_rng(config["seed"]), []
            for seed in range(config["runs"]):
                order = rng.permutation(len(tables["hits"]))
                seen, tested = order[:by], order[by : by + n]
                cell = _or_nothing(tables["preference"][seen], config["folds"], seed, within)
                if cell is None:
                    found.append((0.0, 0.0, 0.0))
                    continue
                interval = bootstrap_interval(tables["hits"][tested, cell], draws=1000, seed=seed)
                found.append((interval.mean, interval.low, interval.high))
            changes = np.array(found)
            shares = {"above": changes[:, 1] > 0, "below": changes[:, 2] < 0, "unsteered": (changes == 0).all(axis=1)}
            place = {"vector": vector, "rule": rule, "concepts": by, "tested": n, "runs": len(changes)}
            yield {**place, "change": changes[:, 0].mean(), **{name: share.mean() for name, share in shares.items()}}


def _spread(swept: Sweep, vector: str) -> dict[str, Any]:
    """Returns how many answers the best cell moves, and how alike in two locales: what the power of a run is expected from."""
    cells = swept.cells(CLAIMED[vector]).query("vector == @vector").sort_values("change")
    layer, strength = int(cells["layer"].iloc[-1]), float(cells["strength"].iloc[-1])
    wanted = {"vector": vector, "score": CLAIMED[vector], "layer": layer, "strength": strength}
    own = swept.frame[(swept.frame[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    change = own.assign(change=own["value"] - own["base"])
    alike = change.pivot_table(index="concept", columns="locale", values="change").corr().to_numpy()
    moved = float((change["change"] != 0).mean())
    place = {"vector": vector, "layer": layer, "strength": strength, "moved": moved}
    return {**place, "correlation": float(alike[np.triu_indices(len(alike), 1)].mean()) if len(alike) > 1 else np.nan}


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    kept, told = results.table("kept"), results.table("told")
    tables = {}
    for vector in CLAIMED:
        own = kept[kept["vector"] == vector]
        counts = sorted(set(own["concepts"]))
        rows = [
            [rule, *(_cell(rows_of(own, rule=rule, concepts=n)[0]) for n in counts), _strength(own, rule, counts[-1])]
            for rule in dict.fromkeys(own["rule"])
        ]
        header = ["rule", *(f"{n} concepts" for n in counts), f"mean strength ({counts[-1]} concepts)"]
        tables[vector] = markdown_table(header, rows)
    header = [
        "vector",
        "rule, or unsteered",
        "chosen with",
        "tested on",
        "mean change",
        "interval above zero",
        "interval below zero",
        "unsteered",
    ]
    lines = [_line(row) for row in told.to_dict("records")]

    def gain(vector: str, rule: str, n: int) -> float:
        return 100 * rows_of(kept, vector=vector, rule=rule, concepts=n)[0]["gain"]

    def strength(vector: str, rule: str, n: int) -> float:
        return float(rows_of(kept, vector=vector, rule=rule, concepts=n)[0]["strength"])

    pool = {vector: int(kept[kept["vector"] == vector]["pool"].iloc[0]) for vector in CLAIMED}
    cells = int(kept["cells"].iloc[0])
    spread = results.table("spread")
    moved = markdown_table(
        ["best cell", "answers that change", "correlation of two locales"],
        [
            [f"{row['strength']:g} × {row['vector']} at layer {row['layer']}", f"{row['moved']:.0%}", f"{row['correlation']:.2f}"]
            for row in spread.to_dict("records")
        ],
    )
    return {
        "kept": tables,
        "told": markdown_table(header, lines),
        "gain": gain,
        "strength": strength,
        "pool": pool,
        "cells": cells,
        "moved": moved,
    }


def _line(row: dict[str, Any]) -> list[Any]:
    shares = (f"{row[name]:.0%}" for name in ("above", "below", "unsteered"))
    return [row["vector"], row["rule"], row["concepts"], row["tested"], f"{100 * row['change']:+.1f} points", *shares]


def _strength(kept: pd.DataFrame, rule: str, n: int) -> str:
    return f"{rows_of(kept, rule=rule, concepts=n)[0]['strength']:.1f}"


def _cell(row: dict[str, Any]) -> str:
    nothing = f" ({row['unsteered']:.0%} unsteered)" if row["unsteered"] else ""
    return f"{100 * row['gain']:+.1f}{nothing}"


if __name__ == "__main__":
    main("choosing", run, shown)
