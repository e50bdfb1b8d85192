"""The variants' tables as Markdown, for the template."""

from typing import Any

import pandas as pd

from experiments.common import Results
from experiments.steps import CLAIMED, MARGINS
from experiments.words import Row, interval, marked, one, rows_of, score_word, verdict
from steerlens.steering import UNSTEERED
from steerlens.tables import markdown_table

ALL, OTHERWISE = "all", "spelled otherwise"
"""All items of test, and the facts whose answer is not the same string as in English."""
APART, TOGETHER, CLIMBED = "chosen apart", "chosen together", "climbed"
"""How the cells of surgical steering are found."""
VERDICTS = ("more", "less", "not shown")


def shown(results: Results) -> dict[str, Any]:
    """Returns what the template and a model's words are filled with."""
    rows, variants, surgical = map(results.table, ("differences", "variants", "surgical"))
    maps = results.table("maps").groupby("map", sort=False)
    return {
        "kinds": {kind: _kind(rows, variants, kind) for kind in CLAIMED},
        "surgical": _surgical(surgical),
        "told": {kind: _told(rows, kind) for kind in CLAIMED},
        "both": int(surgical["n"].max()),
        "change": lambda method, against, score: interval(one(rows, method=method, against=against, score=score, items=ALL)),
        "maps": "; ".join(f"{name}: {_map(part)}" for name, part in maps),
    }


def other_axis(kind: str) -> str:
    """Returns the score that the other vector is for.

    Args:
        kind: ``EN`` or ``LOC``.
    """
    return next(score for name, score in CLAIMED.items() if name != kind)


def judged(rows: pd.DataFrame, variant: str, kind: str) -> dict[str, Row | None]:
    """Returns what test says of a variant: alone, against the standard vector (``None`` of this itself), on the other axis.

    Args:
        rows: the differences on test.
        variant: the name of the variant.
        kind: ``EN`` or ``LOC``.
    """
    own = {"method": variant, "score": CLAIMED[kind], "items": ALL}
    return {
        "alone": one(rows, **own, against=UNSTEERED),
        "against": None if variant == kind else one(rows, **own, against=kind),
        "other": one(rows, **{**own, "score": other_axis(kind)}, against=UNSTEERED),
    }


def _kind(rows: pd.DataFrame, variants: pd.DataFrame, kind: str) -> dict[str, Any]:
    """Returns the table of one kind of vectors, and how many concepts it rests on."""
    score, margin, lines = CLAIMED[kind], MARGINS[kind], []
    for line in rows_of(variants, kind=kind):
        name = line["variant"]
        told, beside = judged(rows, name, kind), {"method": name, "against": kind}
        finer, otherwise = (rows_of(rows, **beside, **own) for own in ({"score": margin, "items": ALL}, {"items": OTHERWISE}))
        cells = [_cell(line), _expected(line), marked(told["alone"]), marked(told["against"]), marked(_first(finer))]
        cells += [marked(_first([row for row in otherwise if row["score"] == score]))] if kind == "EN" else []
        lines.append([name, *cells, marked(told["other"]), _word(told)])
    minus = f"minus {kind}'s"
    header = ["variant", "cell", "expected by dev", score, minus, f"{score_word(margin)} {minus}"]
    header += [f"{minus}, {OTHERWISE}"] if kind == "EN" else []
    alone = {"method": kind, "against": UNSTEERED, "items": ALL}
    n = {name: one(rows, **alone, score=name)["n"] for name in (score, other_axis(kind))}
    table = markdown_table([*header, other_axis(kind), f"against {kind}"], lines)
    return {"n": n[score], "other": n[other_axis(kind)], "table": table}


def _word(told: dict[str, Row | None]) -> str:
    """Says how a variant compares with the standard vector; more than one that does harm is not yet more than nothing."""
    alone, against = told["alone"], told["against"]
    if alone is None or against is None:
        return ""
    word = verdict(against)
    return f"{word}, not than unsteered" if word == "more" and verdict(alone) != "more" else word


def _told(rows: pd.DataFrame, kind: str) -> dict[str, str]:
    """Returns, by verdict, the variants whose own score on test is so against the standard vector's."""
    beside = rows_of(rows, against=kind, score=CLAIMED[kind], items=ALL)
    return {
        word: ", ".join(row["method"].partition(": ")[2] for row in beside if verdict(row) == word) or "none" for word in VERDICTS
    }


def _surgical(rows: pd.DataFrame) -> str:
    lines = []
    for name in (APART, TOGETHER, CLIMBED):
        alone = {score: one(rows, method=name, against=UNSTEERED, score=score) for score in CLAIMED.values()}
        minus = {score: _first(rows_of(rows, method=name, against=APART, score=score)) for score in CLAIMED.values()}
        dev = [_expected(row) for row in alone.values()]
        lines.append([name, next(iter(alone.values()))["plan"], *dev, *map(marked, alone.values()), *map(marked, minus.values())])
    header = [f"{score}{end}" for end in (" expected by dev", "", f" minus {APART}") for score in CLAIMED.values()]
    return markdown_table(["cells", "plan", *header], lines)


def _cell(line: Row) -> str:
    return f"{line['strength']:g} at layer {line['layer']}{'' if line['taken'] else ' (not taken)'}"


def _expected(line: Row) -> str:
    """Writes what dev says to expect elsewhere; nothing where it says nothing."""
    change, low, high = (line[name] for name in ("expected", "expected_low", "expected_high"))
    return "" if change != change else interval({"score": line["score"], "change": change, "low": low, "high": high})


def _map(part: pd.DataFrame) -> str:
    low, high = part["rank"].min(), part["rank"].max()
    return f"{low} to {high} components, {part['error'].median():.2f} [{part['error'].min():.2f}, {part['error'].max():.2f}]"


def _first(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None
