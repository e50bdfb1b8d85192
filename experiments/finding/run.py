"""The paper's finding: where facts and culture are steered best, how EN and LOC lie, and whether surgical steering gets both."""

from typing import Any

import pandas as pd
import torch

import steerlens as sl
from experiments.common import Context, main
from experiments.figures import cosine_figure, depth_figure
from experiments.finding.found import found
from experiments.measures import CLAIMED, MARGINS, SCORES, cosines, differences, mean_rows
from experiments.steps import TOKENS, Plans, Source, drawn, plans_of, prepared, spaced
from steerlens.evaluation import Answers, Sweep, answered, choose, effects, placed, side_effects
from steerlens.probing import geometry
from steerlens.statistics import percentile_interval
from steerlens.steering import Controls

_MEASURES = ("cosine", "ceiling", "reliability", "split-half cosine", "relative norm")


def run(context: Context) -> None:
    """Every part in turn, each writing its tables and figures."""
    source = prepared(context)
    swept = _swept(context, source)
    _depth(context, swept)
    _directions(context, source)
    with context.timed("choice on dev"):
        chosen, _ = choose(context.model, source.part("dev"), swept, source.vectors, tokens=TOKENS)
    context.results.write_json("chosen", [choice.to_dict() for choice in chosen])
    plans = plans_of(chosen, source)
    _placed(context, source, plans)
    _controlled(context, source, plans)


def _swept(context: Context, source: Source) -> Sweep:
    config, model = context.config, context.model
    layers = spaced(model.n_layers, config["layers"])
    with context.timed("sweep"):
        swept = sl.evaluation.sweep(
            model, source.part("dev"), source.flat(), layers, config["strengths"], mode="exact", tokens=TOKENS
        )
    scores = [swept.cells(score).assign(score=score) for score in sl.evaluation.SCORES]
    context.results.write("sweep", pd.concat(scores))
    for vector, score in (("EN", "transfer"), ("LOC", "localization"), ("EN", "localization"), ("LOC", "transfer")):
        context.results.figure(f"sweep-{vector}-{score}", swept.heatmap(vector, score), ["sweep"], 560)
    return swept


def _depth(context: Context, swept: Sweep) -> None:
    """By the scores, and by the margins behind them."""
    draws, seed = context.config["draws"], context.config["seed"]
    by_score, by_margin = (swept.depth(scores, draws=draws, seed=seed).frame for scores in (CLAIMED, MARGINS))
    tables = [by_score.assign(by="score"), by_margin.assign(by="margin")]
    table = context.results.write("depth", pd.concat(tables).assign(layers=context.model.n_layers))
    cells = context.results.table("sweep")
    context.results.figure("depth", depth_figure(cells, table, CLAIMED), ["depth", "sweep"])


def _directions(context: Context, source: Source) -> None:
    """Cosine of EN and LOC by layer with what noise allows, and with that of EN and LOC of shuffled labels."""
    config = context.config
    with context.timed("geometry"):
        frame = geometry(source.stack, draws=config["draws"], seed=config["seed"]).frame
        controls = source.shuffled(config["null_draws"])
    rows = []
    for code, own in source.vectors.items():
        unrelated = [vector for vector in controls if vector.locale == code and vector.name.startswith("LOC ")]
        drawn_cosines = torch.stack([cosines(own["EN"], vector) for vector in unrelated])
        low, high = percentile_interval(drawn_cosines.numpy())
        for at, layer in enumerate(own["EN"].layers):
            common = {"locale": code, "layer": layer, "measure": "shuffled", "of": "EN-LOC", "n": len(unrelated)}
            rows.append({**common, "value": float(drawn_cosines[:, at].mean()), "low": float(low[at]), "high": float(high[at])})
    kept = frame[frame["measure"].isin(_MEASURES)]
    table = pd.concat([kept, pd.DataFrame(rows)], ignore_index=True).assign(near=config["perpendicular"])
    context.results.figure("cosines", cosine_figure(context.results.write("cosines", table)), ["cosines"])


def _placed(context: Context, source: Source, plans: Plans) -> None:
    """The plane on test with side effects, effects by item, and surgical steering against the others."""
    config, model, test = context.config, context.model, source.part("test")
    with context.timed("test"):
        answers = answered(model, test, plans)
    plane = placed(answers, seed=config["seed"])
    with context.timed("side effects"):
        sample = drawn(test, config["side_effects"]["concepts"], config["seed"])
        aside = side_effects(
            model, sample, plans, concepts=None, max_new_tokens=config["side_effects"]["tokens"], seed=config["seed"]
        )
    context.results.write("plane", plane.beside(aside).frame)
    moved = effects(answers, seed=config["seed"])
    context.results.write("effects", moved.frame)
    pairs = [("surgical", "EN"), ("surgical", "LOC"), ("LOC", "explicit prompt"), ("surgical", "explicit prompt")]
    context.results.write("against", differences(answers, pairs, SCORES, config["seed"]))
    context.results.figure("plane", plane.plot(), ["plane"])
    context.results.figure("effects", moved.plot(), ["effects"])


def _controlled(context: Context, source: Source, plans: Plans) -> None:
    """Every plan beside its controls, on fewer concepts."""
    config: dict[str, Any] = context.config["controls"]
    seed = context.config["seed"]
    controls = Controls(config["random"], seed, source.shuffled(config["shuffled"]))
    sample = drawn(source.part("test"), config["concepts"], seed)
    with context.timed("controls"):
        answers: Answers = answered(context.model, sample, plans, controls=controls)
    table = placed(answers, seed=seed)
    context.results.write("controls", mean_rows(table.frame))
    context.results.figure("controls", table.plot(by_locale=False), ["controls"])


if __name__ == "__main__":
    main("finding", run, found)
