"""What is measured of a model, the same whatever runs it; and ``python -m tests.hooked.measured FOLDER``, which runs the bridge.

The bridge is that of the TransformerLens that constraints.txt names, in an environment of its own. Its models and numbers are
written into the folder, where the tests of the other environments read them.
"""

import sys
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor

import steerlens as sl
from steerlens.testing.dense import DENSE
from steerlens.testing.folders import write_model
from tests.places import some_items

BRIDGED = ("Llama", "Gemma 2", "GPT-2")
"""Families whose numbers are held against the bridge's."""
NUMBERS = "numbers.safetensors"


def measured(model: sl.LensModel) -> dict[str, Tensor]:
    """Returns the numbers of the whole way: residuals, vectors, a sweep, its prediction by derivatives, and a plane."""
    split = some_items().sample(8).split(seed=0)
    vectors = sl.steering.take(model, split.train)
    found = {"residuals": model.residuals(split.dev.prompts()).residuals}
    for key, vector in vectors.items():
        found[f"vector {key}"] = torch.stack([vector.direction(layer) for layer in vector.layers])
    for mode in ("exact", "attribution"):
        swept = sl.evaluation.sweep(model, split.dev, vectors, layers=[0, 2], strengths=[1.0, -2.0], mode=mode)
        found[f"sweep {mode}"] = _numbers(swept.cells())
    plans = {name: vectors[name, "es-ES"].at(1, 2.0) for name in ("EN", "LOC")}
    found["plane"] = _numbers(sl.evaluation.plane(model, split.test, plans, locales=["es-ES"]).frame)
    return found


def _numbers(table: pd.DataFrame) -> Tensor:
    """The columns of fractions of a table, in the order of its rows."""
    return torch.tensor(table.select_dtypes("float").to_numpy().copy(order="C"))


def write(folder: Path) -> None:
    """Writes models and the bridge's numbers."""
    for family in DENSE:
        if family.name in BRIDGED:
            own = folder / family.name
            own.mkdir(parents=True, exist_ok=True)
            write_model(family, own)
            save_file(measured(sl.load(own, "cpu", "float32")), own / NUMBERS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    write(Path(sys.argv[1]))
