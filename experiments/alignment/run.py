"""Whether alignment by training gains transfer at the price of localization, and whether anything gives back what was lost."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from experiments.alignment.shown import shown
from experiments.alignment.trained import CONTROL, KEPT, MIDALIGN, MIXED, corpora, trained
from experiments.common import Context, main
from experiments.steps import MARGINS, Plans, Source, chosen_by, differences, mean_rows, prepared
from steerlens.alignment import Aligned
from steerlens.evaluation import EXPLICIT, Answers, Method, Plane, Steered, answered, frontier, placed, side_effects, strengths
from steerlens.steering import UNSTEERED

_ON_TOP = f"surgical on {MIDALIGN}"
_FACTORS = (0.5, 1, 2)
Adapters = dict[tuple[str, int], Aligned]
"""By method and seed."""


def run(context: Context) -> None:
    """Trains every method with every seed, and then measures them all."""
    config, source = context.config, prepared(context)
    plans = {name: choice.plans() for name, choice in chosen_by(context, config["from"], source).items()}
    texts = corpora(context, source)
    made = {(name, seed): trained(context, source, texts, name, seed) for name in config["methods"] for seed in config["seeds"]}
    context.results.write("training", pd.concat(_logs(made), ignore_index=True))
    first = config["seeds"][0]
    context.results.figure("training", made[MIDALIGN, first].plot(), ["training"], 560)
    _placed(context, source, made, plans)
    _curve(context, source, made, plans)


def _logs(made: Adapters) -> Iterator[pd.DataFrame]:
    return (own.log.frame.assign(method=name, seed=seed) for (name, seed), own in made.items())


def _placed(context: Context, source: Source, made: Adapters, plans: Plans) -> None:
    """Writes the plane on test, of the mean over seeds and of every seed, and the methods against each other."""
    config, test, first = context.config, source.part("test"), context.config["seeds"][0]
    on_top = {(_ON_TOP, seed): made[MIDALIGN, seed] + Steered(plans["surgical"]) for seed in config["seeds"]}
    seeded: dict[str, Method] = {_seeded(*key): own for key, own in {**made, **on_top}.items()}
    with context.timed("test"):
        answers = answered(context.model, test, {**plans, **seeded}, resume=context.running)
    over_seeds = _over_seeds(answers)
    table = placed(over_seeds, seed=config["seed"])
    context.results.write("plane", mean_rows(table.frame))
    context.results.write("locales", table.frame[table.frame["locale"] != "mean"])
    context.results.write("seeds", mean_rows(placed(answers, seed=config["seed"]).frame))
    pairs = [(name, CONTROL) for name in config["methods"] if name != CONTROL]
    pairs += [(name, MIDALIGN) for name in (KEPT, MIXED, _ON_TOP, "EN") if name in set(over_seeds.frame["method"])]
    scores = ("transfer", "localization", "english_centric", *MARGINS.values())
    context.results.write("against", differences(over_seeds, pairs, scores, config["seed"]))
    drawn = table.frame["method"].isin([UNSTEERED, EXPLICIT, *plans, *config["drawn"]])
    context.results.figure("plane", Plane(table.frame[drawn], table.meta).plot(by_locale=False), ["plane"])
    aside = config["side_effects"]
    with context.timed("side effects"):
        sample = test.sample(aside["concepts"], seed=config["seed"])
        common: dict[str, Any] = {"concepts": None, "max_new_tokens": aside["tokens"], "resume": context.running}
        costs = side_effects(context.model, sample, {name: made[name, first] for name in config["methods"]}, **common)
    context.results.write("side", mean_rows(costs.frame))


def _seeded(name: str, seed: int) -> str:
    return f"{name} #{seed}"


def _over_seeds(answers: Answers) -> Answers:
    """Returns answers in which a method's value of an item is its mean over the seeds that it was trained with."""
    frame = answers.frame.assign(method=answers.frame["method"].str.replace(r" #\d+$", "", regex=True))
    keys = [name for name in frame.columns if name != "value"]
    return Answers(frame.groupby(keys, sort=False, dropna=False)["value"].mean().reset_index()[list(frame.columns)], answers.meta)


def _curve(context: Context, source: Source, made: Adapters, plans: Plans) -> None:
    """Writes the trade-off along training steps and strengths."""
    config: dict[str, Any] = context.config
    first, curve = config["seeds"][0], config["curve"]
    items = source.split.test.sample(curve["concepts"], seed=config["seed"])
    paths: dict[str, Any] = {name: made[name, first] for name in curve["methods"]}
    paths |= {name: strengths(plan, _FACTORS) for name, plan in plans.items()}
    with context.timed("curve"):
        found = frontier(context.model, items, paths, locales=source.locales, seed=config["seed"], resume=context.running)
    context.results.write("curve", found.frame[found.frame["locale"] == "mean"])
    context.results.figure("curve", found.plot(), ["curve"])


if __name__ == "__main__":
    main("alignment", run, shown)
