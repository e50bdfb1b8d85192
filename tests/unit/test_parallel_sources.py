"""Loaders of parallel texts, on small files in the formats of the hub and of Debian's package."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import steerlens as sl
from steerlens.data import ENGLISH, ParallelCorpus
from steerlens.errors import DataError, FileError, SettingsError, UnknownNameError


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The datasets library keeps a copy of what it reads: not in the user's cache."""
    import datasets

    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("datasets")
    yield
    datasets.config.HF_DATASETS_CACHE = before


def _texts(corpus: ParallelCorpus) -> dict[str, dict[str, str]]:
    return {row.key: dict(row.texts) for row in corpus}


def _parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), file)


# --- items


def test_culture_is_of_one_locale_each_and_not_of_english(items: sl.data.Items) -> None:
    mixed = sl.data.parallel.facts(items) + sl.data.parallel.culture(items)
    own = [row for row in mixed if len(row.texts) == 1]
    asked = {item.prompt().text: item for item in items.of(kind="cultural") if item.locale != ENGLISH}
    assert {text for row in own for text in row.texts.values()} == set(asked)
    for row in own:
        ((code, text),) = row.texts.items()
        item = asked[text]
        assert (code, row.answers, row.concept) == (item.locale, {code: item.choices[item.answer]}, item.concept)
    with pytest.raises(DataError, match="contains no usable parallel texts"):
        sl.data.parallel.culture(items.of(kind="factual"))


# --- manuals

_PAGE = """<page xmlns="http://projectmallard.org/1.0/" type="topic" id="{id}">
<info><desc>About.</desc>{credit}</info>
<title>{title}</title>
<p>{first}</p>
<steps><item><p>{second}</p></item>{more}</steps>
<screen>ls -l</screen>
</page>"""
_ENGLISH = {"title": "The clock", "first": "Press <gui>Settings</gui>\n  now.", "second": "Close it.", "more": ""}
_SPANISH = {"title": "El reloj", "first": "Pulse <gui>Ajustes</gui> ahora.", "second": "Close it.", "more": ""}


def _page(folder: Path, language: str, id: str, text: str | dict[str, str]) -> None:
    file = folder / "usr/share/help" / language / "gnome-help" / f"{id}.page"
    file.parent.mkdir(parents=True, exist_ok=True)
    credit = "<credit><name>T</name></credit>" if language != "C" else ""
    file.write_text(text if isinstance(text, str) else _PAGE.format(id=id, credit=credit, **text), encoding="utf-8")


def test_manuals_are_aligned_by_their_structure(tmp_path: Path) -> None:
    names = ("clock", "other", "bomb", "broken", "lost", "linked")
    for name in names:
        number = {"title": f"The {name}", "first": f"First of {name}.", "second": f"Second of {name}."}
        _page(tmp_path, "C", name, _ENGLISH | number if name != "clock" else _ENGLISH)
    _page(tmp_path, "es", "clock", _SPANISH)
    _page(tmp_path, "es", "other", _SPANISH | {"more": "<item><p>Una más.</p></item>"})
    _page(tmp_path, "es", "bomb", '<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><page><p>&b;</p></page>')
    _page(tmp_path, "es", "broken", "<page><p>Una</page>")
    _page(tmp_path, "es", "linked", _SPANISH | {"title": "Un enlace", "first": 'Vea <link xref="clock"/>.', "second": "Dos."})
    _page(tmp_path, "ko", "clock", {"title": "시계", "first": "설정을 누릅니다.", "second": "Close that.", "more": ""})
    corpus = sl.data.parallel.manuals(tmp_path, ["es-ES", "ko-KR"])
    assert _texts(corpus) == {
        "gnome-user-docs/gnome-help/clock/1": {ENGLISH: "The clock", "es-ES": "El reloj", "ko-KR": "시계"},
        "gnome-user-docs/gnome-help/clock/2": {
            ENGLISH: "Press Settings now.",
            "es-ES": "Pulse Ajustes ahora.",
            "ko-KR": "설정을 누릅니다.",
        },
        "gnome-user-docs/gnome-help/linked/1": {ENGLISH: "The linked", "es-ES": "Un enlace"},
        "gnome-user-docs/gnome-help/linked/3": {ENGLISH: "Second of linked.", "es-ES": "Dos."},
    }
    assert corpus.notes == {
        "es-ES: texts left out, same as English": 1,
        "es-ES: texts left out, empty text": 1,
        "es-ES: pages left out, another structure": 1,
        "es-ES: pages left out, document type declaration": 1,
        "es-ES: pages left out, not well-formed XML": 1,
        "es-ES: pages left out, missing": 1,
        "ko-KR: texts left out, in another script than its locale's": 1,
        "ko-KR: pages left out, missing": len(names) - 1,
    }
    assert {row.license for row in corpus} == {"CC BY-SA 3.0"}
    inner = sl.data.parallel.manuals(tmp_path / "usr/share/help", "es-ES")
    assert inner.locales == (ENGLISH, "es-ES")


def test_manuals_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="apt-get download gnome-user-docs"):
        sl.data.parallel.manuals(tmp_path, ["es-ES"])
    _page(tmp_path, "C", "clock", _ENGLISH)
    with pytest.raises(UnknownNameError, match="unknown language 'el-GR'"):
        sl.data.parallel.manuals(tmp_path, ["el-GR"])
    _page(tmp_path, "es", "clock", _ENGLISH)
    with pytest.raises(DataError, match="same as English"):
        sl.data.parallel.manuals(tmp_path, ["es-ES"])
    with pytest.raises(FileError, match="no English pages"):
        sl.data.parallel.manuals(tmp_path, ["es-ES"], documents=["other"])
    deep = "<page>" + "<section>" * 200 + "</section>" * 200 + "</page>"
    _page(tmp_path, "es", "clock", deep)
    with pytest.raises(DataError, match="nested too deeply"):
        sl.data.parallel.manuals(tmp_path, ["es-ES"])


# --- names


def test_names_are_listed_as_each_language_lists_them() -> None:
    pytest.importorskip("babel")
    corpus = sl.data.parallel.names(["es-ES", "zh-CN"], size=3)
    territories = [row for row in corpus if row.key.startswith("cldr/territories/")]
    assert len(territories) > 50
    for row in corpus:
        english, spanish, chinese = (row.texts[code] for code in (ENGLISH, "es-ES", "zh-CN"))
        assert english.count(", ") == 2
        assert ", and " in english
        assert " y " in spanish or " e " in spanish
        assert "和" in chinese
    bare = {row.texts[ENGLISH]: row.texts["es-ES"] for row in sl.data.parallel.names("es-ES", size=1)}
    assert bare["Germany"] == "Alemania"
    assert not any("(" in name for name in bare)
    assert corpus.digest() != sl.data.parallel.names(["es-ES", "zh-CN"], size=3, seed=1).digest()
    with pytest.raises(SettingsError, match="at least 1"):
        sl.data.parallel.names(["es-ES"], size=0)


# --- data sets of the hub


def test_flores(tmp_path: Path) -> None:
    for name, texts in {
        "eng_Latn": ["One.", "Two.", "Three."],
        "spa_Latn": ["Uno.", "Dos.", ""],
        "kor_Hang": ["하나.", "둘.", "셋."],
        "arb_Arab": ["واحد.", "اثنان.", "ثلاثة."],
    }.items():
        rows = [{"id": n, "iso_639_3": name[:3], "text": text} for n, text in enumerate(texts)]
        _parquet(tmp_path / "dev" / f"{name}.parquet", rows)
        _parquet(tmp_path / "devtest" / f"{name}.parquet", rows[:1])
    corpus = sl.data.parallel.flores(["es-ES", "kor_Hang", "ar-EG"], path=tmp_path)
    assert corpus[0].texts == {ENGLISH: "One.", "es-ES": "Uno.", "ko-KR": "하나.", "ar-EG": "واحد."}
    assert corpus[2].locales == (ENGLISH, "ko-KR", "ar-EG")
    assert corpus.notes == {"es-ES: no sentence with the id": 1}
    assert (corpus[0].key, corpus[0].source, corpus[0].license) == ("flores-plus/dev/0", "flores-plus", "CC BY-SA 4.0")
    assert len(sl.data.parallel.flores(["es-ES"], split="devtest", path=tmp_path)) == 1
    with pytest.raises(FileError, match="cannot read"):
        sl.data.parallel.flores(["fr-FR"], path=tmp_path)
    with pytest.raises(UnknownNameError, match="locales of FLORES"):
        sl.data.parallel.flores(["xx-XX"], path=tmp_path)
    _parquet(tmp_path / "dev" / "fra_Latn.parquet", [{"id": 0, "sentence": "Un."}])
    with pytest.raises(DataError, match="no column 'text'"):
        sl.data.parallel.flores(["fr-FR"], path=tmp_path)


def test_opus100(tmp_path: Path) -> None:
    pairs = {
        "en-es": [("Hello.", "Hola."), ("OK", "ok"), ("hello.", "Buenas."), ("Bye.", "Adiós."), ("Rain", "")],
        "el-en": [("Hello.", "Γεια."), ("Bye.", "Bye bye"), ("Sun", "Ήλιος")],
    }
    for config, texts in pairs.items():
        other = config.replace("en", "").strip("-")
        rows = [{"translation": {"en": english, other: text}} for english, text in texts]
        _parquet(tmp_path / config / "train-00000-of-00001.parquet", rows)
    corpus = sl.data.parallel.opus100(["es-ES", "el-GR"], path=tmp_path)
    assert _texts(corpus) == {
        "opus-100/en-es/train/1": {ENGLISH: "Hello.", "es-ES": "Hola.", "el-GR": "Γεια."},
        "opus-100/en-es/train/4": {ENGLISH: "Bye.", "es-ES": "Adiós."},
        "opus-100/el-en/train/3": {ENGLISH: "Sun", "el-GR": "Ήλιος"},
    }
    assert corpus.notes == {
        "es-ES: same as English": 1,
        "es-ES: another translation of the same English": 1,
        "es-ES: empty text": 1,
        "el-GR: in another script than its locale's": 1,
    }
    assert len(sl.data.parallel.opus100(["es-ES"], path=tmp_path, limit=1)) == 1
    _parquet(tmp_path / "en-ko" / "train.parquet", [{"translation": {"en": "a", "fr": "b"}}])
    with pytest.raises(DataError, match=r"en-ko/train:1: translation .* 'ko'"):
        sl.data.parallel.opus100(["ko-KR"], path=tmp_path)


def test_tatoeba(tmp_path: Path) -> None:
    files = {
        "dev/tatoeba-dev.eng-spa.tsv": "eng\tspa\tHello.\tHola.\neng\tspa\tBye.\tAdiós.\nbroken\n",
        "dev/tatoeba-dev.eng-zho.tsv": "eng\tcmn_Hans\tHello.\t你好。\neng\tcmn_Hant\tSun.\t太陽。\neng\tyue\tRain.\t雨。\n",
        "dev/tatoeba-dev.ell-eng.tsv": 'ell\teng\tΓεια "σου".\tHello.\n',
        "test/tatoeba-test-v2021-08-07.eng-spa.txt": "eng\tspa\tSun.\tSol.\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    corpus = sl.data.parallel.tatoeba(["es-ES", "zh-CN", "el-GR"], path=tmp_path)
    assert _texts(corpus) == {
        "tatoeba/tatoeba-dev.ell-eng/1": {ENGLISH: "Hello.", "el-GR": 'Γεια "σου".', "es-ES": "Hola.", "zh-CN": "你好。"},
        "tatoeba/tatoeba-dev.eng-spa/2": {ENGLISH: "Bye.", "es-ES": "Adiós."},
    }
    assert corpus.notes == {
        "es-ES: line without two languages and two texts": 1,
        "zh-CN: line in another language or script": 2,
    }
    traditional = sl.data.parallel.tatoeba(["zh-TW"], path=tmp_path)
    assert traditional.pairs("zh-TW") == [("太陽。", "Sun.")]
    assert len(sl.data.parallel.tatoeba(["es-ES"], split="test", path=tmp_path)) == 1
    with pytest.raises(FileError, match=r"tatoeba-dev\.eng-kor\.tsv"):
        sl.data.parallel.tatoeba(["ko-KR"], path=tmp_path)
    with pytest.raises(UnknownNameError, match="split"):
        sl.data.parallel.tatoeba(["es-ES"], split="dev", path=tmp_path)


def test_aya(tmp_path: Path) -> None:
    given = [
        ("Name a fruit.", "Apple", "English", "eng"),
        ("Di una fruta.\n", "Manzana", "Spanish", "spa"),
        ("说一种水果。", "苹果", "Simplified Chinese", "zho"),
        ("說一種水果。", "蘋果", "Traditional Chinese", "zho"),
        ("Di algo.", " ", "Spanish", "spa"),
    ]
    names = ("inputs", "targets", "language", "language_code")
    _parquet(tmp_path / "data" / "train-00000-of-00001.parquet", [dict(zip(names, row, strict=True)) for row in given])
    corpus = sl.data.parallel.aya(["es-ES", "zh-CN"], path=tmp_path)
    assert [(row.key, dict(row.answers)) for row in corpus] == [
        ("aya/train/2", {"es-ES": "Manzana"}),
        ("aya/train/3", {"zh-CN": "苹果"}),
    ]
    assert corpus[0].texts["es-ES"] == "Pregunta: Di una fruta.\nRespuesta:"
    assert corpus[0].full("es-ES").endswith("Respuesta: Manzana")
    assert corpus.notes == {"rows in other languages": 2, "es-ES: no instruction or no answer": 1}
    plain = sl.data.parallel.aya(["eng", "zh-TW"], path=tmp_path / "data" / "train-00000-of-00001.parquet", prompt=False)
    assert [dict(row.texts) for row in plain] == [{ENGLISH: "Name a fruit."}, {"zh-TW": "說一種水果。"}]
    assert len(plain.only([ENGLISH, "zh-TW"], need="any")) == 2


def test_lines_of_a_language_that_a_data_set_lacks() -> None:
    with pytest.raises(UnknownNameError, match="locales of OPUS-100"):
        sl.data.parallel.opus100(["wo-SN"], path=".")
    with pytest.raises(FileError, match="does not exist"):
        sl.data.parallel.aya(["es-ES"], path="nowhere")


def test_a_single_file_of_json_lines_will_do(tmp_path: Path) -> None:
    row = {"inputs": "Di algo.", "targets": "Algo", "language": "Spanish", "language_code": "spa"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert len(sl.data.parallel.aya("es-ES", path=tmp_path / "rows.jsonl")) == 1
