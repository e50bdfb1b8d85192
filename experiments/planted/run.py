"""Do probing, the search and the plane find what is planted, and claim nothing where nothing is?

    python -m experiments.planted.run [--seeds 100]

Runs all three on the planted model of each seed and on its twin in which nothing is planted (about 5 seconds for both on a core),
and writes ``results/planted/``: tables, a figure (for which it needs Chrome or Chromium), ``record.json`` and ``found.md``.
What counts as a claim and as found is said in README.md.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import steerlens as sl
from experiments.common import Results, check_drawing
from steerlens.plotting import Figure
from steerlens.plotting.panels import panel_line
from steerlens.plotting.theme import GREY, METHOD_COLOURS, below, figure
from steerlens.provenance import provenance
from steerlens.storage import write_text
from steerlens.tables import markdown_table
from steerlens.testbed import Judge, Rates, by_plane, by_probing, by_search

HERE = Path(__file__).parent
_SEEN = (
    ("AUROC minus 0.5, from EN's layer", "auroc", "en_layer", GREY),
    ("change of transfer under EN", "transfer", "en_layer", METHOD_COLOURS["EN"]),
    ("change of localization under LOC", "localization", "loc_layer", METHOD_COLOURS["LOC"]),
)
"""What is drawn by distance, the measure, the planted layer that distances are from, and the colour."""


def main() -> None:
    """Judges as many seeds as are asked for, and writes what was found."""
    config = json.loads((HERE / "config.json").read_text())
    parser = argparse.ArgumentParser(prog="python -m experiments.planted.run", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=config["seeds"], help="seeds from 0 (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "planted", help="folder (default: %(default)s)")
    parser.add_argument("--no-figures", action="store_true", help="tables only")
    args = parser.parse_args()
    if not args.no_figures:
        check_drawing("planted")
    torch.set_num_threads(1)
    results, started = Results(args.out, draw=not args.no_figures), time.time()
    found = sl.testbed.rates(range(args.seeds), judges(config), locale=config["locale"], concepts=config["concepts"])
    results.write("seeds", by_model(found.frame))
    means = results.write("layers", by_distance(found.seen))
    results.figure("layers", drawn(means), ["layers"])
    config, seconds = {**config, "seeds": args.seeds}, {"all": round(time.time() - started, 1)}
    results.write_json("record", provenance(experiment="planted", config=config, figures=results.figures, seconds=seconds))
    write_text(args.out / "found.md", rates(found) + "\n")
    print(rates(found))


def judges(config: dict[str, Any]) -> dict[str, Judge]:
    """Returns the three judges with the frozen settings."""
    search = sl.evaluation.SearchSettings(**{**config["search"], "tokens": tuple(config["search"]["tokens"])})
    alpha, aligned = config["alpha"], config["aligned"]
    return {
        "probing": partial(by_probing, draws=config["permutations"], alpha=alpha),
        "search": partial(by_search, settings=search, aligned=aligned),
        "plane": partial(by_plane, strength=config["strength"], alpha=alpha, aligned=aligned),
    }


def by_model(frame: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each model, with the claims of every judge beside each other."""
    wide = frame.drop_duplicates(["seed", "model"])[["seed", "model", "en_layer", "loc_layer"]].reset_index(drop=True)
    for judge, own in frame.groupby("judge", sort=False):
        wide[[f"{judge}_claims", f"{judge}_found"]] = own[["claims", "found"]].reset_index(drop=True)
    return wide


def rates(found: Rates) -> str:
    """Returns how often each judge found what is planted, and was silent about the others, as Markdown."""
    rows = [
        [row.judge, f"{row.found} of {row.planted}", f"{row.silent} of {row.nothing}"] for row in found.summary().itertuples()
    ]
    return markdown_table(["", "planted: found", "nothing planted: nothing claimed"], rows)


def by_distance(seen: pd.DataFrame) -> pd.DataFrame:
    """Returns means over seeds by distance from the planted layer, and of the twins by layer from the middle."""
    rows = []
    for model, part in seen.groupby("model", sort=False):
        for name, measure, layer, _ in _SEEN:
            own = part[part["measure"] == measure]
            distance = own["layer"] - (own[layer] if model == "planted" else seen["layer"].max() // 2)
            values = (own["value"] - (0.5 if measure == "auroc" else 0.0)).groupby(distance)
            rows += [
                {"model": model, "seen": name, "distance": int(away), "mean": mean, "seeds": len(values.get_group(away))}
                for away, mean in values.mean().items()
            ]
    return pd.DataFrame(rows)


def drawn(means: pd.DataFrame) -> Figure:
    """Draws what is seen by distance from the planted layer, solid, and in the twins, dotted."""
    words = "mean over seeds; solid: planted, by layers from the planted one; dotted: nothing planted, from the middle"
    title, y = "What is seen at a distance from the planted layer", "AUROC above 0.5, or change (share)"
    fig = figure(title, words, "layers away", y, width="page")
    fig.set_subplots(rows=1, cols=1)
    colours = {name: colour for name, _, _, colour in _SEEN}
    for (model, seen), part in means.groupby(["model", "seen"], sort=False):
        look = {"color": colours[seen], "dash": "solid" if model == "planted" else "dot"}
        name = seen if model == "planted" else f"{seen.split(',')[0]}, nothing planted"
        panel_line(fig, (1, 1), part["distance"], part["mean"], name, look)
    return below(fig.update_layout(height=560))


if __name__ == "__main__":
    main()
