"""Loaders of public data sets, on small files in exactly the formats of the hub and of the repositories."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from public_files import global_mmlu_folder, hub_folder, mmlu_row

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import DataError, FileError, SettingsError, SteerlensError, UnknownNameError


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The datasets library keeps a copy of what it reads: not in the user's cache."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    yield
    datasets.config.HF_DATASETS_CACHE = before


@pytest.mark.parametrize("readme", [True, False])
def test_global_mmlu(tmp_path: Path, readme: bool) -> None:
    items = sl.data.global_mmlu(["es-ES", "ko"], path=global_mmlu_folder(tmp_path / "hub", readme=readme))
    assert items.locales == ("en-US", "es-ES", "ko-KR")
    assert len(items) == 18
    assert {items.of(locale=code).concepts for code in items.locales} == {tuple(f"anatomy/test/{n}" for n in range(6))}
    first = items.of(locale="es-ES")[1]
    assert (first.question, first.choices[first.answer], first.topic, first.kind) == ("es 1?", "es b1", "anatomy", "factual")
    assert items[0].tags == ("CS", "culture:Western Culture", "country:United States of America")
    assert len(items.english_pairs("ko-KR")) == 6
    few = sl.data.public("global-mmlu-lite", ["es"], path=tmp_path / "hub", sensitivity="CS", split="test")
    assert [item.concept for item in few.of(locale="es-ES")] == ["anatomy/test/0", "anatomy/test/3"]
    assert len(sl.data.global_mmlu(["es"], split="dev", path=tmp_path / "hub")) == 4


def test_a_source_that_is_not_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"es/test:2: field 'answer': 'E' given; expected one of A, B, C, D"):
        sl.data.global_mmlu(["es"], path=global_mmlu_folder(tmp_path / "answer", answer="E"))
    with pytest.raises(DataError, match="given twice for en-US"):
        sl.data.global_mmlu(["es"], path=global_mmlu_folder(tmp_path / "twice", sample_id="anatomy/test/0"))
    other = hub_folder(tmp_path / "other", {"en": {"test": [{"q": "a"}]}})
    with pytest.raises(DataError, match=r"no column 'question', .*the columns are 'q'"):
        sl.data.global_mmlu(["en"], path=other)
    with pytest.raises(FileError, match="'ko'"):
        sl.data.global_mmlu(["ko"], path=hub_folder(tmp_path / "less", {"en": {"test": [mmlu_row("en", 0)]}}))
    with pytest.raises(FileError, match="does not exist"):
        sl.data.global_mmlu(["es"], path=tmp_path / "nowhere")
    with pytest.raises(UnknownNameError, match="Did you mean es-ES"):
        sl.data.global_mmlu(["es-Es"], path=other)
    with pytest.raises(UnknownNameError, match="sensitivity"):
        sl.data.global_mmlu(["es"], sensitivity="cs", path=other)
    with pytest.raises(UnknownNameError, match="Did you mean global-mmlu"):
        sl.data.public("global-mmul", ["es"])
    with pytest.raises(SettingsError, match="seeed"):
        sl.data.public("bmlama", ["es"], seeed=3)


def test_repeated_choices_are_dropped_and_counted(tmp_path: Path) -> None:
    items = sl.data.global_mmlu(["es"], path=global_mmlu_folder(tmp_path / "hub", option_a="same", option_b="Same"))
    assert items.notes == {"en-US: choices repeat": 1, "es-ES: choices repeat": 1}
    assert len(items) == 10
    assert items.notes == items.of(locale="es-ES").notes
    assert items.digest() == Items(items.items).digest()


def test_without_network_the_error_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise OSError("no network")

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("socket.create_connection", unreachable)
    columns = {"question": "q", "choices": "c", "answer": "a"}
    with pytest.raises(SteerlensError, match=r"Without a network.*path='FOLDER'"):
        sl.data.from_hub("steerlens-tests/not-a-data-set", columns, locale="de-DE")
    with pytest.raises(SteerlensError, match=r"Without a network.*path='FOLDER'"):
        sl.data.blend(["es-ES"], revision="0" * 40)
    for name in ("bmlama", "mkqa"):
        with pytest.raises(SettingsError, match=r"git clone .* give its local path as path="):
            sl.data.public(name, ["es-ES"])


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet"])
def test_any_data_set_by_its_columns(tmp_path: Path, suffix: str) -> None:
    rows = [{"frage": "Was?", "a": "None", "b": "NA", "richtig": 1, "fach": "Physik"}]
    rows += [{"frage": "Wie viel?", "a": "3", "b": "4", "richtig": 0, "fach": "Physik"}]
    file = tmp_path / f"test.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif suffix == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    else:
        file.write_text("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]), encoding="utf-8")
    columns = {"question": "frage", "choices": ["a", "b"], "answer": "richtig", "topic": "fach"}
    for path in (file, tmp_path):
        items = sl.data.from_hub("own/scorer", columns, locale="de-DE", path=path)
        assert [(item.choices, item.answer, item.topic) for item in items] == [
            (("None", "NA"), 1, "Physik"),
            (("3", "4"), 0, "Physik"),
        ]
    assert items[0].prompt().text == "Frage: Was?\nAntwort:"


def test_columns_that_do_not_fit(tmp_path: Path) -> None:
    rows = [{"q": "Q?", "c": ["A", "B"], "l": ["x", "y"], "a": "B"}, {"q": "R?", "c": ["B", "A"], "l": ["x", "y"], "a": "A"}]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    def load(choices: str, **settings: Any) -> Items:
        columns = {"question": "q", "choices": choices, "answer": "a"}
        return sl.data.from_hub("own/scorer", columns, locale="en-US", path=tmp_path, **settings)

    assert [item.answer for item in load("l")] == [1, 0]
    with pytest.raises(DataError, match="test:2: field 'a': 'A' given; expected a letter or a choice"):
        load("c")
    assert [item.answer for item in load("c", answers="text")] == [1, 1]
    assert [item.answer for item in load("c", answers="letter")] == [1, 0]
    with pytest.raises(UnknownNameError, match="Did you mean question"):
        sl.data.from_hub("own/scorer", {"qestion": "q"}, locale="en-US", path=tmp_path)
    with pytest.raises(SettingsError, match="also expected columns for choices, answer"):
        sl.data.from_hub("own/scorer", {"question": "q"}, locale="en-US", path=tmp_path)


def test_the_other_exams(tmp_path: Path) -> None:
    prox = {"question": "Q?", **{f"option_{n}": f"o{n}" if n < 9 else None for n in range(10)}, "answer": "I", "category": "law"}
    items = sl.data.mmlu_prox(["de"], path=hub_folder(tmp_path / "prox", {code: {"test": [prox]} for code in ("en", "de")}))
    assert [(item.locale, len(item.choices), item.answer, item.topic) for item in items] == [
        ("en-US", 9, 8, "law"),
        ("de-DE", 9, 8, "law"),
    ]
    openai = {"Question": "Q?", "A": "a", "B": "b", "C": "c", "D": "d", "Answer": "D", "Subject": "law"}
    items = sl.data.mmmlu(
        ["ar-EG", "KO_KR"], path=hub_folder(tmp_path / "o", {c: {"test": [openai]} for c in ("AR_XY", "KO_KR")})
    )
    assert [(item.locale, item.answer) for item in items] == [("ar-EG", 3), ("ko-KR", 3)]
    regional = {"language": "Greek", "country": "Greece", "domain": "Culture", "subject": "History", "answer": 2}
    regional |= {"question": "Q?", "regional_feature": "region explicit", **{f"option_{x}": x for x in "abcd"}}
    items = sl.data.include(["el-GR"], path=hub_folder(tmp_path / "include", {"Greek": {"test": [regional]}}))
    assert (items[0].concept, items[0].answer, items[0].topic) == ("el-GR/0", 2, "History")
    assert "country:Greece" in items[0].tags


def test_cultural_bench(tmp_path: Path) -> None:
    easy = {"question_idx": 7, "prompt_question": "In Peru, what?", "answer": "C", "country": "Peru"}
    easy |= {f"prompt_option_{letter}": f"option {letter}" for letter in "abcd"}
    hard = [
        {"question_idx": 7, "prompt_question": "In Peru, what?", "prompt_option": x, "answer": x == "c", "country": "Peru"}
        for x in "abcd"
    ]
    root = hub_folder(tmp_path / "cb", {"CulturalBench-Easy": {"test": [easy]}, "CulturalBench-Hard": {"test": hard}})
    (item,) = sl.data.cultural_bench(path=root)
    assert (item.concept, item.answer, item.topic, item.kind) == ("7", 2, "Peru", "factual")
    items = sl.data.cultural_bench(path=root, level="hard")
    assert [item.choices[item.answer] for item in items] == ["False", "False", "True", "False"]
    assert {item.tags for item in items} == {("country:Peru", "question:7")}


BMLAMA = {
    "en": [("<mask> is in Peru.", "Lima", "Rome, Lima, Oslo, Bonn, Paris", "Peru"), ("One <mask>.", "a", "a", "")],
    "es": [("<mask> está en Perú.", "Lima (es)", "Roma, Lima (es), Oslo, Bonn, París", "Perú"), ("Uno <mask>.", "a", "a", "")],
}


def _bmlama(root: Path, facts: dict[str, list[tuple[str, ...]]], end: str = "\r\n") -> Path:
    root.mkdir()
    for language, rows in facts.items():
        lines = ["\t".join(cells) for cells in [("Prompt", "Ans", "Candidate Ans", "Subject"), *rows]]
        (root / f"{language}.tsv").write_text(end.join(lines) + end, encoding="utf-8", newline="")
    return root


def test_bmlama_draws_the_same_places_in_every_language(tmp_path: Path) -> None:
    items = sl.data.bmlama(["es-ES"], path=_bmlama(tmp_path / "b", BMLAMA))
    english, spanish = items
    assert (english.question, spanish.question) == ("___ is in Peru.", "___ está en Perú.")
    assert (english.choices[english.answer], spanish.choices[spanish.answer]) == ("Lima", "Lima (es)")
    translated = dict(zip(BMLAMA["en"][0][2].split(", "), BMLAMA["es"][0][2].split(", "), strict=True))
    assert [translated[choice] for choice in english.choices] == list(spanish.choices)
    assert len(english.choices) == 4
    assert items.notes == {"en-US: fewer than two choices": 1, "es-ES: fewer than two choices": 1}
    assert english.prompt().text == "Question: ___ is in Peru.\nAnswer:"
    others = {sl.data.bmlama([], path=tmp_path / "b", seed=seed)[0].choices for seed in range(8)}
    assert len(others) > 1


def test_bmlama_that_is_not_of_the_format(tmp_path: Path) -> None:
    bad = [("No blank.", "a", "a, b", ""), ("A <mask>.", "c", "a, b", ""), ("A <mask>.", "a")]
    with pytest.raises(DataError) as caught:
        sl.data.bmlama([], path=_bmlama(tmp_path / "bad", {"en": bad}))
    for expected in (
        "en.tsv:2: field 'Prompt'",
        "en.tsv:3: field 'Ans': 'c' given; expected one of a, b",
        "en.tsv:4: field 'line'",
    ):
        assert expected in str(caught.value)
    with pytest.raises(FileError, match=r"no es\.tsv"):
        sl.data.bmlama(["es"], path=tmp_path / "bad")
    latin = _bmlama(tmp_path / "latin", {"en": []})
    (latin / "en.tsv").write_bytes("Prompt\tAns\tCandidate Ans\tSubject\nCafé <mask>".encode("latin-1"))
    with pytest.raises(FileError, match=r"line 2, byte 4 \(0xe9\) is not UTF-8.*iconv"):
        sl.data.bmlama([], path=latin)


def test_mkqa(tmp_path: Path) -> None:
    def answer(text: str | None, kind: str = "entity") -> dict[str, Any]:
        return {"type": kind, "entity": "Q1", "text": text, "aliases": [f"the {text}"] if text else []}

    rows = [
        {
            "query": f"q{n}",
            "example_id": n,
            "queries": {"en": f"q{n}", "es": f"p{n}"},
            "answers": {"en": [answer(f"e{n}")], "es": [answer(f"s{n}")]},
        }
        for n in range(6)
    ]
    rows += [{**rows[0], "example_id": 6, "answers": {code: [answer(None, "unanswerable")] for code in ("en", "es")}}]
    rows += [{**rows[0], "example_id": 7, "answers": {"en": [answer("the e0")], "es": [answer("x")]}}]
    rows[-1]["queries"] = {"en": "q7", "es": "p7"}
    with gzip.open(tmp_path / "mkqa.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    items = sl.data.mkqa(["es"], path=tmp_path)
    assert items.notes == {"answer is unanswerable": 1}
    for concept in items.concepts:
        english, spanish = items.only([concept])
        assert len(english.choices) == 4
        if "the e0" not in english.choices:
            assert [f"s{choice[1:]}" for choice in english.choices] == list(spanish.choices)
        assert not {"e0", "the e0"} <= set(english.choices), "an alias of the answer is no distractor"
    (tmp_path / "mkqa.jsonl.gz").write_bytes((tmp_path / "mkqa.jsonl.gz").read_bytes()[:-40])
    with pytest.raises(FileError, match="cannot read"):
        sl.data.mkqa(["es"], path=tmp_path)
