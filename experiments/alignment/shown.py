"""The tables of the alignment experiment as Markdown, for its template."""

from typing import Any

import pandas as pd

from experiments.common import Results
from experiments.words import SIDE, aside, interval, level, rows_of, score_word, wide
from steerlens.tables import markdown_table

_AXES = ("transfer", "localization")
_PLACED = (*_AXES, "english_centric", "consistency")
_TRAINED = ("MidAlign", "CLO", "multilingual tuning")
_ERASED, _GIVEN, _UNTOLD = "erased", "no erasure of a point or more", "not told"
_MATTERS = 0.01
"""A loss that would matter: one point."""


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    plane, against, seeds, curve, side = map(results.table, ("plane", "against", "seeds", "curve", "side"))
    scores = list(dict.fromkeys(against["score"]))
    return {
        "plane": markdown_table(["method", *map(score_word, _PLACED)], wide(plane, ["method"], _PLACED, level)),
        "against": markdown_table(["methods", *map(score_word, scores)], wide(against, ["method", "against"], scores)),
        "seeds": _seeds(seeds),
        "curve": _curve(curve),
        "side": markdown_table(["method", *SIDE.values()], wide(side, ["method"], list(SIDE), aside)),
        "verdicts": markdown_table(["method", "transfer", "localization", "the paper's first finding"], _verdicts(plane)),
        "texts": results.json("record")["texts"],
        "n": {score: int(rows_of(plane, method="unsteered", score=score)[0]["n"]) for score in _AXES},
        "of": lambda method, score: next(iter(rows_of(plane, method=method, score=score)), None),
        "than": lambda method, other, score: next(iter(rows_of(against, method=method, against=other, score=score)), None),
        "interval": interval,
    }


def _verdicts(plane: pd.DataFrame) -> list[list[str]]:
    """Whether the paper's first finding holds of each method: transfer gained, and localization lost."""
    rows = []
    for method in _TRAINED:
        gain, loss = (next(iter(rows_of(plane, method=method, score=score)), None) for score in _AXES)
        if gain is None or loss is None:
            continue
        gained = "gained" if gain["low"] > 0 else "no gain of a point" if gain["high"] < _MATTERS else _UNTOLD
        lost = _ERASED if loss["high"] < 0 else _GIVEN if loss["low"] > -_MATTERS else _UNTOLD
        replicated = (gained, lost) == ("gained", _ERASED)
        refuted = gained == "no gain of a point" or lost == _GIVEN
        rows.append([method, gained, lost, "replicated" if replicated else "not replicated" if refuted else _UNTOLD])
    return rows


def _seeds(seeds: pd.DataFrame) -> str:
    """The change of each seed on both axes."""
    own = seeds[seeds["method"].str.contains(r" #\d+$") & seeds["score"].isin(_AXES)]
    own = own.assign(name=own["method"].str.replace(r" #\d+$", "", regex=True))
    rows = [
        [name, *(", ".join(f"{100 * change:+.1f}" for change in part[part["score"] == score]["change"]) for score in _AXES)]
        for name, part in own.groupby("name", sort=False)
    ]
    return markdown_table(["method", *(f"{score}, points by seed" for score in _AXES)], rows)


def _curve(curve: pd.DataFrame) -> str:
    """Every point of every path on both axes, with the share of resamples in which it is on the front."""
    rows = []
    for (method, at), own in curve.groupby(["method", "at"], sort=False):
        by = {row["score"]: row for row in own.to_dict("records")}
        rows.append([method, f"{at:g}", *(level(by.get(score)) for score in _AXES), f"{by['transfer']['on_front']:.2f}"])
    return markdown_table(["method", "training step, or factor of the strengths", *_AXES, "on the front"], rows)
