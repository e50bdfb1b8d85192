"""The paper's finding: where facts and culture are steered best, how EN and LOC lie, and whether surgical steering gets both."""

from typing import Any

import pandas as pd
import torch

import steerlens as sl
from experiments.common import Context, main
from experiments.finding.figures import cosine_figure
from experiments.finding.shown import shown
from experiments.steps import CLAIMED, MARGINS, Plans, Source, differences, mean_rows, prepared
from steerlens.evaluation import Depths, Sweep, answered, effects, placed, side_effects
from steerlens.evaluation.scores import AXES
from steerlens.probing import geometry
from steerlens.settings import spaced
from steerlens.statistics import percentile_interval
from steerlens.steering import Controls

_MEASURES = ("cosine", "ceiling", "reliability", "split-half cosine", "relative norm")
_COLUMNS = ["vector", "layer", "strength", "value", "base", "change", "margin", "exact", "n", "items", "score"]
_TOLD = ("transfer", "localization", "english_centric")


def run(context: Context) -> None:
    """Runs every part in turn, each writing its tables and figures."""
    source = prepared(context)
    swept = _swept(context, source)
    _depth(context, swept)
    _directions(context, source)
    with context.timed("choice on dev"):
        chosen = swept.choose() if context.config["limits"] else swept.choose(limits=None)
    context.results.write_json("chosen", [choice.to_dict() for choice in chosen.values()])
    plans = {name: choice.plans() for name, choice in chosen.items()}
    _placed(context, source, plans)
    _controlled(context, source, plans)


def _swept(context: Context, source: Source) -> Sweep:
    config, layers = context.config, spaced(context.model.layers(), context.config["layers"])
    more: dict[str, Any] = {"extend": config.get("extend", 0), "resume": context.running}
    with context.timed("sweep"):
        swept = sl.evaluation.sweep(context.model, source.part("dev"), source.vectors, layers, config["strengths"], **more)
    context.results.keep("swept", swept)
    context.results.write("sweep", pd.concat(swept.cells(score).assign(score=score) for score in CLAIMED.values())[_COLUMNS])
    for vector, score in CLAIMED.items():
        context.results.figure(f"sweep-{vector}-{score}", swept.heatmap(vector, score), ["sweep"], 560)
    return swept


def _depth(context: Context, swept: Sweep) -> None:
    """Writes depths by the scores, and by the margins behind them."""
    draws, seed = context.config["draws"], context.config["seed"]
    by_score, by_margin = (swept.depth(scores, draws=draws, seed=seed).frame for scores in (CLAIMED, MARGINS))
    table = pd.concat([by_score.assign(by="score"), by_margin.assign(by="margin")])
    context.results.write("depth", table.assign(layers=context.model.n_layers))
    context.results.figure("depth", Depths(table).plot(swept), ["depth", "sweep"])


def _directions(context: Context, source: Source) -> None:
    """Writes the cosine of EN and LOC by layer with what noise allows, and with that of EN and LOC of shuffled labels."""
    config = context.config
    with context.timed("geometry"):
        frame = geometry(source.stack, draws=config["draws"], seed=config["seed"]).frame
        controls = source.shuffled(config["null_draws"])
    rows = []
    for code in source.locales:
        en = source.vectors["EN", code]
        unrelated = [vector for vector in controls if vector.locale == code and vector.name.startswith("LOC ")]
        cosines = torch.stack([en.cosine(vector) for vector in unrelated])
        low, high = percentile_interval(cosines.numpy())
        for at, layer in enumerate(en.layers):
            common = {"locale": code, "layer": layer, "measure": "shuffled", "of": "EN-LOC", "n": len(unrelated)}
            rows.append({**common, "value": float(cosines[:, at].mean()), "low": float(low[at]), "high": float(high[at])})
    kept = frame[frame["measure"].isin(_MEASURES)]
    table = pd.concat([kept, pd.DataFrame(rows)], ignore_index=True).assign(near=config["perpendicular"])
    context.results.figure("cosines", cosine_figure(context.results.write("cosines", table)), ["cosines"])


def _placed(context: Context, source: Source, plans: Plans) -> None:
    """Writes the plane on test with side effects, effects by item, and surgical steering against the others."""
    config, model, test = context.config, context.model, source.part("test")
    aside, seed = config["side_effects"], config["seed"]
    with context.timed("test"):
        answers = answered(model, test, plans, resume=context.running)
    plane, moved = placed(answers, seed=seed), effects(answers, scores=AXES, seed=seed)
    with context.timed("side effects"):
        sample = test.sample(aside["concepts"], seed=seed)
        common: dict[str, Any] = {"max_new_tokens": aside["tokens"], "seed": seed, "resume": context.running}
        costs = side_effects(model, sample, plans, concepts=None, **common)
    context.results.write("plane", plane.beside(costs).frame)
    context.results.write("effects", moved.frame.drop(columns="score"))
    pairs = [("surgical", "EN"), ("surgical", "LOC"), ("LOC", "EN"), ("LOC", "explicit prompt"), ("surgical", "explicit prompt")]
    context.results.write("against", differences(answers, pairs, (*_TOLD, *MARGINS.values()), seed))
    context.results.figure("plane", plane.plot(), ["plane"])
    context.results.figure("effects", moved.plot(), ["effects"])


def _controlled(context: Context, source: Source, plans: Plans) -> None:
    """Writes every plan beside its controls, on fewer concepts."""
    config: dict[str, Any] = context.config["controls"]
    seed = context.config["seed"]
    controls = Controls(config["random"], seed, source.shuffled(config["shuffled"]))
    test = source.part("test").sample(config["concepts"], seed=seed)
    with context.timed("controls"):
        answers = answered(context.model, test, plans, controls=controls, resume=context.running)
    table = placed(answers, seed=seed)
    context.results.write("controls", mean_rows(table.frame))
    context.results.figure("controls", table.plot(by_locale=False), ["controls"])


if __name__ == "__main__":
    main("finding", run, shown)
