"""Statistics of the experiments: what is planted is found, noise is not, and cases done by hand."""

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.measures import CLAIMED, depths, differences, lengthened, profile, split_halves
from experiments.words import interval, one, table, third, verdict

LAYERS, STRENGTHS, CONCEPTS = (1, 3, 5, 7, 9, 11), (0.5, 1.0), 40


def _sweep(gains: dict[str, np.ndarray], seed: int, noise: float = 0.3) -> pd.DataFrame:
    """Rows of a sweep whose margins gain so much at each layer, in two locales, and whose hits follow their margins."""
    drawn, rows = np.random.default_rng(seed), []
    for vector, kind in (("EN", "factual"), ("LOC", "cultural")):
        for concept in range(CONCEPTS):
            for locale in ("es-ES", "ko-KR"):
                base = drawn.normal()
                for at, layer in enumerate(LAYERS):
                    for strength in STRENGTHS:
                        margin = base + strength * gains[vector][at] + noise * drawn.normal()
                        key = {"vector": vector, "kind": kind, "concept": f"{kind}{concept}", "locale": locale}
                        cell = {"layer": layer, "strength": strength, "margin": margin, "hit": margin > 0}
                        rows.append({**key, **cell, "base_margin": base, "base_hit": base > 0})
    return pd.DataFrame(rows)


def _peaked(at: int) -> np.ndarray:
    return 1.5 * np.exp(-0.5 * (np.arange(len(LAYERS)) - at) ** 2)


def test_planted_depths_are_found() -> None:
    found = depths(_sweep({"EN": _peaked(1), "LOC": _peaked(4)}, 0), CLAIMED, draws=400, seed=0)
    for measure in ("peak", "centre"):
        for vector, layer in (("EN", LAYERS[1]), ("LOC", LAYERS[4])):
            row = one(found, vector=vector, measure=measure)
            assert row["low"] - 1 <= layer <= row["high"] + 1
            assert abs(row["layer"] - layer) <= 1
        between = one(found, vector="LOC - EN", measure=measure)
        assert between["low"] > 0
        assert between["deeper"] > 0.97
    assert one(found, vector="EN", measure="peak")["n"] == CONCEPTS


def test_noise_has_no_depth() -> None:
    flat = {"EN": np.zeros(len(LAYERS)), "LOC": np.zeros(len(LAYERS))}
    rows = [one(depths(_sweep(flat, seed), CLAIMED, 200, seed), vector="LOC - EN", measure="peak") for seed in range(12)]
    assert sum(verdict(row) != "not shown" for row in rows) <= 1


def test_profile_is_the_mean_of_a_concepts_locales() -> None:
    sweep = _sweep({"EN": _peaked(1), "LOC": _peaked(4)}, 1)
    layers, strengths, cells = profile(sweep, "LOC", "cultural margin")
    assert (layers, strengths, cells.shape) == (list(LAYERS), list(STRENGTHS), (CONCEPTS, len(LAYERS), len(STRENGTHS)))
    own = sweep[(sweep["concept"] == "cultural7") & (sweep["layer"] == 5) & (sweep["strength"] == 1.0)]
    order = sorted(f"cultural{n}" for n in range(CONCEPTS)).index("cultural7")
    assert cells[order, 2, 1] == pytest.approx((own["margin"] - own["base_margin"]).mean())


def test_differences_are_paired_by_item_and_count_a_concept_once() -> None:
    rows = [
        {"method": method, "draw": draw, "kind": "factual", "concept": concept, "locale": locale, "hit": hit, "margin": 1.0 * hit}
        for method, draw, concept, locale, hit in (
            ("EN", 0, "a", "es-ES", True), ("EN", 0, "a", "ko-KR", True), ("EN", 0, "b", "es-ES", False),
            ("random", 0, "a", "es-ES", True), ("random", 0, "a", "ko-KR", False), ("random", 0, "b", "es-ES", False),
            ("random", 1, "a", "es-ES", False), ("random", 1, "a", "ko-KR", False), ("random", 1, "b", "es-ES", True),
        )
    ]  # fmt: skip
    found = differences(pd.DataFrame(rows), [("EN", "random"), ("EN", "absent")], ["transfer", "factual margin"], seed=0)
    row = one(found, method="EN", score="transfer")
    assert row["change"] == pytest.approx(((0.5 + 1) / 2 - 0.5) / 2)  # a: 0.75, b: -0.5
    assert (row["n"], row["low"], row["high"]) == (2, -0.5, 0.75)
    assert len(found) == 2


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
    assert interval({**row, "score": "factual margin"}) == "+0.034 nats [+0.000, +0.068]"
    assert [verdict({**row, "low": low, "high": high}) for low, high in ((0.1, 1), (-1, -0.1), (0, 1))] == [
        "more",
        "less",
        "not shown",
    ]
    assert table(["a", "b"], [[1, float("nan")]]) == "| a | b |\n| --- | --- |\n| 1 |  |"
    assert [third(layer, 18) for layer in (0, 5, 6, 11, 12, 17)] == ["first", "first", "middle", "middle", "last", "last"]
    with pytest.raises(LookupError, match="0 rows"):
        one(pd.DataFrame({"a": [1]}), a=2)
