"""Statistics of the experiments: what is planted is found, noise is not, and cases done by hand."""

import pandas as pd
import pytest

from experiments.steps import differences
from experiments.words import interval, marked, one, verdict
from steerlens.evaluation import Answers


def test_differences_are_by_score_and_pair() -> None:
    scores = {"a": "transfer", "b": "transfer", "c": "localization"}
    rows = [
        {"method": method, "draw": 0, "locale": "es-ES", "concept": concept, "score": score, "value": float(correct)}
        for method, values in (("EN", (1, 1, 0)), ("LOC", (0, 1, 1)), ("surgical", (1, 1, 1)))
        for (concept, score), correct in zip(scores.items(), values, strict=True)
    ]
    pairs = [("surgical", "EN"), ("surgical", "LOC")]
    found = differences(Answers(pd.DataFrame(rows)), pairs, ["localization", "transfer", "consistency"], seed=0)
    assert found["score"].tolist() == ["localization", "localization", "transfer", "transfer"]
    assert found["against"].tolist() == ["EN", "LOC"] * 2
    assert found["change"].tolist() == [1.0, 0.0, 0.0, 0.5]


def test_words() -> None:
    row = {"score": "transfer", "change": 0.034, "low": 0.0, "high": 0.068}
    assert interval(row) == "+3.4 points [+0.0, +6.8]"
    assert interval({**row, "score": "transfer_margin"}) == "+0.034 nats [+0.000, +0.068]"
    assert [verdict({**row, "low": low, "high": high}) for low, high in ((0.1, 1), (-1, -0.1), (0, 1))] == [
        "more",
        "less",
        "not shown",
    ]
    assert marked(row) == interval(row)
    assert marked({**row, "low": 0.01}) == "**+3.4 points [+1.0, +6.8]**"
    assert marked(None) == ""
    with pytest.raises(LookupError, match="0 rows"):
        one(pd.DataFrame({"a": [1]}), a=2)
