"""Several wordings of a concept, and several names of a choice."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Item, Items, atlas, load_items
from steerlens.data.rows import RowReader
from steerlens.data.splits import concept_of, group_of
from steerlens.errors import DataError
from steerlens.evaluation import Scorer, answered, token_counts
from steerlens.evaluation.attribution import attributions
from steerlens.evaluation.comparing import compared
from steerlens.evaluation.questions import ask
from steerlens.evaluation.wordings import wordings
from steerlens.settings import Scoring
from steerlens.steering import SteeringVector

_ROWS = [
    {
        "concept": "sky",
        "kind": "factual",
        "locale": "en-US",
        "question": "What color is the sky?",
        "wordings": ["Which color does the sky have?"],
        "cloze": "The color of the sky is",
        "choices": [["Blue", "Azure"], "Red", "Green"],
        "answer": "Blue",
        "difficulty": 1,
        "popularity": 3.5,
        "tags": ["colors"],
    },
    {
        "concept": "breakfast",
        "kind": "cultural",
        "locale": "es-ES",
        "templates": ["¿Qué se desayuna {in}?", "{front} ¿qué se toma por la mañana?"],
        "cloze": "Por la mañana {in} se toma",
        "answers": {"en-US": "Pancakes", "es-ES": ["Tostada", "Pan tostado"], "el-GR": "Koulouri"},
    },
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in _ROWS), encoding="utf-8")
    return path


def test_a_row_gives_an_item_for_each_wording(file: Path) -> None:
    assert load_items(file).concepts == ("sky", "breakfast")
    items = load_items(file, wordings=3, cloze=True)
    assert items.concepts == ("sky", "sky#2", "sky#cloze", "breakfast", "breakfast#2", "breakfast#cloze")
    asked = {item.concept: item for item in items}
    assert asked["sky#2"].question == "Which color does the sky have?"
    assert asked["breakfast#2"].explicit == "En España, ¿qué se toma por la mañana?"
    assert asked["breakfast#2"].question == "¿Qué se toma por la mañana?"
    assert asked["sky#cloze"].prompt().text == "The color of the sky is"
    assert asked["breakfast#cloze"].prompt("explicit").text == "Por la mañana en España se toma"
    assert asked["sky"].prompt().text.startswith("Question: ")
    assert (asked["sky"].difficulty, asked["sky"].popularity, asked["sky"].tags) == (1, 3.5, ("colors",))
    assert asked["breakfast"].names(asked["breakfast"].answer) == ("Tostada", "Pan tostado")
    assert repr(items).startswith("Items('mine.jsonl': 1 factual, 1 cultural concepts in en-US, es-ES, 3.0 wordings")
    with pytest.raises(DataError, match="at least one"):
        load_items(file, wordings=0)


def test_csv_has_them_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "concept,kind,locale,templates,cloze,answer:en-US,answer:es-ES,difficulty\n"
        "breakfast,cultural,es-ES,¿Qué se desayuna {in}?|{front} ¿qué se toma?,Se toma {in},Pancakes,Tostada|Pan tostado,2\n",
        encoding="utf-8",
    )
    items = load_items(path, wordings=2, cloze=True)
    assert [item.question for item in items] == ["¿Qué se desayuna?", "¿Qué se toma?", "Se toma"]
    assert items[0].aliases == ((), ("Pan tostado",))
    assert items[0].difficulty == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"templates": ["¿Qué se desayuna?"]}, "0 slots"),
        ({"templates": []}, "at least one question"),
        ({"templates": "¿Qué?"}, "a list of texts"),
        ({"answers": {"en-US": "Pancakes", "es-ES": ["Tostada", "Pancakes"]}}, "repeated"),
        ({"answers": {"en-US": "Pancakes", "es-ES": ["Tostada", ""]}}, "texts"),
        ({"difficulty": 4}, "taught at school"),
        ({"popularity": "high"}, "a finite number"),
        ({"tags": "colors"}, "a list of texts"),
    ],
)
def test_bad_fields_are_named(change: dict, said: str) -> None:
    reader = RowReader()
    reader.read("mine.jsonl:1", {**_ROWS[1], **change})
    with pytest.raises(DataError, match=said):
        reader.finish("mine.jsonl")


def test_wordings_stay_together() -> None:
    items = atlas(["es-ES"], wordings=3, cloze=True)
    assert {concept_of(concept) for concept in items.concepts} == set(atlas(["es-ES"]).concepts)
    sides = items.split(seed=0)
    groups = [set(map(group_of, part.concepts)) for part in (sides.train, sides.dev, sides.test)]
    assert sum(map(len, groups)) == len(set.union(*groups))
    few = items.sample(5)
    assert len({concept_of(concept) for concept in few.concepts}) == 10
    assert set(few.concepts) > set(atlas(["es-ES"]).sample(5).concepts)


def test_the_best_name_of_a_choice_scores(llama: sl.LensModel, items: Items) -> None:
    item = items.of(kind="factual", locale="es-ES")[0]
    others = tuple(f"{choice} o más" for choice in item.choices)
    named = replace(item, aliases=tuple((other,) for other in others))
    shown, other, both, without = (
        Scorer(llama, [one], scoring).base[0].scores
        for one, scoring in ((item, None), (replace(item, choices=others), None), (named, None), (named, Scoring(aliases=False)))
    )
    assert both == pytest.approx([max(pair) for pair in zip(shown, other, strict=True)], abs=1e-5)
    assert without == pytest.approx(shown, abs=1e-5)
    assert both != pytest.approx(shown, abs=1e-3)


def test_gradients_follow_the_best_names(llama: sl.LensModel, items: Items) -> None:
    """The slope of the margin between best names equals a finite difference."""
    named = [replace(item, aliases=tuple((f"{choice} o más",) for choice in item.choices)) for item in items.of(locale="es-ES")]
    scorer, step = Scorer(llama, named), 1e-3
    directions = torch.randn(llama.n_layers, llama.d_model, generator=torch.Generator().manual_seed(4))
    vector = SteeringVector(directions, llama.layers(), llama.fingerprint, name="EN", locale="es-ES")
    slopes = attributions(scorer, [(vector, [1])], "all")["EN"].slopes[1]
    up, down = (
        [now.scores[o.item.answer] - now.scores[o.runner_up] for now, o in zip(scorer.score(plan), scorer.base, strict=True)]
        for plan in (vector.at(1, step, "all"), vector.at(1, -step, "all"))
    )
    np.testing.assert_allclose(slopes, (np.array(up) - np.array(down)) / (2 * step), atol=2e-2, rtol=2e-2)
    shown = attributions(Scorer(llama, named, Scoring(aliases=False)), [(vector, [1])], "all")["EN"].slopes[1]
    assert np.abs(shown - slopes).max() > 0.1


def test_an_interval_counts_a_concept_once() -> None:
    def rows(method: str, value: float) -> list[dict]:
        names = ["a", "a#2", "a#cloze", "b", "b#2"]
        return [
            {"method": method, "draw": 0, "of": "", "control": "", "locale": "es-ES", "concept": name, "value": value + at / 10}
            for at, name in enumerate(names)
        ]

    table = compared(pd.DataFrame(rows("unsteered", 0.0) + rows("plan", 1.0)), "transfer", "value", 0)
    assert {row["n"] for row in table} == {2}


def test_the_spread_between_wordings() -> None:
    values = {"a": 1.0, "a#2": 0.0, "b": 1.0, "b#2": 1.0, "c": 0.0}
    frame = pd.DataFrame(
        [{"method": "m", "locale": "es-ES", "score": "transfer", "concept": name, "value": v} for name, v in values.items()]
    )
    row = wordings(frame).frame.iloc[0]
    assert (row["n"], row["wordings"], row["value"]) == (2, 2, 0.75)
    assert (row["low"], row["high"], row["spread"], row["agree"], row["within"]) == (0.5, 1.0, 0.5, 0.5, 0.25)
    with pytest.raises(DataError, match="no concept"):
        wordings(frame[frame["concept"] == "c"])


def test_answers_give_it(llama: sl.LensModel) -> None:
    items = atlas(["es-ES"], wordings=2).sample(3)
    vectors = sl.steering.take(llama, atlas(["es-ES"]).sample(6))
    found = answered(llama, items, {"plan": vectors["LOC", "es-ES"].at(2, 1.0)}).wordings()
    assert set(found.frame["method"]) == {"unsteered", "explicit prompt", "plan"}
    assert set(found.frame["n"]) == {3}


def test_token_counts(llama: sl.LensModel, items: Items) -> None:
    counts = token_counts(llama, items)
    assert len(counts.frame) == len(items)
    even = counts.within(items)
    assert 0 < len(even) < len(items)
    for item in even:
        space = sl.data.locale(item.locale).space
        assert len({len(llama.tokenizer.ids(item.prompt().text + space + choice)) for choice in item.choices}) <= 2


def test_aliases_are_not_counted(llama: sl.LensModel) -> None:
    items = sl.data.Items([item for item in atlas(["es-ES"]) if any(item.aliases)][:5], "with aliases")
    assert len(items) == 5
    pd.testing.assert_frame_equal(token_counts(llama, items, scoring=Scoring()).frame, token_counts(llama, items).frame)
    for row, item in zip(token_counts(llama, items, scoring=Scoring()).frame.to_dict("records"), items, strict=True):
        tokens = len(ask(llama, item, Scoring(aliases=False)).row.choices[item.answer])
        assert row["answer"] == tokens
        assert row["fewest"] <= tokens <= row["most"]


def test_answers_for_the_country_named(llama: sl.LensModel) -> None:
    items = atlas(["es-ES", "ko-KR"]).sample({"factual": 6, "cultural": 6})
    vectors = sl.steering.take(llama, items)
    plans = {code: vectors["LOC", code].at(2, 1.0) for code in ("es-ES", "ko-KR")}
    table = sl.evaluation.named_country(llama, items, {"LOC": plans}, countries=["ko-KR", "el-GR"]).frame
    assert set(zip(table["locale"], table["country"], strict=True)) == {
        ("es-ES", "ko-KR"),
        ("es-ES", "el-GR"),
        ("ko-KR", "el-GR"),
    }
    assert table[["named", "own", "english_centric"]].to_numpy().min() >= 0
    assert (table[["named", "own"]].sum(axis=1) <= 1).all()


def test_an_answer_spelled_as_in_english() -> None:
    def fact(code: str, concept: str, answer: str) -> Item:
        return Item(concept, "factual", code, "?", (answer, "X"), 0)

    items = Items(
        (
            *(fact("en-US", "a", "Bogota"), fact("es-ES", "a", "Bogotá")),
            *(fact("en-US", "b", "Iron"), fact("es-ES", "b", "Hierro")),
        )
    )
    assert items.spelled_as_in_english().of(locale="es-ES").concepts == ("a",)


def test_a_solved_example_is_no_other_wording_of_what_is_asked(llama: sl.LensModel, items: Items) -> None:
    item, other = items.of(kind="factual", locale="es-ES")[:2]
    again = replace(item, concept=f"{item.concept}#2", question=f"{item.question} Diga.")
    alone, with_own, with_other = (
        len(Scorer(llama, [item], Scoring(examples=examples)).questions[0].row.prompt) for examples in ((), (again,), (other,))
    )
    assert alone == with_own < with_other
