"""Two methods compared, and the depth at which a vector works: what is planted is found, noise is not, and cases by hand."""

import numpy as np
import pandas as pd
import pytest

from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import Answers, Depths, Sweep
from steerlens.evaluation.depths import changes_by_cell
from steerlens.statistics import bootstrap_interval, sign_flip_p
from tests.unit.longform import cell_rows, item_rows

LAYERS, STRENGTHS, CONCEPTS = (1, 3, 5, 7, 9, 11), (0.5, 1.0), 40
MARGINS = {"EN": "transfer_margin", "LOC": "localization_margin"}


def _answer(method: str, draw: int, concept: str, locale: str, correct: bool, kind: str = "factual") -> list[dict]:
    label = {"method": method, "of": "", "control": "", "draw": draw}
    others = {"consistency": 0.5} if kind == "factual" else {"english_centric": 0.0}
    return item_rows(label, locale, kind, concept, correct, 1.0 * correct, **others)


@pytest.fixture
def answers() -> Answers:
    rows = [
        answer
        for row in (
            ("EN", 0, "b", "es-ES", False), ("EN", 0, "a", "es-ES", True), ("EN", 0, "a", "ko-KR", True),
            ("random", 0, "a", "es-ES", True), ("random", 0, "a", "ko-KR", False), ("random", 0, "b", "es-ES", False),
            ("random", 1, "a", "es-ES", False), ("random", 1, "a", "ko-KR", False), ("random", 1, "b", "es-ES", True),
            ("prompt", 0, "c", "es-ES", True, "cultural"),
        )
        for answer in _answer(*row)
    ]  # fmt: skip
    return Answers(pd.DataFrame(rows))


def test_methods_are_paired_by_item_and_a_concept_counts_once(answers: Answers) -> None:
    (row,) = answers.compare("EN", "random", "transfer").frame.to_dict("records")
    assert row["change"] == pytest.approx(((0.5 + 1) / 2 - 0.5) / 2)  # a: 0.75, b: -0.5
    assert (row["n"], row["low"], row["high"], row["locale"]) == (2, -0.5, 0.75, "mean")
    assert (row["first"], row["second"]) == (0.5, 0.375)
    (korean,) = answers.compare("EN", "random", "transfer", "ko-KR").frame.to_dict("records")
    assert (korean["n"], korean["change"], korean["locale"]) == (1, 1.0, "ko-KR")


def test_all_scores_are_those_that_both_were_scored_by(answers: Answers) -> None:
    assert answers.compare("EN", "random").frame["score"].tolist() == ["transfer", "consistency"]
    same = answers.compare("EN", "EN").frame
    assert (same["change"] == 0).all()
    assert (same["p"] == 1).all()
    one, other = (answers.compare(*pair).frame for pair in (("EN", "random"), ("random", "EN")))
    assert one["change"].tolist() == (-other["change"]).tolist()
    assert one["p"].tolist() == other["p"].tolist()


def test_what_cannot_be_compared_is_said(answers: Answers) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean random"):
        answers.compare("EN", "randon")
    with pytest.raises(UnknownNameError, match="Did you mean transfer"):
        answers.compare("EN", "random", "transfers")
    with pytest.raises(UnknownNameError, match="unknown locale"):
        answers.compare("EN", "random", locale="fr-FR")
    with pytest.raises(SettingsError, match=r"no item was scored for both .* by localization"):
        answers.compare("EN", "prompt", "localization")
    with pytest.raises(SettingsError, match="or consistency in ko-KR"):
        answers.compare("EN", "prompt", locale="ko-KR")


def _planted_answers(gain: float, seed: int) -> Answers:
    """Two methods on 80 concepts in two locales, whose items are hard or easy for both; the first is better by the gain."""
    drawn, rows = np.random.default_rng(seed), []
    for at in range(80):
        for locale in ("es-ES", "ko-KR"):
            ease = drawn.normal()
            for method, more in (("surgical", gain), ("LOC", 0.0)):
                rows += _answer(method, 0, f"c{at}", locale, ease + more + drawn.normal(scale=0.5) > 0, "cultural")
    return Answers(pd.DataFrame(rows))


def test_a_better_method_is_found_and_an_equal_one_is_not() -> None:
    def found(gain: float) -> list[tuple[bool, bool]]:
        rows = (_planted_answers(gain, seed).compare("surgical", "LOC", "localization").frame.iloc[0] for seed in range(40))
        return [(row["low"] > 0, row["p"] <= 0.05) for row in rows]

    assert np.mean(found(0.6), axis=0).min() > 0.9
    assert np.mean(found(0.0), axis=0).max() <= 0.15


def test_a_comparison_is_the_formula_of_before() -> None:
    """The rows' order does not matter: concepts are resampled in the order of their names."""
    given = _planted_answers(0.3, 0).frame.sample(frac=1, random_state=0)
    own = given[given["score"] == "localization"]
    table = own.pivot_table(index=["concept", "locale"], columns="method", values="value")
    paired = (table["surgical"] - table["LOC"]).dropna().groupby(level="concept").mean().to_numpy()
    expected = bootstrap_interval(paired, seed=4)
    row = Answers(given).compare("surgical", "LOC", "localization", seed=4).frame.iloc[0]
    numbers = (expected.mean, expected.low, expected.high, expected.n, sign_flip_p(paired, seed=4))
    assert tuple(row[["change", "low", "high", "n", "p"]]) == pytest.approx(numbers, abs=1e-12)


def _sweep(gains: dict[str, np.ndarray], seed: int, noise: float = 0.3) -> Sweep:
    """A sweep whose margins gain so much at each layer, in two locales, and whose right answers follow their margins."""
    drawn, rows = np.random.default_rng(seed), []
    for vector, kind in (("EN", "factual"), ("LOC", "cultural")):
        for concept in range(CONCEPTS):
            for locale in ("es-ES", "ko-KR"):
                base = drawn.normal()
                for at, layer in enumerate(LAYERS):
                    for strength in STRENGTHS:
                        margin = base + strength * gains[vector][at] + noise * drawn.normal()
                        cell = {"vector": vector, "layer": layer, "strength": strength, "exact": True}
                        own = [item_rows(cell, locale, kind, f"{kind}{concept}", m > 0, m) for m in (margin, base)]
                        rows += cell_rows(*own)
    return Sweep(pd.DataFrame(rows))


def _peaked(at: int) -> np.ndarray:
    return 1.5 * np.exp(-0.5 * (np.arange(len(LAYERS)) - at) ** 2)


def _one(found: Depths, vector: str, measure: str) -> dict:
    frame = found.frame
    (row,) = frame[(frame["vector"] == vector) & (frame["measure"] == measure)].to_dict("records")
    return row


def test_planted_depths_are_found() -> None:
    found = _sweep({"EN": _peaked(1), "LOC": _peaked(4)}, 0).depth(draws=400)
    for measure in ("peak", "centre"):
        for vector, layer in (("EN", LAYERS[1]), ("LOC", LAYERS[4])):
            row = _one(found, vector, measure)
            assert row["low"] - 1 <= layer <= row["high"] + 1
            assert abs(row["layer"] - layer) <= 1
        between = _one(found, "LOC - EN", measure)
        assert between["low"] > 0
        assert between["deeper"] > 0.97
    assert _one(found, "EN", "peak")["n"] == CONCEPTS
    assert tuple(found.frame) == Depths.columns


def test_noise_has_no_depth() -> None:
    flat = {"EN": np.zeros(len(LAYERS)), "LOC": np.zeros(len(LAYERS))}
    rows = [_one(_sweep(flat, seed).depth(draws=200, seed=seed), "LOC - EN", "peak") for seed in range(12)]
    assert sum(not row["low"] <= 0 <= row["high"] for row in rows) <= 1


def test_depths_are_the_formula_of_before() -> None:
    swept = _sweep({"EN": _peaked(1), "LOC": _peaked(4)}, 2)
    layers, _, cells = changes_by_cell(swept.frame, "LOC", "localization_margin")
    picks = np.random.default_rng([7, 1]).multinomial(len(cells), [1 / len(cells)] * len(cells), size=300)
    best = np.einsum("dc,cls->dls", picks / len(cells), cells).max(axis=2)
    expected = np.quantile(np.array(layers)[best.argmax(axis=1)], [0.025, 0.975])
    row = _one(swept.depth(MARGINS, draws=300, seed=7), "LOC", "peak")
    assert (row["low"], row["high"]) == tuple(expected)
    gains = np.clip(best, 0, None)
    row = _one(swept.depth(MARGINS, draws=300, seed=7), "LOC", "centre")
    expected = np.quantile(gains @ np.array(layers) / gains.sum(axis=1), [0.025, 0.975])
    assert (row["low"], row["high"]) == pytest.approx(tuple(expected), abs=1e-9)


def test_a_cell_is_the_mean_of_a_concepts_locales() -> None:
    sweep = _sweep({"EN": _peaked(1), "LOC": _peaked(4)}, 1).frame
    layers, strengths, cells = changes_by_cell(sweep, "LOC", "localization_margin")
    assert (layers, strengths, cells.shape) == (list(LAYERS), list(STRENGTHS), (CONCEPTS, len(LAYERS), len(STRENGTHS)))
    own = sweep[(sweep["concept"] == "cultural7") & (sweep["layer"] == 5) & (sweep["strength"] == 1.0)]
    own = own[own["score"] == "localization_margin"]
    order = sorted(f"cultural{n}" for n in range(CONCEPTS)).index("cultural7")
    assert cells[order, 2, 1] == pytest.approx((own["value"] - own["base"]).mean())


def test_depths_of_vectors_and_scores_that_are_not_there() -> None:
    swept = _sweep({"EN": _peaked(1), "LOC": _peaked(4)}, 1)
    alone = Sweep(swept.frame[swept.frame["vector"] == "EN"])
    assert set(alone.depth(draws=50).frame["vector"]) == {"EN"}
    with pytest.raises(UnknownNameError, match="unknown vector 'LOC'"):
        alone.depth({"LOC": "localization"})
    with pytest.raises(UnknownNameError, match="unknown score of a sweep 'consistency'"):
        alone.depth({"EN": "consistency"})
    with pytest.raises(UnknownNameError, match="unknown score of a sweep 'localization': expected one of transfer"):
        alone.depth({"EN": "localization"})
    with pytest.raises(UnknownNameError, match="unknown score of this table 'localization'"):
        swept.depth({"EN": "localization"})  # it is there, of other items than this vector's
    with pytest.raises(SettingsError, match="no item has a finite transfer in all cells of EN"):
        Sweep(alone.frame.assign(value=np.nan)).depth({"EN": "transfer"})
    with pytest.raises(SettingsError, match=r"for example scores=\{'formal': 'transfer'\}"):
        Sweep(alone.frame.assign(vector="formal")).depth()


def test_depths_are_drawn_over_their_sweep() -> None:
    swept = _sweep({"EN": _peaked(1), "LOC": _peaked(4)}, 0)
    swept = Sweep(swept.frame.assign(tokens="last_onward"))
    found = [swept.depth(scores, draws=100).frame for scores in ({"EN": "transfer", "LOC": "localization"}, MARGINS)]
    fig = Depths(pd.concat(found)).plot(swept)
    panels = ["EN: transfer", "LOC: localization", "EN: factual margin", "LOC: cultural margin"]
    assert [note.text for note in fig.layout.annotations] == panels
    assert len(fig.data) == len(panels) * len(STRENGTHS)
    (line,) = [trace for trace in fig.data if trace.name == "LOC, strength 1" and trace.yaxis == "y4"]
    assert LAYERS[int(np.argmax(line.y))] == LAYERS[4]
    assert [axis.title.text for axis in (fig.layout.yaxis, fig.layout.yaxis3)] == ["change (points)", "change (nats per token)"]
    shades = [(shape.x0 + 0.2, shape.x1 - 0.2) for shape in fig.layout.shapes]
    peaks = pd.concat(found).query("measure == 'peak' and score.notna()")
    np.testing.assert_allclose(shades, peaks[["low", "high"]].to_numpy())
    assert len(Depths(found[0]).plot(swept).layout.annotations) == 2
