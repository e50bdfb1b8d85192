"""Rows of the long table of item scores, made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd

from steerlens.data import Items
from steerlens.evaluation import Sweep

SCORES = {"factual": ("transfer", "transfer_margin"), "cultural": ("localization", "localization_margin")}
"""The score of each kind of items, and its margin."""
Row = dict[str, object]


def item_rows(
    label: Row, locale: str, kind: str, concept: str, correct: bool, margin: float = 0.0, **others: float | None
) -> list[Row]:
    """A row for each score of one item: its kind's score and margin, and others that are given by name."""
    values = dict(zip(SCORES[kind], (float(correct), margin), strict=True)) | others
    place = {"locale": locale, "kind": kind, "concept": concept}
    return [{**label, **place, "score": score, "value": value} for score, value in values.items()]


def cell_rows(after: list[Row], before: list[Row]) -> list[Row]:
    """The rows of one cell and item, with the unsteered values beside them."""
    return [{**row, "base": base["value"], "valid": True} for row, base in zip(after, before, strict=True)]


def noisy_sweep(margins: dict[tuple[str, int, float], np.ndarray]) -> Sweep:
    """A sweep of ten cultural concepts by margins; an answer is right where its margin rose above one half."""
    rows = []
    for (vector, layer, strength), changes in margins.items():
        for at, change in enumerate(changes):
            place = {"vector": vector, "layer": layer, "strength": strength, "tokens": "last_onward", "exact": True}
            place |= {"locale": "es-ES", "kind": "cultural", "concept": f"cultural{at}", "base": 0.0, "valid": True}
            rows += [
                {**place, "score": "localization", "value": float(change > 0.5) - float(change < -0.5)},
                {**place, "score": "localization_margin", "value": float(change)},
            ]
    return Sweep(pd.DataFrame(rows))


def ten_each(items: Items) -> Items:
    """Ten factual and ten cultural items in Spanish, named as in ``noisy_sweep`` and ``sweep_frame``."""
    some = {kind: items.of(kind=kind, locale="es-ES")[0] for kind in ("factual", "cultural")}
    return Items(tuple(replace(item, concept=f"{kind}{i}") for kind, item in some.items() for i in range(10)))


def sweep_frame(gains: dict[tuple[str, int, float], tuple[int, int]]) -> pd.DataFrame:
    """Ten items of each kind per cell, of which so many more are answered right than the none unsteered."""
    rows = []
    for (vector, layer, strength), both in gains.items():
        cell = {"vector": vector, "layer": layer, "strength": strength, "tokens": "last_onward", "exact": True}
        for kind, gained in zip(("factual", "cultural"), both, strict=True):
            others = {} if kind == "factual" else {"english_centric": 0.0}
            for i in range(10):
                after, before = (item_rows(cell, "es-ES", kind, f"{kind}{i}", right, **others) for right in (i < gained, False))
                rows += cell_rows(after, before)
    return pd.DataFrame(rows)
