"""What the tables of fewer pairs say, in words."""

import pandas as pd

from experiments.common import Results
from experiments.measures import CLAIMED, MARGINS
from experiments.words import Row, interval, rows_of, score_word, table, verdict

ENOUGH = 0.8
"""Reliability, and share of the effect of all pairs, from which on pairs are called enough."""


def found(results: Results) -> str:
    """Markdown of one model's tables; the first paragraph is the finding in a line."""
    halves, effect = results.table("reliability"), results.table("effect")
    cells = ", ".join(results.json("record")["cells"])
    line = " ".join(_line(halves, effect, vector) for vector in CLAIMED)
    parts = [f"**How far two vectors of n pairs agree** ({cells}; means over locales):\n\n{_halves(halves)}"]
    parts += [f"**What a vector of n pairs does** on test:\n\n{_effect(effect)}", "![By number of pairs](pairs.png)"]
    return "\n\n".join((line, *parts)) + "\n"


def _means(halves: pd.DataFrame, vector: str) -> pd.DataFrame:
    return halves[halves["vector"] == vector].groupby("pairs", sort=True).mean(numeric_only=True).reset_index()


def _line(halves: pd.DataFrame, effect: pd.DataFrame, vector: str) -> str:
    means, rows = _means(halves, vector), rows_of(effect, vector=vector, score=MARGINS[vector])
    sure = means[means["cosine"] >= ENOUGH]["pairs"]
    reliable = f"with {int(sure.iloc[0])} pairs" if len(sure) else f"not with {int(means['pairs'].iloc[-1])} pairs either"
    whole = rows[-1]
    if _over(whole)["low"] <= 0:
        shown = f"the vector of all {whole['pairs']} pairs is not shown to raise the margin, so no number of pairs can be named"
    else:
        n = next(row["pairs"] for row in rows if row["change"] >= ENOUGH * whole["change"])
        shown = f"{ENOUGH:.0%} of the effect on the margin is there with {n} of {whole['pairs']}"
    return f"**{vector}:** two vectors agree with cosine {ENOUGH:g} {reliable}; {shown}."


def _over(row: Row) -> Row:
    """The row with its interval over concepts in place of that over draws."""
    return {**row, "low": row["concepts_low"], "high": row["concepts_high"]}


def _halves(halves: pd.DataFrame) -> str:
    rows = [
        [vector, int(row["pairs"]), f"{row['cosine']:.2f} [{row['low']:.2f}, {row['high']:.2f}]",
         f"{row['predicted']:.2f}", f"{row['length']:.2f}"]
        for vector in CLAIMED
        for row in _means(halves, vector).to_dict("records")
    ]  # fmt: skip
    return table(["vector", "pairs", "cosine [95% of draws]", "predicted by Spearman-Brown", "length, all pairs = 1"], rows)


def _effect(effect: pd.DataFrame) -> str:
    rows = []
    for vector, score in ((vector, scores[vector]) for vector in CLAIMED for scores in (CLAIMED, MARGINS)):
        whole = rows_of(effect, vector=vector, score=score)[-1]["pairs"]
        for row in rows_of(effect, vector=vector, score=score):
            n = f"all ({whole})" if row["pairs"] == whole else row["pairs"]
            draws = interval(row) if row["draws"] > 1 else ""
            rows.append([vector, score_word(score), n, row["draws"], draws, interval(_over(row)), verdict(_over(row))])
    header = ["vector", "score", "pairs", "draws", "change [95% of draws]", "change [95% over concepts]", "shown"]
    return table(header, rows)
