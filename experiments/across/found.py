"""What the tables of vectors used across sources say, in words."""

import pandas as pd

from experiments.common import Results
from experiments.measures import CLAIMED
from experiments.words import interval, marked, one, rows_of, score_word, table, verdict


def found(results: Results) -> str:
    """Markdown of one model's tables; the first paragraph is the finding in a line."""
    differences, cosines = results.table("differences"), results.table("cosines")
    targets = list(dict.fromkeys(differences["target"]))
    lines = [_carried(differences, cosines, vector, targets) for vector in ("EN", "LOC")]
    return "\n\n".join((" ".join(lines), _cosines(cosines), *(_tested(differences, target) for target in targets))) + "\n"


def _carried(differences: pd.DataFrame, cosines: pd.DataFrame, vector: str, targets: list[str]) -> str:
    """Whether one vector's score is raised on each target by the other source's vector."""
    said = []
    for target in targets:
        other = next(name for name in targets if name != target)
        rows = [one(differences, target=target, method=f"{vector} of {name}", against="unsteered", score=CLAIMED[vector])
                for name in (other, target)]  # fmt: skip
        foreign, own = (interval(row) for row in rows)
        word = verdict(rows[0], f"works on {target}", f"does harm on {target}", f"is not shown to work on {target}")
        said.append(f"that of {other} {word} ({foreign}; {target}'s own {own})")
    size = cosines[cosines["vector"] == vector]["cosine"].median()
    return f"**{vector}** ({score_word(CLAIMED[vector])}): {'; '.join(said)}; median cosine of the two {size:.2f}."


def _cosines(cosines: pd.DataFrame) -> str:
    rows = []
    for (vector, code), part in cosines.groupby(["vector", "locale"], sort=False):
        numbers = (part["cosine"].median(), part["cosine"].min(), part["cosine"].max(), part["ceiling"].median())
        rows.append([vector, code, *(f"{number:.2f}" for number in numbers)])
    header = ["vector", "locale", "median cosine over layers", "smallest", "largest", "ceiling (median)"]
    return (
        "**How alike both sources' vectors are** (train). The ceiling is what the noise of both leaves of the cosine of one "
        f"direction with itself:\n\n{table(header, rows)}"
    )


def _tested(differences: pd.DataFrame, target: str) -> str:
    own = differences[differences["target"] == target]
    scores, rows = list(dict.fromkeys(own["score"])), []
    for (method, against), part in own.groupby(["method", "against"], sort=False):
        by_score = {row["score"]: row for row in part.to_dict("records")}
        rows.append([f"{method} less {against}", *(marked(by_score.get(score)) for score in scores)])
    n = {row["score"]: row["n"] for row in rows_of(own, against="unsteered")}
    return (
        f"**On {target}** (test; {n['transfer']} factual and {n['localization']} cultural concepts; paired 95% intervals, bold "
        f"where they exclude zero):\n\n{table(['methods', *map(score_word, scores)], rows)}\n\n"
        f"![Every plan on {target}](on-{target}.png)"
    )
