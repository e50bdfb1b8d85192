"""What the tables of controls say, in words."""

import pandas as pd

from experiments.common import Results
from experiments.measures import CLAIMED, MARGINS
from experiments.words import Row, interval, marked, one, rows_of, score_word, table, verdict

_DOES, _PART, _NOT, _MORE, _OPEN = "does it too", "does a part of it", "does not do it", "does more", "cannot be told"


def found(results: Results) -> str:
    """Markdown of one model's tables; the first paragraph is the finding in a line."""
    rows = results.table("differences")
    cells = ", ".join(results.json("record")["cells"])
    parts = [_vector(results, rows, vector) for vector in CLAIMED]
    line = " ".join(_line(rows, vector) for vector in CLAIMED)
    return "\n\n".join((line, f"All at {cells}, on test.", *parts, "![Every control](controls.png)")) + "\n"


def judged(rows: pd.DataFrame, vector: str) -> dict[str, str]:
    """Of each control, whether it does what the vector does to its margin; empty if the vector is not shown to do anything."""
    score = MARGINS[vector]
    if one(rows, method=vector, against="unsteered", score=score)["low"] <= 0:
        return {}
    beside = {row["method"]: row for row in rows_of(rows, against=vector, score=score)}
    return {method: _word(one(rows, method=method, against="unsteered", score=score), row) for method, row in beside.items()}


def _word(alone: Row, beside: Row) -> str:
    """From a control's change against unsteered, and against the vector."""
    raises, less = verdict(alone) == "more", verdict(beside)
    if less == "more":
        return _MORE
    if less == "less":
        return _PART if raises else _NOT
    return _DOES if raises else _OPEN


def _line(rows: pd.DataFrame, vector: str) -> str:
    own, words = one(rows, method=vector, against="unsteered", score=MARGINS[vector]), judged(rows, vector)
    if not words:
        return (
            f"**{vector}** is not shown to raise its margin here ({interval(own)}), so there is nothing for controls to explain."
        )
    said = []
    for word in (_NOT, _PART, _DOES, _MORE, _OPEN):
        names = [method.partition(": ")[2] for method, given in words.items() if given == word]
        said += [f"{word}: {', '.join(names)}"] if names else []
    return f"**{vector}** raises the {MARGINS[vector]} by {interval(own)}. Of its controls, {'; '.join(said)}."


def _vector(results: Results, rows: pd.DataFrame, vector: str) -> str:
    margin, words, plane = MARGINS[vector], judged(rows, vector), results.table("plane")
    scores = (CLAIMED[vector], margin, MARGINS["LOC" if vector == "EN" else "EN"])
    lines = []
    for method in (vector, *dict.fromkeys(row["method"] for row in rows_of(rows, against=vector))):
        changes = [marked(one(rows, method=method, against="unsteered", score=score)) for score in scores]
        beside = "" if method == vector else marked(one(rows, method=method, against=vector, score=margin))
        p = round(one(plane, method=method, score=scores[0])["p"], 3)
        lines.append([method, *changes, p, beside, words.get(method, ""), *_lies(results.table("directions"), method)])
    n = one(rows, method=vector, against="unsteered", score=scores[0])["n"]
    header = ["method", *map(score_word, scores), "p", f"{margin} less {vector}'s", f"as {vector}?", "cosine", "length"]
    return (
        f"**{vector}** ({n} concepts of its kind; changes against unsteered, paired 95% intervals, bold where they exclude zero; "
        f"p: share of draws that change {scores[0]} at least as much as {vector} does; cosine with {vector}, and length before "
        f"it was made as long):\n\n{table(header, lines)}"
    )


def _lies(directions: pd.DataFrame, method: str) -> list[str]:
    """Mean over locales of cosine and length."""
    own = directions[directions["method"] == method]
    return [f"{own[name].mean():.2f}" if len(own) else "" for name in ("cosine", "length")]
