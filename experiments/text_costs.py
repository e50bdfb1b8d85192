"""What EN and LOC vectors do to texts, by layer and strength: why a choice of plans has limits on text.

    python -m experiments.text_costs [--model gemma-3-270m]    # runs, and puts the table into docs/design.md
    python -m experiments.text_costs --write    # puts the table into docs/design.md, runs nothing

Vectors are from 96 train concepts of each kind of the atlas. Texts are of 8 dev concepts of each kind, in three locales.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import steerlens as sl
from experiments.common import fill
from steerlens.evaluation import MEAN
from steerlens.steering import UNSTEERED
from steerlens.tables import markdown_table

FILE = Path(__file__).with_suffix(".csv")
PAGE = Path(__file__).parents[1] / "docs" / "design.md"
LOCALES = ("es-ES", "id-ID", "ko-KR")
CELLS = {"LOC": ((13, 17), (1.0, 2.0, 4.0)), "EN": ((9, 17), (0.5, 1.0, 2.0))}
"""The layers and strengths of each vector."""

_LARGE = 1000
"""A ratio of perplexities from which on the number itself says nothing more."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gemma-3-270m", help="a name, a folder or a .gguf file (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/design.md, run nothing")
    args = parser.parse_args()
    if not args.write:
        measured(sl.load(args.model)).to_csv(FILE, index=False, float_format="%.4g")
    fill(PAGE, "text costs", f"{table()}\n")
    print(table())


def measured(model: sl.LensModel) -> pd.DataFrame:
    """Returns the side effects of every cell and of the unsteered model, as means over locales."""
    split = sl.data.atlas(LOCALES).split(seed=0)
    vectors = sl.steering.take(model, split.train.sample(96), locales=LOCALES)
    plans = {
        f"{strength:g} × {name} at layer {layer}": {x: vectors[name, x].at(layer, strength, "last_onward") for x in LOCALES}
        for name, (layers, strengths) in CELLS.items()
        for layer in layers
        for strength in strengths
    }
    found = sl.evaluation.side_effects(model, split.dev, plans, concepts=8, max_new_tokens=16).frame
    return found[found["locale"] == MEAN][["method", "score", "n", "value", "change", "low", "high"]]


def table() -> str:
    """Returns Markdown: a line for each plan, with the perplexity against the unsteered model, repetition and language."""
    frame = pd.read_csv(FILE).set_index(["method", "score"])
    rows = []
    for method in dict.fromkeys(frame.index.get_level_values("method")):
        nats, repeated, right = (frame.loc[(method, score)] for score in ("log_perplexity", "repetition", "right_language"))
        ratio = np.exp(nats["change"])
        shown = "1" if method == UNSTEERED else f"× {ratio:.1f}" if ratio < _LARGE else f"over × {_LARGE}"
        rows.append([method, shown, f"{repeated['value']:.2f}", f"{100 * right['value']:.0f}%"])
    return markdown_table(["plan", "perplexity", "repetition", "texts in the right language"], rows)


if __name__ == "__main__":
    main()
