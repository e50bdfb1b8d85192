"""Methods against the unsteered model: changes paired item by item, with intervals over concepts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from steerlens.evaluation.intervals import paired_interval, percentiles
from steerlens.steering import UNSTEERED

if TYPE_CHECKING:
    import pandas as pd

MEAN = "mean"
"""The row over all locales: a concept counts once, with the mean of its locales."""
COLUMNS = ("method", "locale", "score", "n", "value", "change", "low", "high", "of", "control", "draws", "p")


def compared(answers: "pd.DataFrame", score: str, column: str, seed: int) -> list[dict[str, Any]]:
    """Every method in every locale and their mean, as rows of ``COLUMNS``.

    Args:
        answers: a row per method, draw, locale and concept, with of and control; ``unsteered`` is one of the methods.
        score: what the rows are called.
        column: what is averaged; rows without it are left out, item by item.
        seed: of the bootstrap.
    """
    there = answers[answers[column].notna()]
    rows = []
    for locale in (*dict.fromkeys(there["locale"]), MEAN):
        part = there if locale == MEAN else there[there["locale"] == locale]
        if not part.empty:
            rows += [{"locale": locale, "score": score, **row} for row in _rows(part, column, seed)]
    return rows


def _rows(part: "pd.DataFrame", column: str, seed: int) -> Iterator[dict[str, Any]]:
    """A row per method of one locale, or of all."""
    # [(concept, locale), (method, draw)]: paired item by item, then a concept's mean over the locales that ask it
    table = part.astype({column: float}).pivot_table(
        index=["concept", "locale"], columns=["method", "draw"], values=column, sort=False
    )
    if (UNSTEERED, 0) not in table:  # the score cannot be told of the unsteered model, so there is no change of it
        return
    belongs = part.drop_duplicates("method").set_index("method")[["of", "control"]]
    found: dict[str, float] = {}
    for method, (of, control) in zip(belongs.index, belongs.to_numpy(), strict=True):
        both = table[[(UNSTEERED, 0), *(name for name in table.columns if name[0] == method)]].dropna()
        if both.empty:  # measured on other items than the unsteered model
            continue
        values = both.groupby("concept", sort=False).mean().to_numpy()  # [concept, 1 + draw]
        changes = values[:, 1:] - values[:, :1]
        draws = changes.shape[1]
        interval = percentiles(changes) if draws > 1 else paired_interval(changes[:, 0], seed=seed)
        found[method] = interval.mean
        yield {
            "method": method,
            "n": interval.n,
            "value": float(values[:, 1:].mean()),
            "change": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "of": of,
            "control": control,
            "draws": draws,
            "p": _p_value(found[of], changes.mean(axis=0)) if draws > 1 and of in found else float("nan"),
        }


def _p_value(change: float, drawn: np.ndarray) -> float:
    beyond = np.abs(drawn) >= abs(change) - 1e-12
    return float((1 + beyond.sum()) / (1 + len(drawn)))
