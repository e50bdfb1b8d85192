"""Writes the finding's tables as Markdown, for the template."""

from typing import Any

import pandas as pd

from experiments.common import Results
from experiments.finding.verdicts import MATTERS, SHARE, verdicts
from experiments.steps import mean_rows
from experiments.words import SIDE, Row, aside, interval, level, one, rows_of, score_word, wide
from steerlens.tables import markdown_table

AXES = ("transfer", "localization")


def shown(results: Results) -> dict[str, Any]:
    """Returns the values that fill the template and the words about a model."""
    depth, cosines, against, plane, controls = map(results.table, ("depth", "cosines", "against", "plane", "controls"))
    size, means = cosines[cosines["measure"] == "cosine"]["value"].abs(), mean_rows(plane)
    steps = {one["method"]: one["steps"] for one in results.json("chosen")}
    added = dict.fromkeys(step["vector"] for step in steps["surgical"])
    scores, effects = list(dict.fromkeys(against["score"])), means[means["score"].isin(list(SIDE))]
    return {
        "depth": _depth(depth), "cosines": _cosines(cosines), "controls": _controls(controls),
        "plane": markdown_table(["method", *map(score_word, _PLACED)], wide(means, ["method"], _PLACED, level)),
        "against": markdown_table(["methods", *map(score_word, scores)], wide(against, ["method", "against"], scores)),
        "side": markdown_table(["method", *SIDE.values()], wide(effects, ["method"], SIDE, aside)),
        "chosen": "; ".join(f"{method}: {plan_of(own)}" for method, own in steps.items()),
        "skipped": _skipped(results.json("chosen")),
        "peak": {name: layer_of(one(depth, vector=name, by="score", measure="peak")) for name in ("EN", "LOC")},
        "n": {name: int(one(depth, vector=name, by="score", measure="peak")["n"]) for name in ("EN", "LOC")},
        "layers": depth["layers"].iloc[0], "interval": interval,
        "of": lambda method, score: one(means, method=method, score=score),
        "near": cosines["near"].iloc[0], "share": float((size <= cosines["near"].iloc[0]).mean()), "size": size.median(),
        "verdicts": markdown_table(["the paper finds", "verdict", "evidence"], verdicts(depth, cosines, means, against, added)),
        "rule": {"share": SHARE, "matters": MATTERS},
        "tested": _concepts(means), "controlled": _concepts(controls),
    }  # fmt: skip


_PLACED = (*AXES, "english_centric", "consistency")


def layer_of(row: Row, digits: int = 0) -> str:
    """Writes a layer with its interval over resamples."""
    return f"{row['layer']:.{digits}f} [{row['low']:.{digits}f}, {row['high']:.{digits}f}]"


def _depth(depth: pd.DataFrame) -> str:
    rows = [
        [row["vector"], row["by"], row["measure"], layer_of(row, 1), round(row["gain"], 3),
         row["deeper"] if row["deeper"] != row["deeper"] else f"{row['deeper']:.0%}"]
        for row in depth.to_dict("records")
    ]  # fmt: skip
    return markdown_table(["vector", "gain of", "measure", "layer [95% of resamples]", "gain at the peak", "LOC deeper in"], rows)


def _cosines(cosines: pd.DataFrame) -> str:
    keys, parts, rows = ["locale", "layer"], dict(list(cosines.groupby("measure"))), []
    both = parts["cosine"].merge(parts["shuffled"], on=keys, suffixes=("", "_null"))
    both = both.merge(parts["ceiling"][[*keys, "value"]], on=keys, suffixes=("", "_ceiling"))
    thirds = (3 * both["layer"] / (both["layer"].max() + 1)).astype(int).map(("first", "middle", "last").__getitem__)
    for name, part in both.groupby(thirds, sort=False):
        size, inside = part["value"].abs(), part["value"].between(part["low_null"], part["high_null"]).mean()
        null = part[["low_null", "high_null"]].abs().max(axis=1).median()
        numbers = (size.median(), size.max(), part["value_ceiling"].median(), null)
        rows.append([name, *(f"{number:.2f}" for number in numbers), f"{inside:.0%}"])
    header = ["third of the layers", "median absolute cosine", "largest", "median ceiling", "95% of unrelated cosines: within ±"]
    return markdown_table([*header, "cosines within the unrelated ones"], rows)


def _controls(controls: pd.DataFrame) -> str:
    rows = [
        [row["method"], row["score"], interval(row), row["draws"] if row["draws"] > 1 else "", round(row["p"], 3)]
        for score in AXES
        for row in rows_of(controls, score=score)
        if row["method"] != "unsteered"
    ]
    return markdown_table(["method", "score", "change", "draws", "p"], rows)


def plan_of(steps: list[Row]) -> str:
    """Writes the steps of a plan, or that it leaves the model unsteered."""
    return " + ".join(f"{step['strength']:g} × {step['vector']} at layer {step['layer']}" for step in steps) or "unsteered"


def _skipped(chosen: list[Row]) -> str:
    """Returns a sentence that names the plans that were left out because they make texts worse, or an empty text."""
    plans = list(dict.fromkeys(plan for one in chosen for plan in one.get("expected", {}).get("skipped", ())))
    return f" These plans were left out because they make texts worse than allowed: {'; '.join(plans)}." if plans else ""


def _concepts(means: pd.DataFrame) -> str:
    n = {score: one(means, method="unsteered", score=score)["n"] for score in AXES}
    return f"{n['transfer']} factual and {n['localization']} cultural concepts"
