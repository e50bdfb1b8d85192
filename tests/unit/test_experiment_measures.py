"""Statistics of the experiments: what is planted is found, noise is not, and cases done by hand."""

import pandas as pd
import pytest
import torch

from experiments.pairs.run import lengthened, split_halves
from experiments.steps import differences
from experiments.words import interval, marked, one, table, verdict
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


def test_halves_agree_as_far_as_there_is_a_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(120, 64, generator=generator)
    planted = noise + 1.5 * torch.nn.functional.normalize(torch.randn(64, generator=generator), dim=0)
    assert abs(split_halves(noise, 60, 100, 0).mean()) < 0.15
    reached = {n: split_halves(planted, n, 200, 0).mean() for n in (15, 30, 60)}
    for n in (15, 30):
        assert lengthened(reached[60], n / 60) == pytest.approx(reached[n], abs=0.06)
    assert lengthened(0.5, 2) == pytest.approx(2 / 3)  # Spearman-Brown, by hand


def test_words() -> None:
    row = {"score": "transfer", "change": 0.034, "low": 0.0, "high": 0.068}
    assert interval(row) == "+3.4 points [+0.0, +6.8]"
    assert interval({**row, "score": "transfer_margin"}) == "+0.034 nats [+0.000, +0.068]"
    assert [verdict({**row, "low": low, "high": high}) for low, high in ((0.1, 1), (-1, -0.1), (0, 1))] == [
        "more",
        "less",
        "not shown",
    ]
    assert table(["a", "b"], [[1, float("nan")]]) == "| a | b |\n| --- | --- |\n| 1 |  |"
    assert marked(row) == interval(row)
    assert marked({**row, "low": 0.01}) == "**+3.4 points [+1.0, +6.8]**"
    assert marked(None) == ""
    with pytest.raises(LookupError, match="0 rows"):
        one(pd.DataFrame({"a": [1]}), a=2)
