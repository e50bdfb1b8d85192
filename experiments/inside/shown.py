"""The table of what alignment changes inside the model as Markdown, for its template."""

from typing import Any

import pandas as pd

from experiments.alignment.trained import CONTROL
from experiments.common import Results
from steerlens.alignment.inside import BEFORE
from steerlens.data import ENGLISH
from steerlens.tables import markdown_table

_CELL = ["locale", "layer"]
_MEASURES = {
    ("centred cosine", "factual"): "cosine with English, factual",
    ("centred cosine", "cultural"): "cosine with English, cultural",
    ("separability", "factual and cultural"): "separability (AUROC)",
    ("relative norm", "LOC"): "norm of LOC",
    ("kept direction", "EN"): "EN keeps its direction",
    ("kept direction", "LOC"): "LOC keeps its direction",
    ("moved", "LOC"): "moved along LOC",
}
"""The measures that are shown, with their columns' names."""
_DIGITS = {"relative norm": 3}
_MEDIANS = ("moved",)
"""Measures with a few very large values, where the LOC vector is short: their median is shown."""


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    table = results.table("inside")
    table = table[table["locale"] != ENGLISH]  # whose separability is measured too
    return {
        "means": _means(table),
        "layers": _layers(table),
        "control": CONTROL,
        "cells": len(_of(table, CONTROL, "centred cosine", "cultural")),
        "mean": lambda model, measure, of: float(_of(table, model, measure, of).mean()),
        "above": lambda model, measure, of, other=CONTROL: _above(table, model, other, measure, of),
        "texts": results.json("record")["texts"],
    }


def _above(table: pd.DataFrame, model: str, other: str, measure: str, of: str) -> int:
    """Counts the layers and locales in which a model's value of a measure is above another model's."""
    return int((_of(table, model, measure, of) - _of(table, other, measure, of) > 0).sum())


def _of(table: pd.DataFrame, model: str, measure: str, of: str) -> pd.Series:
    """A measure of a model by locale and layer."""
    rows = table[(table["model"] == model) & (table["measure"] == measure) & (table["of"] == of)]
    return rows.set_index(_CELL)["value"]


def _means(table: pd.DataFrame) -> str:
    """The mean over layers and locales of each measure (or the median), and in how many of them it is above the control's."""
    rows = []
    for model in dict.fromkeys(table["model"]):
        cells = []
        for measure, of in _MEASURES:
            own = _of(table, model, measure, of)
            more = "" if model in (BEFORE, CONTROL) or own.empty else f" ({_above(table, model, CONTROL, measure, of)})"
            middle = own.median() if measure in _MEDIANS else own.mean()
            cells.append("" if own.empty else f"{middle:.{_DIGITS.get(measure, 2)}f}{more}")
        rows.append([model, *cells])
    return markdown_table(["model", *_MEASURES.values()], rows)


def _layers(table: pd.DataFrame) -> str:
    """The cosine with English of cultural prompts by layer, as the mean over locales."""
    layers = sorted(set(table["layer"]))
    rows = []
    for model in dict.fromkeys(table["model"]):
        means = _of(table, model, "centred cosine", "cultural").groupby("layer").mean()
        rows.append([model, *(f"{means[layer]:.3f}" for layer in layers)])
    return markdown_table(["model", *(f"layer {layer}" for layer in layers)], rows)
