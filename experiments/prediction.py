"""Predicted against exact sweeps: how well each way orders the cells, per locale, vector and kind of item.

    python experiments/prediction.py [--locales es-ES,ko-KR] [--concepts 8]

The ways, and what each costs beside the one pass forward and back that gives the slope at strength 0:

- ``slope``: nothing more; the derivative times the strength.
- ``midpoint``: the derivative at strength 0.5 instead, a pass forward and back for every layer (here by a central difference).
- ``run at s``: one cell a layer run, at strength s; the parabola with the slope at 0 through it. What a screened sweep does.
- ``runs at 0.5 and 2``: two cells a layer run; straight lines between them.

Spearman correlation of the mean change of margin over the cells that the way has not run, and whether the best layer of these
is among the predicted three best. Prints a table in Markdown; writes ``results/prediction.parquet`` and
``docs/images/prediction.png``.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

import steerlens as sl
from steerlens.evaluation import Scorer
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.plotting import Figure
from steerlens.plotting.theme import GREY, SERIES, SOFT, below, figure
from steerlens.steering import SteeringVector, take
from steerlens.tables import ResultTable, markdown_table

STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_SHADES = ("#c6dbef", "#9ecae1", "#6baed6", "#3182bd", "#08519c")
TOKENS = "last_onward"
IMAGE = Path(__file__).parent.parent / "docs" / "images" / "prediction.png"
_HALF, _STEP = 0.5, 0.02
Changes = dict[float, np.ndarray]
"""By strength: change of each item's margin, ``[layer, item]``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locales", default="es-ES,ko-KR")
    parser.add_argument("--concepts", type=int, default=8, help="dev concepts of each kind (default: %(default)s)")
    args = parser.parse_args()
    model, cells = sl.load("gemma-3-270m"), []
    for code in args.locales.split(","):
        split = sl.data.atlas([code]).split(seed=0)
        train, dev = split.train.sample(100), split.dev.sample(args.concepts)
        for vector, kind in product(take(model, train).values(), sl.data.KINDS):
            cells += compared(model, vector, dev.of(kind=kind, locale=code), kind)
    frame = pd.DataFrame(cells)
    ResultTable(frame).save("results/prediction.parquet")
    print(table(frame))
    scatter(frame).save(IMAGE, scale=1.5)


def compared(model: sl.LensModel, vector: SteeringVector, items: sl.data.Items, kind: str) -> Iterator[dict]:
    """A row per way and cell: predicted and exact mean change of margin, and whether the way has run it."""
    scorer, layers = Scorer(model, items), model.layers()
    exact = run(scorer, vector, STRENGTHS)
    near = run(scorer, vector, (_HALF - _STEP, _HALF + _STEP))
    slope = attributions(scorer, [(vector, layers)], TOKENS)[vector.name]
    middle = (near[_HALF + _STEP] - near[_HALF - _STEP]) / (2 * _STEP)
    ways = {
        "slope": (bent(slope, exact, None), ()),
        "midpoint": ({s: s * middle for s in STRENGTHS}, ()),
        "run at 1": (bent(slope, exact, 1.0), (1.0,)),
        "run at 2": (bent(slope, exact, 2.0), (2.0,)),
        "runs at 0.5 and 2": (between(exact, 0.5, 2.0), (0.5, 2.0)),
    }
    for way, (predicted, done) in ways.items():
        for strength in STRENGTHS:
            for layer in layers:
                values = {"predicted": predicted[strength][layer].mean(), "exact": exact[strength][layer].mean()}
                where = {"vector": vector.name, "items": kind, "locale": vector.locale, "way": way}
                yield {**where, "layer": layer, "strength": strength, "run": strength in done, **values}


def run(scorer: Scorer, vector: SteeringVector, strengths: tuple[float, ...]) -> Changes:
    layers = vector.layers
    plans = [vector.at(layer, strength, TOKENS) for strength in strengths for layer in layers]
    outcomes = {index: outcome for index, outcome in scorer.sweep(plans) if outcome is not None}
    base = np.array([outcome.margin for outcome in scorer.base])
    margins = np.array([[outcome.margin for outcome in outcomes[index]] for index in range(len(plans))]) - base
    return dict(zip(strengths, margins.reshape(len(strengths), len(layers), -1), strict=True))


def bent(slope: Attribution, exact: Changes, anchor: float | None) -> Changes:
    """The slope's prediction, bent through the cells at one strength if one is given."""
    layers = sorted(slope.slopes)
    for layer in layers if anchor else ():
        slope = slope.anchored(layer, anchor, exact[anchor][layer])
    return {strength: np.array([slope.predict(layer, strength) for layer in layers]) for strength in STRENGTHS}


def between(exact: Changes, low: float, high: float) -> Changes:
    """Straight lines from 0 through the cells at ``low`` and on through those at ``high``."""
    rise = (exact[high] - exact[low]) / (high - low)
    return {s: exact[low] * s / low if s <= low else exact[low] + (s - low) * rise for s in STRENGTHS}


def table(frame: pd.DataFrame) -> str:
    """Markdown: a row per vector and kind of item, means over locales."""
    scores = []
    for (vector, kind, _, way), part in frame[~frame["run"]].groupby(["vector", "items", "locale", "way"], sort=False):
        best = part.groupby("layer")[["predicted", "exact"]].max()
        top = best["exact"].idxmax() in set(best["predicted"].nlargest(3).index)
        rho = part["predicted"].corr(part["exact"], method="spearman")
        scores.append({"vector": vector, "items": kind, "way": way, "spearman": rho, "top": top})
    scored = pd.DataFrame(scores)
    wide = scored.pivot_table(index=["vector", "items"], columns="way", values="spearman", sort=False)
    best = scored.groupby("way", sort=False)["top"].mean()[wide.columns]
    lines = [[*index, *(f"{value:.2f}" for value in row)] for index, row in zip(wide.index, wide.to_numpy(), strict=True)]
    lines.append(["best layer in the first three", "", *(f"{value:.2f}" for value in best)])
    return markdown_table(["vector", "items", *wide.columns], lines)


def scatter(frame: pd.DataFrame) -> Figure:
    """Predicted against exact mean changes of margin, a panel per vector and way."""
    ways, vectors = ("slope", "run at 1"), ("EN", "LOC")
    titles = [f"{vector}, {way}" for vector in vectors for way in ways]
    words = "a point a layer, strength, locale and kind of item; dotted: predicted as it is"
    fig = figure("Change of margin: predicted against exact", words, "", "", width="page")
    fig.set_subplots(2, 2, subplot_titles=titles, horizontal_spacing=0.1, vertical_spacing=0.16)
    for at, (vector, way) in enumerate((vector, way) for vector in vectors for way in ways):
        place = {"row": 1 + at // 2, "col": 1 + at % 2}
        part = frame[(frame["vector"] == vector) & (frame["way"] == way) & ~frame["run"]]
        for strength, colour, (_, symbol) in zip(STRENGTHS, _SHADES, SERIES, strict=False):
            own = part[part["strength"] == strength]
            marker = {"color": colour, "symbol": symbol, "size": 6, "line": {"width": 0.5, "color": SOFT}}
            shown = {"name": f"strength {strength:g}", "legendgroup": str(strength), "showlegend": at == 0}
            fig.add_scatter(x=own["predicted"], y=own["exact"], mode="markers", marker=marker, **place, **shown)
        ends, line = [part["exact"].min(), part["exact"].max()], {"color": GREY, "dash": "dot", "width": 1}
        fig.add_scatter(x=ends, y=ends, mode="lines", line=line, showlegend=False, **place)
    fig.update_xaxes(title="predicted (nats per token)")
    fig.update_yaxes(title="exact (nats per token)")
    return below(fig.update_layout(height=720))


if __name__ == "__main__":
    main()
