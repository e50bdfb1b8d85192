"""Parallel texts: rows, the corpus and its files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from steerlens.data import ENGLISH, ParallelCorpus, ParallelText
from steerlens.errors import DataError, FileError, PairsError, UnknownNameError


def _row(key: str, /, **texts: str) -> ParallelText:
    """A plain row; ``en``, ``es``, ``ko`` and ``zh`` stand for their locales."""
    codes = {"en": ENGLISH, "es": "es-ES", "ko": "ko-KR", "zh": "zh-CN"}
    return ParallelText(key, {codes[name]: text for name, text in texts.items()}, source="test", license="none")


def _corpus(*rows: ParallelText) -> ParallelCorpus:
    return ParallelCorpus(rows, "test")


@pytest.fixture
def corpus() -> ParallelCorpus:
    return _corpus(
        _row("1", en="A cat sleeps.", es="Un gato duerme.", ko="고양이가 잔다."),
        _row("2", en="It rains.", es="Llueve."),
        _row("3", en="Good morning.", ko="좋은 아침입니다."),
        _row("4", es="Hace frío.", ko="춥다."),
    )


def test_a_question_is_read_with_its_answer() -> None:
    row = ParallelText("q", {ENGLISH: "Question: Two?\nAnswer:", "zh-CN": "问题：二？\n答案："}, {ENGLISH: "Yes", "zh-CN": "是"})
    assert row.full(ENGLISH) == "Question: Two?\nAnswer: Yes"
    assert row.full("zh-CN") == "问题：二？\n答案：是"  # no space behind a full-width colon
    assert _row("p", en="Plain.").full(ENGLISH) == "Plain."
    with pytest.raises(UnknownNameError, match="'el-GR'"):
        row.full("el-GR")


@pytest.mark.parametrize(
    ("texts", "answers", "said"),
    [
        ({}, {}, "at least one text"),
        ({ENGLISH: " x"}, {}, "without white space at its beginning"),
        ({ENGLISH: "x"}, {"es-ES": "y"}, "an answer but no text in es-ES"),
        ({ENGLISH: "x"}, {ENGLISH: ""}, "in the field answers"),
    ],
)
def test_bad_rows_are_refused(texts: dict[str, str], answers: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        ParallelText("k", texts, answers)
    with pytest.raises(UnknownNameError, match="unknown locale 'es-SE'"):
        ParallelText("k", {"es-SE": "x"})


def test_a_corpus_is_a_sequence_that_does_not_change(corpus: ParallelCorpus) -> None:
    assert (len(corpus), corpus[1].key, [row.key for row in corpus[1:3]]) == (4, "2", ["2", "3"])
    assert corpus.locales == (ENGLISH, "es-ES", "ko-KR")
    both = corpus + _corpus(_row("5", en="Five."))
    assert [row.key for row in both] == list("12345")
    assert len(corpus) == 4
    with pytest.raises(DataError, match=r"'2' \(2 times\)"):
        corpus + corpus[1:2]
    assert corpus.digest() == _corpus(*corpus).digest() != corpus.shuffled(1).digest()
    assert sorted(row.key for row in corpus.shuffled(1)) == list("1234")
    assert repr(corpus) == "ParallelCorpus('test': 4 rows in en-US, es-ES, ko-KR)"


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    many = _corpus(*(_row(str(n), en=f"Sentence {n}.") for n in range(40)))
    few, more = ([row.key for row in many.sample(n, seed=3)] for n in (5, 20))
    assert len(few) == 5
    assert set(few) < set(more)
    assert more == sorted(more, key=int)  # in their order
    assert many.sample(None) is many
    assert few != [row.key for row in many.sample(5, seed=4)]


def test_only_keeps_what_can_be_aligned(corpus: ParallelCorpus) -> None:
    kept = corpus.only(["es-ES", "ko-KR"])
    assert [row.key for row in kept] == ["1", "2", "3"]
    assert [row.key for row in corpus.only(["es-ES", "ko-KR"], need="all")] == ["1"]
    spanish = corpus.only("es-ES")
    assert [(row.key, row.locales) for row in spanish] == [("1", (ENGLISH, "es-ES")), ("2", (ENGLISH, "es-ES"))]
    assert [(row.key, row.locales) for row in corpus.only("es-ES", need="any")] == [(key, ("es-ES",)) for key in "124"]
    with pytest.raises(UnknownNameError, match="el-GR"):
        corpus.only(["el-GR"])
    with pytest.raises(UnknownNameError, match="need"):
        corpus.only(["es-ES"], need="some")  # type: ignore[arg-type]


def test_pairs_hold_both_locales(corpus: ParallelCorpus) -> None:
    assert corpus.pairs("es-ES") == [("Un gato duerme.", "A cat sleeps."), ("Llueve.", "It rains.")]
    assert corpus.pairs("es-ES", with_="ko-KR")[1] == ("Hace frío.", "춥다.")
    with pytest.raises(PairsError, match="no row contains both a text in zh-CN"):
        corpus.pairs("zh-CN")


def test_each_text_is_kept_once() -> None:
    rows = _corpus(
        _row("1", en="Open the file.", es="Abra el archivo.", ko="파일을 여세요."),
        _row("2", en="OPEN  the file.", es="Abre el fichero."),  # English repeats: the row goes
        _row("3", en="Open this file.", es="Abra el archivo.", ko="이 파일을 여세요."),  # Spanish repeats: it alone goes
        _row("4", en="Close it.", es="abra el archivo."),  # only English would be left
        _row("5", en="Save.", es="Guardar."),
    )
    kept = rows.deduplicated()
    assert [(row.key, row.locales) for row in kept] == [
        ("1", (ENGLISH, "es-ES", "ko-KR")),
        ("3", (ENGLISH, "ko-KR")),
        ("5", (ENGLISH, "es-ES")),
    ]
    assert kept.notes == {"rows repeated, left out": 2, "es-ES: text repeated, left out": 1}
    assert kept.deduplicated().digest() == kept.digest()
    asked = ParallelText("q", {ENGLISH: "Which?"}, {ENGLISH: "This"})
    assert len(_corpus(asked, replace(asked, key="r", answers={ENGLISH: "That"})).deduplicated()) == 2


def test_counts_by_source_and_locale(corpus: ParallelCorpus) -> None:
    asked = ParallelText("q", {ENGLISH: "One two?"}, {ENGLISH: "Three"}, source="quiz")
    table = (corpus + _corpus(asked)).counts().set_index(["source", "locale"])
    assert table.loc[("test", ENGLISH), ["texts", "answers", "length", "unit"]].tolist() == [3, 0, 7, "words"]
    assert table.loc[("test", "ko-KR"), ["texts", "length", "unit"]].tolist() == [3, 15, "characters"]
    assert table.loc[("quiz", ENGLISH), ["texts", "answers", "length"]].tolist() == [1, 1, 3]


def test_a_corpus_comes_back_from_its_file(corpus: ParallelCorpus, tmp_path: Path) -> None:
    whole = corpus + _corpus(ParallelText("q", {"zh-CN": "问？"}, {"zh-CN": "答"}, "quiz", "MIT", "q"))
    again = ParallelCorpus.load(whole.save(tmp_path / "deep" / "rows.jsonl"))
    assert again.digest() == whole.digest()
    assert (again[4], again.name) == (whole[4], "rows.jsonl")
    (tmp_path / "mine.jsonl").write_text(json.dumps({"key": "a", "texts": {"es-ES": "Hola."}}) + "\n\n", encoding="utf-8")
    assert ParallelCorpus.load(tmp_path / "mine.jsonl")[0] == ParallelText("a", {"es-ES": "Hola."})


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    good = {"key": "a", "texts": {ENGLISH: "Hello."}}
    lines = [
        json.dumps(good),
        "{",
        json.dumps(good | {"texts": {}}),
        json.dumps({"key": "c", "texts": {"es-SE": "x", ENGLISH: " y"}, "license": 3, "price": 1}),
        json.dumps(good),
        json.dumps({"key": "d", "texts": {ENGLISH: "x"}, "answers": {"es-ES": "y"}}),
        json.dumps({"texts": ["x"]}),
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="6 bad rows") as caught:
        ParallelCorpus.load(file)
    said = str(caught.value)
    for fault in (
        "rows.jsonl:2: field 'line': not JSON",
        "rows.jsonl:3: field 'texts': {} given",
        "rows.jsonl:4: field 'price'",
        "rows.jsonl:4: field 'texts': locale 'es-SE' given",
        "rows.jsonl:4: field 'texts': ' y' in en-US",
        "rows.jsonl:4: field 'license': 3 given",
        "rows.jsonl:5: field 'key': 'a' is already at rows.jsonl:1",
        "rows.jsonl:6: field 'answers': an answer in es-ES",
        "rows.jsonl:7: field 'key': missing",
    ):
        assert fault in said
    with pytest.raises(FileError, match="cannot read"):
        ParallelCorpus.load(tmp_path / "none.jsonl")
