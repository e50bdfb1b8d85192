"""Decides whether each of the paper's findings is replicated, by rules on the intervals in the finding's tables."""

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from experiments.steps import CLAIMED
from experiments.words import Row, interval, one, rows_of

REPLICATED, NOT, UNTOLD = "replicated", "not replicated", "not told"
SHARE = 0.95
"""The share of layers and locales whose cosine must be small for the verdict that EN and LOC are near perpendicular."""
MATTERS = 0.01
"""The smallest gain that would matter: one point. If an interval ends below this gain, the finding is not replicated."""


def verdicts(
    depth: pd.DataFrame, cosines: pd.DataFrame, plane: pd.DataFrame, against: pd.DataFrame, surgical: Collection[str]
) -> list[tuple[str, str, str]]:
    """Returns each of the paper's findings with its verdict and the numbers behind it.

    Args:
        depth: the best layer of each vector, and how much deeper the best layer of LOC is than the best layer of EN.
        cosines: the cosine of EN and LOC by layer and locale, and the cosine of EN with LOC vectors of shuffled labels.
        plane: the changes of each method against unsteered, of all locales together.
        against: the differences of two methods.
        surgical: the vectors that the surgical plan adds. A plan without both vectors does not test the paper's finding.
    """
    axes = {score: _first(plane, method="surgical", score=score) for score in ("transfer", "localization")}
    alone = {
        f"{score} compared with {other} alone": _first(against, method="surgical", against=other, score=score)
        for other, score in (("EN", "localization"), ("LOC", "transfer"))
    }
    return [
        ("culture is steered best at deeper layers than facts", *_deeper(depth, plane)),
        ("EN and LOC are near perpendicular", *_perpendicular(cosines)),
        ("surgical steering gains on both axes", *_of_both(_gained(axes), surgical)),
        ("surgical steering beats EN alone on localization and LOC alone on transfer", *_of_both(_gained(alone), surgical)),
    ]


def _of_both(found: tuple[str, str], surgical: Collection[str]) -> tuple[str, str]:
    """Returns the verdict on surgical steering: not told if the plan that was chosen on dev does not add both vectors."""
    if {*CLAIMED} <= {*surgical}:
        return found
    chosen = f"{' and '.join(surgical)} alone" if surgical else "unsteered"
    return UNTOLD, f"the surgical plan that was chosen on dev is {chosen}, so it does not test this finding; {found[1]}"


def _first(frame: pd.DataFrame, **values: str) -> Row | None:
    return next(iter(rows_of(frame, **values)), None)


def _deeper(depth: pd.DataFrame, plane: pd.DataFrame) -> tuple[str, str]:
    """Returns the verdict on LOC's best layer minus EN's, by the score. Best layers count only if both plans gain on test."""
    between, *peaks = (one(depth, vector=name, by="score", measure="peak") for name in ("LOC - EN", "EN", "LOC"))
    tested = {name: _first(plane, method=name, score=score) for name, score in CLAIMED.items()}
    said = [
        f"{row['vector']}'s best layer is {row['layer']:.0f} (a change of {100 * row['gain']:+.1f} points on dev; "
        f"the plan of this vector {_on_test(tested[row['vector']])})"
        for row in peaks
    ]
    shown = all(row is not None and row["low"] > 0 for row in tested.values())
    verdict = NOT if between["high"] <= 0 else REPLICATED if between["low"] > 0 and shown else UNTOLD
    range_ = f"{between['layer']:+.1f} layers [{between['low']:+.1f}, {between['high']:+.1f}]"
    return verdict, f"{', '.join(said)}; LOC's best layer minus EN's best layer is {range_}"


def _on_test(row: Row | None) -> str:
    """Says how a vector's own plan changes its score on test."""
    unsteered = row is None or row["low"] == row["high"] == 0
    return "leaves the model unsteered" if row is None or unsteered else f"changes the vector's score on test by {interval(row)}"


def _perpendicular(cosines: pd.DataFrame) -> tuple[str, str]:
    """Returns the verdict on the cosine of EN and LOC over layers and locales."""
    sizes, shuffled = (cosines[cosines["measure"] == name] for name in ("cosine", "shuffled"))
    size, near = sizes["value"].abs(), float(cosines["near"].iloc[0])
    share, median = float((size <= near).mean()), float(size.median())
    unrelated = float(shuffled[["low", "high"]].abs().max(axis=1).median())
    verdict = REPLICATED if share >= SHARE else NOT if median > near or median > unrelated else UNTOLD
    said = f"the cosine is within ±{near:g} in {share:.1%} of layers and locales; its median absolute value is {median:.2f}"
    return verdict, f"{said}; 95% of the cosines of EN with LOC vectors of shuffled labels are within ±{unrelated:.2f}"


def _gained(rows: Mapping[str, Row | None]) -> tuple[str, str]:
    """Returns the verdict on gains that must all be above zero. If a gain was not measured, the verdict can be not told."""
    there: Sequence[tuple[str, Row]] = [(name, row) for name, row in rows.items() if row is not None]
    said = "; ".join(f"{name}: {interval(row)}" for name, row in there) or "not measured"
    if any(row["high"] < MATTERS for _, row in there):
        return NOT, said
    return (REPLICATED if len(there) == len(rows) and all(row["low"] > 0 for _, row in there) else UNTOLD), said
