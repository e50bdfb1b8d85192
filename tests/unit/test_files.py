"""Files that are large, of another encoding, or wrong in many places; and the locales that they may name."""

import json
import logging
from pathlib import Path

import pytest

from steerlens.data import Item, Items, atlas_locales, known_locales, load_items, locale
from steerlens.data.packed import PackedItems
from steerlens.data.public.languages import LOCALES
from steerlens.data.scripts import foreign
from steerlens.errors import DataError, FileError


def _row(n: int, **changes: object) -> str:
    row = {
        "concept": f"c{n}",
        "kind": "factual",
        "locale": "en-US",
        "question": f"Which, {n}?",
        "choices": ["a", "b"],
        "answer": "b",
    }
    return json.dumps(row | changes, ensure_ascii=False)


def _file(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_many_items_are_packed_and_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [_row(n, locale=code, topic="t") for n in range(9) for code in ("en-US", "de-DE")]
    cultural = {"kind": "cultural", "answers": {"en-US": "x", "de-DE": "x", "fr-FR": "y"}, "explicit": "In?"}
    lines += [_row(99, **cultural)]
    plain = load_items(_file(tmp_path / "mine.jsonl", lines))
    monkeypatch.setattr("steerlens.data.rows.PACK_FROM", 3)
    packed = load_items(tmp_path / "mine.jsonl")
    assert isinstance(packed.items, PackedItems)
    assert list(packed) == list(plain)
    assert (packed[-1], packed[2:4], len(packed)) == (plain[-1], plain[2:4], len(plain))
    assert packed.digest() == plain.digest()
    factual = [items.of(kind="factual") for items in (packed, plain)]
    assert factual[0].split(seed=1).test.digest() == factual[1].split(seed=1).test.digest()
    with pytest.raises(DataError, match=r"mine\.jsonl:20: .*'c7' is already given for de-DE at mine\.jsonl:16"):
        load_items(_file(tmp_path / "mine.jsonl", [*lines, _row(7, locale="de-DE")]))


def test_only_the_first_faults_are_listed(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_items(_file(tmp_path / "mine.jsonl", [_row(n, answer="c") for n in range(2000)]))
    message = str(caught.value)
    assert message.startswith("2,000 bad rows in mine.jsonl")
    assert message.endswith("and 1,950 more faults")
    assert len(message.splitlines()) == 52


@pytest.mark.parametrize(("name", "near"), [("explict", "explicit"), ("Choices", "choices"), ("wording", "wordings")])
def test_a_misspelled_field_is_a_fault_and_an_own_field_is_none(tmp_path: Path, name: str, near: str) -> None:
    row = json.loads(_row(1, note="mine", annotator=3))
    assert len(load_items(_file(tmp_path / "own.jsonl", [json.dumps(row)]))) == 1
    misspelled = {**{key: value for key, value in row.items() if key != near}, name: row.get(near, "x")}
    with pytest.raises(DataError, match=f"field '{name}': an unknown field; expected the field '{near}'"):
        load_items(_file(tmp_path / "own.jsonl", [json.dumps(misspelled)]))


@pytest.mark.parametrize(("encoding", "said"), [("latin-1", "line 2, byte"), ("utf-16", "UTF-16")])
@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_another_encoding_is_said_with_its_place(tmp_path: Path, encoding: str, said: str, suffix: str) -> None:
    file = tmp_path / f"mine.{suffix}"
    first = _row(0) if suffix == "jsonl" else "concept,kind,locale,question,choices,answer"
    file.write_bytes(f"{first}\n{_row(1, question='Café?')}\n".encode(encoding))
    with pytest.raises(FileError, match=f"{said}.*Convert the file to UTF-8"):
        load_items(file)


def test_csv_without_its_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mine\.csv:1: field 'kind, question': missing; the columns are 'concept', 'locale'"):
        load_items(_file(tmp_path / "mine.csv", ["concept,locale", "a,en-US"]))
    with pytest.raises(DataError, match="contains no items"):
        load_items(_file(tmp_path / "empty.csv", [""]))


def test_a_byte_order_mark_and_quoted_line_ends_are_read(tmp_path: Path) -> None:
    text = '\ufeffconcept,kind,locale,question,choices,answer\r\na,factual,en-US,"Which,\r\nthen?",x|y,x\r\n'
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8", newline="")
    (item,) = load_items(tmp_path / "mine.csv")
    assert item.question == "Which,\r\nthen?"


def test_a_question_in_another_script_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [_row(0, locale="ko-KR", question="무엇인가요?", choices=["BTS", "김치"], answer="BTS")]
    lines += [_row(n, locale="ko-KR", question="What is it?", choices=["Да", "김치"], answer="Да") for n in (1, 2)]
    with caplog.at_level(logging.WARNING):
        items = load_items(_file(tmp_path / "mine.jsonl", lines))
    assert set(items.notes.values()) == {2}
    assert len(items.notes) == 2
    assert "mine.jsonl:2" in caplog.text
    assert "mine.jsonl:3" not in caplog.text


def test_items_cut_by_a_function_and_to_what_is_parallel() -> None:
    items = Items(
        tuple(Item(c, "factual", code, "q", ("a", "b"), 0) for c, code in (("1", "en-US"), ("1", "es-ES"), ("2", "en-US")))
    )
    assert items.parallel().concepts == ("1",)
    assert items.where(lambda item: item.concept == "2").locales == ("en-US",)


@pytest.mark.parametrize("code", known_locales())
def test_words_of_every_locale_are_of_its_script(code: str) -> None:
    place = locale(code)
    for text in (place.question, place.answer, place.choose):
        assert text == text.strip()
        assert not foreign(text, place.script), text
        if code != "fr-FR" and place.language != "English":
            assert "Question" not in text
    assert place.question[-1] == place.answer[-1]
    assert place.question[-1] in ":：՝៖"
    assert place.space == ("" if place.question.endswith("：") else " ")


def test_every_language_has_a_locale() -> None:
    assert set(LOCALES.values()) <= set(known_locales())
    assert known_locales()[0] == "en-US"
    assert "de-DE" not in atlas_locales()
    assert LOCALES["es"] == "es-ES"
    assert locale("de-DE").language == "German"
