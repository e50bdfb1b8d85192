"""Items, splits, pairs, and the user's own files."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from places import some_items

from steerlens.data import Item, Items, Locale, Split, add_locale, atlas, load_items, locale
from steerlens.errors import DataError, FileError, PairsError, UnknownNameError

FACTUAL = {
    "concept": "sky",
    "kind": "factual",
    "locale": "en-US",
    "question": "What color is the sky?",
    "choices": ["Blue", "Red"],
    "answer": "Blue",
}
CULTURAL = {
    "concept": "breakfast",
    "kind": "cultural",
    "locale": "es-ES",
    "question": "¿Qué se desayuna?",
    "explicit": "¿Qué se desayuna en España?",
    "answers": {"en-US": "Tortitas", "es-ES": "Tostada"},
}


def _write(path: Path, rows: list) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_split_divides_concepts_not_prompts(items: Items) -> None:
    split = items.split(seed=3)
    parts = [set(part.concepts) for part in (split.train, split.dev, split.test)]
    assert set.union(*parts) == set(items.concepts)
    assert sum(map(len, parts)) == len(items.concepts)
    assert all(
        len(part.of(kind=kind).concepts) for part in (split.train, split.dev, split.test) for kind in ("factual", "cultural")
    )
    assert items.split(seed=3).train.concepts == split.train.concepts
    assert any(items.split(seed=other).train.concepts != split.train.concepts for other in range(4, 8))


def test_a_concepts_side_depends_on_its_own_id() -> None:
    """Neither the locales asked for nor the concepts beside it move it."""
    whole = atlas()
    sides = _sides(whole.split(seed=0))
    for fewer in (atlas(["es-ES"]), whole.of(kind="cultural"), whole.sample(60), atlas(topics=["food", "geography"])):
        assert all(sides[concept] == side for concept, side in _sides(fewer.split(seed=0)).items())
    shares = [list(sides.values()).count(part) / len(sides) for part in range(3)]
    assert shares == pytest.approx([0.4, 0.3, 0.3], abs=0.05)


def test_every_large_topic_is_divided() -> None:
    split = atlas(["es-ES"]).split(seed=0)
    topics = Counter(item.topic for item in atlas().of(locale="en-US"))
    for topic in (topic for topic, n in topics.items() if n >= 15):
        for part in (split.train, split.dev, split.test):
            assert any(item.topic == topic for item in part), topic


def test_paraphrases_stay_together() -> None:
    base = Item("a", "factual", "en-US", "Where?", ("x", "y"), 0)
    twins = [replace(base, concept=f"c{n}#{k}", question=f"{n} {k}?") for n in range(40) for k in "ab"]
    sides = _sides(Items(tuple(twins)).split())
    assert all(sides[f"c{n}#a"] == sides[f"c{n}#b"] for n in range(40))
    assert len(set(sides.values())) == 3


def test_whole_relations_are_held_out() -> None:
    split = atlas(["es-ES"]).split(seed=0, holdout="relation")
    relations = [{item.relation for item in part if item.relation} for part in (split.train, split.dev, split.test)]
    assert all(relations)
    assert not relations[0] & relations[1] | relations[0] & relations[2] | relations[1] & relations[2]
    with pytest.raises(UnknownNameError, match="Did you mean relation"):
        atlas(["es-ES"]).split(holdout="relations")
    two = [item for item in atlas(["es-ES"]) if item.relation in ("capital", "currency")]
    with pytest.raises(DataError, match="at least 3"):
        Items(tuple(two)).split(holdout="relation")


def _sides(split: Split) -> dict[str, int]:
    return {concept: n for n, part in enumerate((split.train, split.dev, split.test)) for concept in part.concepts}


def test_pairs_are_parallel(items: Items) -> None:
    en, loc = items.english_pairs("ko-KR"), items.localized_pairs("ko-KR")
    assert [p.concept for p in en.positive] == [p.concept for p in en.negative]
    assert {p.locale for p in en.positive} == {"en-US"}
    assert {p.locale for p in en.negative} == {"ko-KR"}
    assert [p.concept for p in loc.positive] == [p.concept for p in loc.negative]
    assert {(p.form, n.form) for p, n in zip(loc.positive, loc.negative, strict=True)} == {("explicit", "implicit")}
    assert len(en) == len(loc) == 8


def test_pairs_that_cannot_be(items: Items) -> None:
    with pytest.raises(PairsError, match="locale en-US given for EN pairs"):
        items.english_pairs("en-US")
    with pytest.raises(UnknownNameError, match="es-ES"):
        items.english_pairs("el-GR")
    with pytest.raises(PairsError, match="0 positive"):
        items.of(kind="factual").localized_pairs("es-ES")


def test_unknown_locale_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean ko-KR"):
        atlas(["ko-KP"])
    with pytest.raises(UnknownNameError, match="Did you mean es-ES"):
        locale("es-Es")


def test_own_locale() -> None:
    add_locale(Locale("de-DE", "German", "Germany", "Frage:", "Antwort:", "Antworte mit einem Buchstaben."))
    assert Item("a", "factual", "de-DE", "Wo?", ("a", "b"), 0).prompt().text == "Frage: Wo?\nAntwort:"


def test_json_lines(tmp_path: Path) -> None:
    items = load_items(_write(tmp_path / "mine.jsonl", [FACTUAL, "", CULTURAL]))
    sky, breakfast = items
    assert (sky.choices, sky.answer, sky.english_answer) == (("Blue", "Red"), 0, None)
    assert (breakfast.choices[breakfast.answer], breakfast.english_answer) == ("Tostada", 0)
    assert breakfast.prompt("explicit").text == "Pregunta: ¿Qué se desayuna en España?\nRespuesta:"
    with pytest.raises(DataError, match="no explicit question"):
        sky.prompt("explicit")


def test_csv(tmp_path: Path) -> None:
    header = "concept,kind,locale,question,choices,answer,explicit,answer:en-US,answer:es-ES"
    rows = [
        header,
        "sky,factual,en-US,What color is the sky?,Blue|Red,Blue,,,",
        'b,cultural,es-ES,"¿Qué, pues?",,,¿Qué en España?,Tortitas,Tostada',
    ]
    sky, breakfast = load_items(_write(tmp_path / "mine.csv", rows))
    assert sky.choices == ("Blue", "Red")
    assert (breakfast.question, breakfast.choices[breakfast.answer]) == ("¿Qué, pues?", "Tostada")


def test_every_bad_row_is_named_at_once(tmp_path: Path) -> None:
    rows = [
        FACTUAL,
        "{broken",
        {**FACTUAL, "concept": "a", "choices": ["Blue"]},
        {**FACTUAL, "concept": "b", "answer": "Green"},
        {**FACTUAL, "concept": "c", "locale": "xx-XX"},
        {**FACTUAL, "concept": "d", "kind": "funny", "question": ""},
        {**CULTURAL, "answers": {"en-US": "Tortitas"}},
        {**FACTUAL, "concept": "e", "choices": ["Blue", "blue", "Red"]},
        FACTUAL,
    ]
    with pytest.raises(DataError) as caught:
        load_items(_write(tmp_path / "mine.jsonl", rows))
    message = str(caught.value)
    assert "8 bad rows in mine.jsonl" in message
    for expected in (
        "mine.jsonl:2: field 'line': not JSON",
        "mine.jsonl:3: field 'choices': 1 choices; expected at least two",
        "mine.jsonl:4: field 'answer': 'Green' given; expected exactly one of the choices",
        "mine.jsonl:5: field 'locale': 'xx-XX' given",
        "mine.jsonl:6: field 'kind': 'funny' given; expected one of factual, cultural",
        "mine.jsonl:6: field 'question': missing or empty",
        "mine.jsonl:7: field 'answers': answers of en-US; expected the answer of es-ES among them",
        "mine.jsonl:8: field 'choices': Blue, blue repeated",
        "mine.jsonl:9: field 'concept': 'sky' is already given for en-US at mine.jsonl:1",
    ):
        assert expected in message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"ends in \.jsonl or \.csv"):
        load_items("items.xlsx")
    with pytest.raises(FileError, match="cannot read"):
        load_items(tmp_path / "missing.jsonl")
    with pytest.raises(DataError, match="contains no items"):
        load_items(_write(tmp_path / "empty.jsonl", []))


def test_split_needs_concepts(items: Items) -> None:
    with pytest.raises(DataError, match="at least 3"):
        items.sample(2).split()
    with pytest.raises(DataError, match="add up to 1"):
        items.split(shares=(0.5, 0.5, 0.5))


def test_digest_knows_the_content(items: Items) -> None:
    assert items.digest() == some_items().sample(8).digest()
    assert items.digest() != items.sample(7).digest()


def test_samples_by_kind_are_nested(items: Items) -> None:
    few, more = items.sample({"factual": 2, "cultural": 1}), items.sample({"factual": 3, "cultural": None})
    assert [len(few.of(kind=kind).concepts) for kind in ("factual", "cultural")] == [2, 1]
    assert set(few.concepts) < set(more.concepts)
    assert more.of(kind="cultural").concepts == items.of(kind="cultural").concepts
    assert items.sample({"factual": 8, "cultural": 8}).digest() == items.sample(8).digest()
    assert not items.sample({"factual": 2}).of(kind="cultural")
