"""Whether alignment by training gains transfer at the price of localization, and whether anything gives back what was lost."""

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

import steerlens as sl
from experiments.alignment.shown import shown
from experiments.common import Context, main
from experiments.steps import MARGINS, Plans, Source, chosen_by, differences, mean_rows, prepared
from steerlens.alignment import Aligned, Keep, TrainingSettings
from steerlens.data.parallel import ParallelCorpus, culture, facts
from steerlens.evaluation import EXPLICIT, Answers, Method, Plane, Steered, answered, frontier, placed, side_effects, strengths
from steerlens.steering import UNSTEERED

MIDALIGN, CONTROL = "MidAlign", "continued training"
_KEPT, _MIXED = f"{MIDALIGN}, local kept", f"{MIDALIGN}, culture mixed in"
_ON_TOP = f"surgical on {MIDALIGN}"
_FACTORS = (0.5, 1, 2)
Adapters = dict[tuple[str, int], Aligned]
"""By method and seed."""


def run(context: Context) -> None:
    """Trains every method with every seed, and then measures them all."""
    config, source = context.config, prepared(context)
    plans = {name: choice.plans() for name, choice in chosen_by(context, config["from"], source).items()}
    corpora = _corpora(context, source)
    made = {
        (name, seed): _trained(context, source, corpora, name, seed) for name in config["methods"] for seed in config["seeds"]
    }
    context.results.write("training", pd.concat(_logs(made), ignore_index=True))
    first = config["seeds"][0]
    context.results.figure("training", made[MIDALIGN, first].plot(), ["training"], 560)
    parts = {_third(span): _trained(context, source, corpora, MIDALIGN, first, tuple(span)) for span in config["thirds"]}
    _placed(context, source, made, plans)
    _curve(context, source, made, plans)
    _inside(context, source, made, parts)


def _corpora(context: Context, source: Source) -> dict[bool, ParallelCorpus]:
    """Returns the parallel texts of train, without and with its questions about culture, and notes what they are."""
    held_out = sl.data.Items((*source.split.dev, *source.split.test), "dev and test")
    parallel = facts(source.split.train).without_leaks(held_out)
    mixed = parallel + culture(source.split.train).without_leaks(held_out)
    context.notes["texts"] = {"parallel": len(parallel), "with culture": len(mixed), "digest": mixed.digest()}
    return {False: parallel, True: mixed}


def _trained(
    context: Context,
    source: Source,
    corpora: Mapping[bool, ParallelCorpus],
    name: str,
    seed: int,
    span: tuple[int, int] | None = None,
) -> Aligned:
    """Trains one method with one seed, on all layers or on those of a span."""
    config: dict[str, Any] = context.config
    layers = None if span is None else tuple(range(span[0], span[1] + 1))
    settings = TrainingSettings(**config["training"], seed=seed, layers=layers)
    folder = f"{name.replace(', ', '-').replace(' ', '-').lower()}-{seed}{'' if span is None else f'-{span[0]}-{span[1]}'}"
    common: dict[str, Any] = {"out": context.results.path / "adapters" / folder, "settings": settings}
    keep = Keep(source.vectors.named("LOC"), config["keep"]["layer"], source.split.train, config["keep"]["weight"])
    with context.timed(f"training {folder}"):
        corpus = corpora[name == _MIXED]
        if name in (MIDALIGN, _KEPT, _MIXED):
            common["keep"] = keep if name == _KEPT else None
            return sl.alignment.midalign(context.model, corpus, source.locales, layer=_aligned(config["layer"], span), **common)
        methods = {"CLO": sl.alignment.clo, "multilingual tuning": sl.alignment.tune, CONTROL: sl.alignment.continued}
        return methods[name](context.model, corpus, source.locales, **common)


def _aligned(layer: int, span: tuple[int, int] | None) -> int:
    """The layer that is aligned: the middle of the trained blocks where these lie above the usual one, which they do not move."""
    return sum(span) // 2 if span is not None and span[0] > layer else layer


def _third(span: tuple[int, int]) -> str:
    return f"{MIDALIGN} in layers {span[0]} to {span[1]}"


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
    pairs += [(name, MIDALIGN) for name in (_KEPT, _MIXED, _ON_TOP, "EN") if name in set(over_seeds.frame["method"])]
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


def _inside(context: Context, source: Source, made: Adapters, parts: Mapping[str, Aligned]) -> None:
    """Writes what each method changed inside the model, MidAlign in some of the layers among them."""
    config: dict[str, Any] = context.config["inside"]
    first = context.config["seeds"][0]
    items = source.split.test.sample(config["concepts"], seed=context.config["seed"])
    layers = sl.settings.spaced(context.model.layers(), config["layers"])
    methods = {name: made[name, first] for name in context.config["methods"]} | parts
    with context.timed("inside"):
        found = sl.alignment.inside(context.model, methods, items, layers=layers)
    kept = ["model", "layer", "measure", "of"]
    means = found.frame.groupby(kept, sort=False)[["value", "low", "high", "n"]].mean().reset_index()
    context.results.write("inside", means)
    for measure, of in (("centred cosine", "cultural"), ("moved", "LOC")):
        context.results.figure(f"inside-{measure.replace(' ', '-')}", found.plot(measure, of), ["inside"], 560)


if __name__ == "__main__":
    main("alignment", run, shown)
