"""How often probing claims something where nothing is: ``python experiments/probing_on_noise.py [--sets 200]``, a few minutes.

Residuals of noise, 40 concepts of each kind, two locales. Writes ``results/probing_on_noise.parquet``: for each claim, in how
many data sets it was made.
"""

import argparse

import pandas as pd
import torch

import steerlens as sl
from steerlens.fingerprint import Fingerprint
from steerlens.tables import ResultTable

CONCEPTS, LAYERS, WIDTH = 40, 6, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200, help="data sets")
    sets = parser.parse_args().sets
    shares = pd.DataFrame([claims(seed) for seed in range(sets)]).mean()
    table = shares.rename("share of data sets").rename_axis("claim").reset_index()
    ResultTable(table).save("results/probing_on_noise.parquet")
    print(f"{sets} data sets\n{table.round(3).to_string(index=False)}")


def claims(seed: int) -> dict[str, bool]:
    """What each control says of one data set of noise."""
    stack = noise(seed)
    own = stack.where(lambda prompt: prompt.locale == "es-ES")
    frame = sl.probing.separability(own, draws=400, seed=seed).frame
    layer = frame[(frame["layer"] == 3) & (frame["probe"] == "logistic")].iloc[0]
    gaps = sl.probing.geometry(stack, draws=400, seed=seed).frame.query("layer == 3 and of == 'gap'").set_index("measure")
    memory = sl.probing.selectivity(stack, probes=["logistic"], labellings=5, draws=400, seed=seed).frame
    chosen = memory[(memory["layer"] == 3) & (memory["locale"] == "all")].iloc[0]
    return {
        "permutation test: some layer, corrected p at most 0.05": bool(
            sl.probing.permutation_test(own, draws=399, seed=seed).frame["p_corrected"].min() <= 0.05
        ),
        "separability: one layer's interval above 0.5": layer["low"] > 0.5,
        "separability: one layer's interval above the best baseline": layer["above_low"] > 0,
        "selectivity: one layer's interval above 0": chosen["low"] > 0,
        **{f"geometry: gap of {name}, interval without 0": not row.low <= 0 <= row.high for name, row in gaps.iterrows()},
    }


def noise(seed: int) -> sl.ResidualStack:
    """Residuals that know neither kind nor language."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.randint(100, 1000, (2 * CONCEPTS, 3), generator=generator).tolist()
    prompts = tuple(
        sl.data.Prompt(f"{locale} {words[i + CONCEPTS * (kind == 'factual')]}", f"{kind}-{i}", locale, kind, "implicit")
        for locale in ("en-US", "es-ES")
        for kind in ("factual", "cultural")
        for i in range(CONCEPTS)
    )
    residuals = torch.randn(LAYERS, len(prompts), WIDTH, generator=generator)
    nobodys = Fingerprint("", "", "float32", "none", LAYERS, WIDTH, (), None, None)
    return sl.ResidualStack(residuals, tuple(range(LAYERS)), prompts, "last", nobodys)


if __name__ == "__main__":
    main()
