"""BLEnD: joined over countries, answered in the asking country's words, asked without its country."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from public_files import FILES, blend_folder

import steerlens as sl
from steerlens.data.public.blend_countries import COUNTRIES
from steerlens.data.public.implicit import implicit
from steerlens.errors import DataError, FileError, UnknownNameError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return blend_folder(tmp_path)


def test_answers_are_in_the_asking_countrys_words(folder: Path) -> None:
    items = sl.data.blend(["es-ES", "South_Korea"], path=folder)
    assert items.locales == ("en-US", "es-ES", "ko-KR")
    spanish = next(item for item in items.of(locale="es-ES") if item.concept == "a-2")
    assert spanish.answers == {"en-US": "Pan", "es-ES": "Paella", "ko-KR": "Arroz"}
    assert spanish.choices[spanish.answer] == "Paella"
    assert spanish.tags == ("votes:0,5,1",)
    assert (spanish.question, spanish.explicit) == ("¿Qué come la gente?", "En España, ¿qué come la gente?")
    numbers = next(item for item in items.of(locale="es-ES") if item.concept == "a-3")
    assert numbers.answers == {"en-US": "Pan", "es-ES": "Tortilla", "ko-KR": "12"}
    assert numbers.explicit == "", "a question that names no country has no explicit form"
    assert {item.kind for item in items} == {"cultural"}


def test_shared_answers_are_one_choice_and_few_choices_are_counted(folder: Path) -> None:
    items = sl.data.blend(["es-ES", "ko-KR"], path=folder)
    assert "a-1" not in items.concepts, "two fruits in three countries"
    assert items.notes["es-ES: fewer than 3 choices"] == 1
    assert items.notes["en-US: left out by the scorer's rule"] == 1
    assert items.notes["es-ES: country could not be removed"] == 1
    assert items.notes["ko-KR: choices without a translation"] == 1, "nobody in Korea said paella"
    few = sl.data.blend(["es-ES", "ko-KR"], path=folder, exclusive=True)
    assert len(few) < len(items), "what locals gave too is no choice then"


def test_files_that_are_not_of_the_format(folder: Path) -> None:
    spain = folder / "data" / "annotations" / "Spain_data.json"
    rows = [{"ID": id, **row} for id, row in FILES["Spain"].items()]
    whole = sl.data.blend(["es-ES", "ko-KR"], path=folder).digest()
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        spain.write_text(text, encoding="utf-8")
        assert sl.data.blend(["es-ES", "ko-KR"], path=folder).digest() == whole
    spain.write_text(json.dumps(FILES["Spain"] | {"a-9": {"question": "?"}}), encoding="utf-8")
    with pytest.raises(DataError, match=r"Spain_data\.json: a-9: no annotations, idks"):
        sl.data.blend(["es-ES"], path=folder)
    spain.write_text('{"a-1": ', encoding="utf-8")
    with pytest.raises(DataError, match="is not JSON"):
        sl.data.blend(["es-ES"], path=folder)
    spain.unlink()
    with pytest.raises(FileError, match=r"no Spain_data\.json"):
        sl.data.blend(["es-ES"], path=folder)
    with pytest.raises(UnknownNameError, match="locales of BLEnD"):
        sl.data.blend(["de-DE"], path=folder)


def test_multiple_choice(tmp_path: Path) -> None:
    prompt = "What is eaten in South_Korea? Without any explanation, choose only one.\n\nA. bread\nB. rice\n\nAnswer:"
    row = {"ID": "a-2", "country": "South_Korea", "prompt": prompt, "answer_idx": "B"}
    row |= {"choices": json.dumps({"A": "bread", "B": "rice", "C": "paella", "D": "tea"})}
    row |= {"choice_countries": json.dumps({"A": "US", "B": "South_Korea", "C": "Spain", "D": "dummy"})}
    rows = [{"MCQID": f"a-2_{n}", **row} for n in range(4)] + [{"MCQID": "a-2_9", **row, "country": "Spain"}]
    config = tmp_path / "multiple-choice-questions"
    config.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), config / "test.parquet")
    (item,) = sl.data.blend_choices(["ko-KR"], path=tmp_path)
    assert (item.question, item.choices, item.answer) == ("What is eaten in South Korea?", ("Bread", "Rice", "Paella", "Tea"), 1)
    assert (item.kind, item.locale, item.topic) == ("factual", "en-US", "South_Korea")
    assert len(sl.data.blend_choices(["ko-KR", "es-ES"], path=tmp_path, per_question=3)) == 4


CASES = {
    "en-US": [
        ("What is the US's most popular fast food chain?", "What is the most popular fast food chain?"),
        ("What do people spend their salary on in the US's society?", "What do people spend their salary on in society?"),
        ("In the US, who takes care of kids?", "Who takes care of kids?"),
        ("How long are breaks in the US, excluding lunch?", "How long are breaks, excluding lunch?"),
        ("Which country is the biggest rival for the US?", None),
        ("What is the most popular Chinese food in the US?", None),
    ],
    "es-ES": [
        ("¿Qué suelen comer los españoles de postre?", "¿Qué suelen comer las personas de postre?"),
        ("¿En España, quién se encarga de los niños?", "¿Quién se encarga de los niños?"),
        ("¿Qué cumpleaños se celebra en la sociedad española?", "¿Qué cumpleaños se celebra en la sociedad?"),
        ("¿Cuál es el mayor rival de España?", None),
        ("¿Cuándo es Navidad en España? (Indica MM/DD).", "¿Cuándo es Navidad? (Indica MM/DD)."),
    ],
    "ko-KR": [
        ("대한민국의 유치원생들이 먹는 간식은 무엇인가요?", "유치원생들이 먹는 간식은 무엇인가요?"),
        ("날씨가 추울 때 대한민국에서 마시는 음료는 무엇인가요?", "날씨가 추울 때 마시는 음료는 무엇인가요?"),
        ("대한민국 학교에는 무엇이 있나요?", "학교에는 무엇이 있나요?"),
        ("대한민국이 금메달을 획득한 종목은 무엇인가요?", None),
    ],
    "id-ID": [
        ("Di Indonesia, siapa yang mengurus anak-anak?", "Siapa yang mengurus anak-anak?"),
        ("Apa yang biasanya dimakan orang Indonesia?", "Apa yang biasanya dimakan orang-orang?"),
        ("Wilayah mana di Indonesia yang terkenal?", "Wilayah mana yang terkenal?"),
        ("Apa benda ekspor yang mewakili Indonesia?", None),
    ],
    "zh-CN": [
        ("在中国，孩子们几岁开始上幼儿园？", "孩子们几岁开始上幼儿园？"),
        ("中国人通常吃什么甜点？", "人们通常吃什么甜点？"),
        ("中国在奥运会上获得了多少金牌？", None),
    ],
    "el-GR": [
        ("Ποιο είναι το πιο δημοφιλές φρούτο στην Ελλάδα;", "Ποιο είναι το πιο δημοφιλές φρούτο;"),
        ("Στην Ελλάδα, ποιος μαγειρεύει;", "Ποιος μαγειρεύει;"),
        ("Πόσα μετάλλια έχει κερδίσει η Ελλάδα;", None),
    ],
    "ar-DZ": [("ما هي الفاكهة الأكثر شعبية في الجزائر؟", "ما هي الفاكهة الأكثر شعبية؟"), ("متى فازت الجزائر؟", None)],
    "fa-IR": [("مردم درایران چه میخورند؟", "مردم چه میخورند؟"), ("صادرات ایران چیست؟", None)],
    "az-AZ": [("Azərbaycanda insanlar nə yeyirlər?", "İnsanlar nə yeyirlər?"), ("Azərbaycanın yeməyi nədir?", None)],
}


@pytest.mark.parametrize(("code", "question", "expected"), [(code, *case) for code, cases in CASES.items() for case in cases])
def test_the_country_is_taken_out_or_the_question_left(code: str, question: str, expected: str | None) -> None:
    country = COUNTRIES[code]
    assert implicit(question, country.own, country.rules) == expected


@pytest.mark.parametrize("code", list(CASES))
def test_a_question_that_names_no_country_stays_as_it_is(code: str) -> None:
    country = COUNTRIES[code]
    for question in (case[1] for case in CASES[code] if case[1]):
        assert implicit(question, country.own, country.rules) == question
