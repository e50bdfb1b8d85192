"""How often does a run of the demo's size show what LOC steering does: the demo's LOC part, again with every seed."""

from typing import Any

import pandas as pd

import steerlens as sl
from experiments.common import Context, Results, main
from experiments.words import interval
from steerlens.evaluation import MEAN, answered, placed
from steerlens.steering import LOC, UNSTEERED
from steerlens.tables import markdown_table

_COLUMNS = ["method", "score", "n", "value", "change", "low", "high"]


def run(context: Context) -> None:
    """Takes, chooses and tests with each seed's own split, samples and folds, as the demo does."""
    given = dict(context.config)
    seeds = given.pop("seeds")
    items = sl.data.atlas(sl.StudySettings().locales)
    rows = [row for seed in seeds for row in _one(context, items, sl.StudySettings(seed=seed, **given))]
    context.results.write("seeds", pd.DataFrame(rows))


def _one(context: Context, items: sl.data.Items, settings: sl.StudySettings) -> list[dict[str, Any]]:
    """Returns what the plane says of localization on test, of LOC steering and of the explicit prompt, with one seed."""
    model, parts = context.model, settings.parts(items)
    dev, test = (part.of(kind="cultural") for part in (parts.dev, parts.test))
    with context.timed(f"seed {settings.seed}"):
        vectors = sl.steering.take(model, parts.train, LOC, locales=settings.locales)
        common: dict[str, Any] = {"tokens": settings.tokens, "mode": settings.mode, "seed": settings.seed}
        layers = settings.swept(model)
        swept = sl.evaluation.sweep(model, dev, vectors, layers, settings.strengths, resume=context.running, **common)
        chosen = swept.choose(seed=settings.seed)[LOC.name]
        answers = answered(model, test, {LOC.name: chosen.plans()}, resume=context.running)
    frame = placed(answers, seed=settings.seed).frame
    means = frame[(frame["locale"] == MEAN) & (frame["score"] == LOC.score) & frame["change"].notna()]
    return [
        {"seed": settings.seed, "plan": " + ".join(map(str, chosen.steps)) or UNSTEERED, **row}
        for row in means[_COLUMNS].to_dict("records")
    ]


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    table = results.table("seeds")
    steered = table[table["method"] == LOC.name]
    named = table[table["method"] == sl.evaluation.EXPLICIT].set_index("seed")
    rows = [
        [row.seed, row.plan, interval(row._asdict()), interval(named.loc[row.seed].to_dict())]
        for row in steered.itertuples(index=False)
    ]
    return {
        "table": markdown_table(["seed", "chosen on dev", "LOC", "explicit prompt"], rows),
        "told": {"LOC": int((steered["low"] > 0).sum()), "explicit": int((named["low"] > 0).sum())},
        "same": steered["plan"].nunique() == 1,
        "unsteered": int((steered["plan"] == UNSTEERED).sum()),
        "below": int((steered["high"] < 0).sum()),
        "seeds": len(steered),
        "mean": float(steered["change"].mean()),
        "n": int(steered["n"].max()),
    }


if __name__ == "__main__":
    main("seeds", run, shown)
