"""Do probing, the search and the plane find what is planted, and claim nothing where nothing is?

    python -m experiments.planted.run [--seeds 100]

Runs all three on the planted model of each seed and on its twin in which nothing is planted (about 5 seconds for both on a core),
and writes ``results/planted/``: tables, a figure (for which it needs Chrome or Chromium), ``record.json`` and ``found.md``.
What counts as a claim and as found is said in README.md.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import steerlens as sl
from experiments.common import Results
from steerlens.evaluation import BEST, Answers, SearchSettings, answered, placed, search
from steerlens.plotting import Figure
from steerlens.plotting.theme import GREY, METHOD_COLOURS, below, figure, symbol_of
from steerlens.provenance import provenance
from steerlens.steering import EN, LOC, UNSTEERED, SteeringVector, take
from steerlens.storage import write_text
from steerlens.testbed import Planted, planted

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())
LOCALE, ALPHA = CONFIG["locale"], CONFIG["alpha"]
SCORE_OF = {contrast.name: contrast.score for contrast in (EN, LOC)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.planted.run", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=CONFIG["seeds"], help="seeds from 0 (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "planted", help="folder (default: %(default)s)")
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    args = parser.parse_args()
    torch.set_num_threads(1)
    results, started = Results(args.out, draw=not args.no_figures), time.time()
    rows: list[dict[str, Any]] = []
    layers: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        for nothing in (False, True):
            row, by_layer = judged(planted(seed, nothing=nothing, locales=(LOCALE,), concepts=CONFIG["concepts"]))
            place = {"seed": seed, "model": "nothing planted" if nothing else "planted"}
            rows.append({**place, **row})
            layers += [{**place, **one} for one in by_layer]
        print(f"seed {seed}, {time.time() - started:.0f} s", flush=True)
    frame = pd.DataFrame(rows).astype({"en_layer": "Int64", "loc_layer": "Int64"})
    results.write("seeds", frame)
    means = results.write("layers", by_distance(pd.DataFrame(layers)))
    results.figure("layers", drawn(means), ["layers"])
    config, seconds = {**CONFIG, "seeds": args.seeds}, {"all": round(time.time() - started, 1)}
    results.write_json("record", provenance(experiment="planted", config=config, figures=results.figures, seconds=seconds))
    results.draw_figures()
    write_text(args.out / "found.md", rates(frame) + "\n")
    print(rates(frame))


def judged(bed: Planted) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What each of the three claims of a model, whether it found what is planted, and what they saw at each layer."""
    truth = {name: own.layer for name, own in bed.truth.get(LOCALE, {}).items()}
    probed, seen = by_probing(bed)
    placed, moved = by_plane(bed)
    searched = by_search(bed)
    row: dict[str, Any] = {"en_layer": truth.get("EN"), "loc_layer": truth.get("LOC")}
    for name, (claims, found) in {"probing": probed, "search": searched, "plane": placed}.items():
        row |= {f"{name}_claims": "; ".join(claims), f"{name}_found": found if truth else None}
    steps = [
        {**one, "from_en": one["layer"] - truth["EN"], "from_loc": one["layer"] - truth["LOC"]} if truth else one
        for one in (a | b for a, b in zip(seen, moved, strict=True))
    ]
    return row, steps


def by_probing(bed: Planted) -> tuple[tuple[list[str], bool], list[dict[str, Any]]]:
    """Layers at which the kinds are told apart, corrected over layers."""
    stack = bed.model.residuals(bed.items.of(locale=LOCALE).prompts(explicit=False))
    frame = sl.probing.permutation_test(stack, draws=CONFIG["permutations"], seed=bed.seed).frame
    claimed = set(frame[frame["p_corrected"] < ALPHA]["layer"])
    highest = set(frame.nlargest(2, "auroc")["layer"])
    found = highest == set(bed.layers) <= claimed
    return ([f"layer {layer}" for layer in sorted(claimed)], found), frame[["layer", "auroc"]].to_dict("records")


def by_search(bed: Planted) -> tuple[list[str], bool]:
    """Scores that the one plan which the search prefers raises on test."""
    settings = SearchSettings(**{**CONFIG["search"], "tokens": tuple(CONFIG["search"]["tokens"]), "seed": bed.seed})
    found = search(bed.model, bed.items.split(seed=bed.seed), [LOCALE], settings=settings)
    tested = found.tested.frame
    raised = tested[(tested["method"] == BEST) & (tested["low"] > 0)]["score"]
    claims = [score for score in SCORE_OF.values() if score in set(raised)]
    chosen = {step.vector: step.layer for step in found.chosen(LOCALE).steps}
    truth = {name: own.layer for name, own in bed.truth.get(LOCALE, {}).items()}
    aligned = all(
        cosines(bed, vector)[truth[name]] > CONFIG["aligned"] for name, vector in found.vectors.of(LOCALE).items() if truth
    )
    return [f"{score} by {found.chosen(LOCALE)}" for score in claims], len(claims) == 2 and chosen == truth and aligned


def by_plane(bed: Planted) -> tuple[tuple[list[str], bool], list[dict[str, Any]]]:
    """Layers and vectors that raise a score, corrected over all of them and both scores."""
    split = bed.items.split(seed=bed.seed)
    held_out = sl.data.Items((*split.dev, *split.test)).of(locale=LOCALE)
    vectors = take(bed.model, split.train, locales=[LOCALE]).of(LOCALE)
    methods = {
        f"{name} at {layer}": {LOCALE: vector.at(layer, CONFIG["strength"])}
        for name, vector in vectors.items()
        for layer in bed.model.layers()
    }
    given = answered(bed.model, held_out, methods)
    own = placed(given, seed=bed.seed).frame.query("locale == @LOCALE and method in @methods and score in @SCORE_OF.values()")
    p = {(name, score): p_of(given, name, score, bed.seed) for name in methods for score in SCORE_OF.values()}
    raised = [(row.method, row.score) for row in own.itertuples() if row.change > 0]
    claims = {which for which in raised if p[which] < ALPHA / len(p)}
    found = bool(bed.truth)
    moved: list[dict[str, Any]] = [{} for _ in bed.model.layers()]
    for name, score in SCORE_OF.items():
        changes = own[own["score"] == score].set_index("method")["change"]
        for layer, step in enumerate(moved):
            step[score] = changes[f"{name} at {layer}"]
        if bed.truth:
            at = bed.truth[LOCALE][name].layer
            found &= changes.idxmax() == f"{name} at {at}" and (f"{name} at {at}", score) in claims
            found &= cosines(bed, vectors[name])[at] > CONFIG["aligned"]
    return (sorted(f"{score} by {method}" for method, score in claims), found), moved


def p_of(answers: Answers, method: str, score: str, seed: int) -> float:
    """Of no change of a score under a method, paired by concept."""
    return answers.compare(method, UNSTEERED, score, seed=seed).frame["p"].item()


def cosines(bed: Planted, vector: SteeringVector) -> list[float]:
    """Of a vector at each layer with the planted direction of its name."""
    direction = bed.truth[LOCALE][vector.name].direction
    return torch.cosine_similarity(vector.directions, direction[None], dim=1).tolist()


def rates(frame: pd.DataFrame) -> str:
    """Found of the planted, silent of the others, as Markdown."""
    lines = ["| | planted: found | nothing planted: nothing claimed |", "| --- | --- | --- |"]
    for name in ("probing", "search", "plane"):
        there, nothing = (frame[frame["model"] == model] for model in ("planted", "nothing planted"))
        silent = int((nothing[f"{name}_claims"] == "").sum())
        lines.append(f"| {name} | {int(there[f'{name}_found'].sum())} of {len(there)} | {silent} of {len(nothing)} |")
    return "\n".join(lines)


def by_distance(layers: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds by distance from the planted layer, and of the twins by layer from the middle."""
    rows = []
    for model, part in layers.groupby("model", sort=False):
        middle = part["layer"] - layers["layer"].max() // 2
        for seen, column, at in (
            ("AUROC less 0.5, from EN's layer", "auroc", "from_en"),
            ("change of transfer under EN", "transfer", "from_en"),
            ("change of localization under LOC", "localization", "from_loc"),
        ):
            values = part[column] - (0.5 if column == "auroc" else 0.0)
            grouped = values.groupby(part[at] if model == "planted" else middle)
            rows += [{"model": model, "seen": seen, "distance": int(d), "mean": v, "seeds": len(g)}
                     for (d, g), v in zip(grouped, grouped.mean(), strict=True)]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(means: pd.DataFrame) -> Figure:
    """Solid: by distance from the planted layer. Dotted: the twins."""
    words = "mean over seeds; solid: planted, by layers from the planted one; dotted: nothing planted, from the middle"
    fig = figure(
        "What is seen at a distance from the planted layer",
        words,
        "layers away",
        "AUROC above 0.5, or change (share)",
        width="page",
    )
    colours = dict(zip(means["seen"].unique(), (GREY, METHOD_COLOURS["EN"], METHOD_COLOURS["LOC"]), strict=True))
    for (model, seen), part in means.groupby(["model", "seen"], sort=False):
        line = {"color": colours[seen], "dash": "solid" if model == "planted" else "dot"}
        name = seen if model == "planted" else f"{seen.split(',')[0]}, nothing planted"
        marker = {"symbol": symbol_of(colours[seen]), "size": 8}
        fig.add_scatter(x=part["distance"], y=part["mean"], mode="lines+markers", name=name, line=line, marker=marker)
    return below(fig.update_layout(height=560))


if __name__ == "__main__":
    main()
