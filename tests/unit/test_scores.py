"""A score of one's own works wherever the built-in ones do, and says what is wrong with it in words."""

import math
import subprocess
import sys
from collections.abc import Iterator

import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Item, Items
from steerlens.errors import SettingsError, UnknownNameError
from steerlens.evaluation import (
    SCORES,
    Answers,
    Outcome,
    Score,
    SearchSettings,
    Sweep,
    Writing,
    answered,
    effects,
    plane,
    register,
    response,
    search,
    sweep,
)
from steerlens.evaluation.item_scores import choice_rows
from steerlens.evaluation.scores import exact_match
from steerlens.steering import EN, LOC, Contrast, VectorSet, take
from tests.unit.longform import item_rows

TOP_TWO = Score(
    "top_two", lambda o: sorted(o.scores, reverse=True).index(o.scores[o.item.answer]) < 2, "factual",
    companion="transfer_margin", label="among the best two",
)  # fmt: skip
LENGTH = Score("length", lambda w: len(w.tokens), None, "writing", "tokens", "length of the text", higher_is_better=False)


@pytest.fixture(autouse=True)
def _as_they_were() -> Iterator[None]:
    """The registry as it was, after every test."""
    kept = dict(SCORES)
    yield
    SCORES.clear()
    SCORES.update(kept)


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items, [Contrast("mine", Items.english_pairs, "top_two"), LOC])


def _by_hand(outcome: Outcome) -> bool:
    better = [score for score in outcome.scores if score > outcome.scores[outcome.item.answer]]
    return len(better) < 2


def test_a_score_of_choices_is_swept_chosen_and_answered(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    swept = sweep(llama, items, vectors, [1, 3], [1.0, 2.0], scores=[TOP_TWO, "localization"])
    assert set(swept.scores) == {"top_two", "localization"}  # the margins are companions
    finer = {"transfer_margin", "localization_margin", "localization_preference"}
    assert set(swept.frame["score"]) == {"top_two", "localization", *finer}
    scorer = sl.evaluation.Scorer(llama, items.of(locale="ko-KR", kind="factual"))
    outcomes = scorer.score(vectors["mine", "ko-KR"].at(3, 2.0))
    cell = swept.frame.query("vector == 'mine' and layer == 3 and strength == 2.0 and locale == 'ko-KR' and score == 'top_two'")
    assert cell["value"].tolist() == [float(_by_hand(outcome)) for outcome in outcomes]
    assert cell["base"].tolist() == [float(_by_hand(outcome)) for outcome in scorer.base]
    assert "among the best two" in swept.heatmap("mine", "top_two").layout.title.text
    chosen = swept.choose()
    best = swept.cells("top_two").query("vector == 'mine'")["change"].max()
    assert chosen["mine"].expected is not None
    assert chosen["mine"].expected.tried == 4
    assert chosen["mine"].expected.on_dev["top_two"] <= best + 1e-9
    assert chosen["mine"].gains.aims == ("top_two", "localization")
    assert chosen.surgical.gains.worst == min(chosen.surgical.gains["top_two"], chosen.surgical.gains["localization"])
    given = answered(llama, items, {"chosen": chosen.surgical}, scores=["top_two", "localization"])
    frame = plane(llama, items, {"chosen": chosen.surgical}, scores=["top_two", "localization"]).frame
    row = frame.query("method == 'chosen' and score == 'top_two' and locale == 'mean'").iloc[0]
    own = given.frame.query("method == 'chosen' and score == 'top_two'")["value"]
    assert row["value"] == pytest.approx(own.mean())
    assert row["change"] == pytest.approx(chosen.surgical.gains["top_two"])
    assert given.compare("chosen", "unsteered", "top_two").frame["change"].item() == pytest.approx(row["change"])
    assert set(effects(given).frame["score"]) == {"top_two", "localization"}


def test_a_score_with_a_companion_has_a_response_and_is_searched(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    answer = response(llama, items, vectors["mine", "es-ES"], 1, (-1.0, 1.0), scores=[TOP_TWO])
    assert set(answer.slopes()["score"]) == set(answer.curve()["score"]) == {"top_two"}
    settings = SearchSettings(
        layers=(1, 3), strengths=(1.0, 2.0), tokens=("last_onward",), n_folds=2, singles=2, combinations=2, dev_concepts=None
    )
    contrasts = [Contrast("mine", Items.english_pairs, "top_two"), LOC]
    found = search(llama, items, ["es-ES"], "top_two", contrasts=contrasts, settings=settings)
    tried = found.tried.frame.query("locale == 'es-ES'")
    assert {"top_two", "localization", "english_centric"} <= set(tried)
    assert (tried["objective"] == tried["top_two"]).all()
    assert set(found.regret.frame["score"]) == {"objective", "top_two", "localization"}
    assert found.chosen("es-ES").gains.gain("top_two") == pytest.approx(max(tried[tried["allowed"]]["top_two"].max(), 0.0))


def test_a_score_of_written_text_is_swept_and_answered(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    some, own = items.of(locale="es-ES", kind="factual"), vectors["mine", "es-ES"]
    swept = sweep(llama, some, own, [1], [4.0], scores=["exact_match", LENGTH, "transfer"], max_new_tokens=4)
    texts = {}
    for item in some:
        with own.at(1, 4.0).applied(llama):
            texts[item.concept] = llama.generate(item.prompt().text, 4)
    rows = swept.frame[swept.frame["score"] == "length"].set_index("concept")
    for concept, text in texts.items():
        assert rows.loc[concept, "value"] == len(llama.tokenizer.hf(text, add_special_tokens=False)["input_ids"])
    matches = swept.frame[swept.frame["score"] == "exact_match"].set_index("concept")["value"]
    assert matches.to_dict() == {item.concept: float(exact_match(Writing(item, texts[item.concept], ()))) for item in some}
    assert swept.cells("length")["change"].notna().all()
    given = answered(llama, some, {"mine": own.at(1, 4.0)}, scores=[LENGTH, "exact_match"], max_new_tokens=4)
    answers = given.frame.query("method == 'mine' and score == 'length'").set_index("concept")["value"]
    assert answers.to_dict() == rows["value"].to_dict()
    frame = plane(llama, some, {"mine": own.at(1, 4.0)}, scores=["exact_match", "transfer"]).frame
    assert set(frame["score"]) == {"exact_match", "transfer"}


def test_exact_match_of_known_texts(items: Items) -> None:
    item = Item("c", "factual", "es-ES", "q", ("Tokio", "Kioto"), 0)
    found = [exact_match(Writing(item, text, ())) for text in (" tokio, claro", "Tokio", "Kioto", "La de Tokio", "")]
    assert found == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("code", "answer", "right", "wrong"),
    [
        ("es-ES", "8", ("8", " 8.", "8, claro", "8 de ellos", "8-10"), ("800", "8,5", "8.000", "8a")),
        ("es-ES", "sol", ("Sol", "sol\n", "«sol»"[1:]), ("solo", "sol1", "sola luna")),
        ("hi-IN", "कल", ("कल", "कल।"), ("कला",)),
        ("ja-JP", "東京", ("東京です", "東京"), ("京都",)),  # no spaces between words: there is no end to be seen
        ("ja-JP", "8", ("8月",), ("80", "8.5")),
    ],
)
def test_an_exact_match_ends_where_the_answer_ends(code: str, answer: str, right: tuple, wrong: tuple) -> None:
    item = Item("c", "factual", code, "q", (answer, "x"), 0)
    assert [exact_match(Writing(item, text, ())) for text in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)


def test_what_could_not_be_told_is_left_out_and_no_cell_is_lost(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    """What cannot be told makes no gap; scores out of the model's numbers do."""
    rows = []
    for concept, steered, before in (("a", 1.0, 0.0), ("b", math.nan, 1.0), ("c", 0.0, math.nan)):
        cell = {"vector": "EN", "layer": 1, "strength": 1.0, "tokens": "all", "exact": True}
        place = {"locale": "es-ES", "kind": "factual", "concept": concept}
        numbers = {"value": steered, "base": before}
        rows += [
            {**cell, **place, "score": score, **numbers, "valid": score != "transfer" or concept != "b"}
            for score in ("right_language", "transfer")
        ]
    swept = Sweep(pd.DataFrame(rows))
    (told,) = swept.cells("right_language").to_dict("records")
    assert (told["change"], told["n"], told["invalid"]) == (1.0, 1, 0.0)
    (gap,) = swept.cells("transfer").to_dict("records")
    assert math.isnan(gap["change"])
    assert gap["invalid"] == 0.5
    sometimes = Score("sometimes", lambda o: o.margin if o.correct else None)
    swept = sweep(llama, items, vectors, [1, 3], [1.0, 2.0], scores=[TOP_TWO, "localization", sometimes])
    told = swept.frame[(swept.frame["score"] == "sometimes") & swept.frame["base"].notna()]
    assert told["value"].isna().any()  # it could be told unsteered
    assert (swept.cells("sometimes")["invalid"] == 0).all()
    without = sweep(llama, items, vectors, [1, 3], [1.0, 2.0], scores=[TOP_TWO, "localization"])
    assert str(swept.choose()) == str(without.choose())  # no cell is dropped
    never = Score("never", lambda o: None if o.item.locale == "es-ES" else o.margin)
    frame = plane(llama, items, {"EN": vectors["mine", "ko-KR"].at(1)}, scores=[never]).frame
    assert set(frame["locale"]) == {"ko-KR", "mean"}


@pytest.mark.parametrize("bad", ["good", [1], {"a": 1}, object()])
def test_a_score_that_gives_no_number(llama: sl.LensModel, items: Items, bad: object) -> None:
    some = items.of(locale="es-ES", kind="factual")
    plan = sl.steering.no_steering(llama.fingerprint)
    with pytest.raises(SettingsError, match=r"score 'bad' returned .*: expected a number, True, False or None"):
        answered(llama, some, {"still": plan}, scores=[Score("bad", lambda _: bad)])
    for good in (1, True, 0.5, torch.tensor(2.0)):  # the control
        assert Score("good", lambda _, good=good: good).value(Outcome(some[0], (0.0, 1.0))) == float(good)


def test_names_of_scores(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    register(TOP_TWO)
    assert register(TOP_TWO) is TOP_TWO  # the same again is no mistake
    again = register(Score("top_two", lambda _: 1))  # nor is a cell of a notebook that runs twice
    assert SCORES["top_two"] is again
    with pytest.raises(SettingsError, match="steerlens has a built-in score with this name"):
        sweep(llama, items, vectors, [1], [1.0], scores=[Score("transfer", lambda _: 1)])
    assert register(SCORES["transfer"]) is SCORES["transfer"]
    with pytest.raises(UnknownNameError, match="Did you mean transfer"):
        sweep(llama, items, vectors, [1], [1.0], scores=["transfr"])
    with pytest.raises(SettingsError, match="no scores given"):
        answered(llama, items, {"EN": vectors["mine", "es-ES"].at(1)}, scores=[])
    with pytest.raises(UnknownNameError, match="evidence of a score"):
        Score("odd", lambda _: 1, evidence="dreams")
    with pytest.raises(UnknownNameError, match=r"kind of items of score 'odd' 'fact'.*Did you mean factual"):
        Score("odd", lambda _: 1, "fact")
    with pytest.raises(SettingsError, match="expected a name that is not empty"):
        Score("", lambda _: 1)
    with pytest.raises(SettingsError, match="None given as the function of score 'odd'"):
        Score("odd", None)


def test_outcomes_that_are_not_finite_have_no_score(items: Items) -> None:
    item = next(item for item in items if item.kind == "factual")
    finite = tuple(-1.0 - at for at in range(len(item.choices)))
    for bad in (math.nan, math.inf):
        broken = Outcome(item, (bad, *finite[1:]))
        rows = list(choice_rows([broken], [TOP_TWO, SCORES["transfer"], SCORES["margin"], SCORES["localization"]]))
        assert [row["score"] for row in rows] == ["top_two", "transfer", "margin"]  # of a factual item
        assert all(math.isnan(row["value"]) for row in rows)
    whole = list(choice_rows([Outcome(item, finite)], [TOP_TWO, SCORES["transfer"]]))
    assert [row["value"] for row in whole] == [float(item.answer < 2), float(item.answer == 0)]  # the control


def test_the_score_decides_what_is_better() -> None:
    """Where less is better, the best plan is the one with less of it."""
    assert EN.score == "transfer"
    rows = [
        row
        for method, right in (("unsteered", False), ("EN", True))
        for row in item_rows({"method": method, "of": "", "control": "", "draw": 0}, "es-ES", "cultural", "a", right, 1.0)
    ]
    assert Answers(pd.DataFrame(rows)).scores == ("localization",)
    gains = sl.evaluation.Gains({"english_centric": -0.2, "localization": 0.1}, ("english_centric", "localization"))
    assert (gains.gain("english_centric"), gains.worst, gains.total) == (0.2, 0.1, pytest.approx(0.3))


def test_figures_know_the_built_in_scores_where_nothing_was_measured() -> None:
    """A process that draws a table and nothing else."""
    script = "import steerlens as sl; from steerlens.scores import shown_score; print(shown_score('transfer_margin').unit)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "nats per token"
