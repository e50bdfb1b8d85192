"""What must hold for every item of the built-in atlas."""

import re

import pytest

from steerlens.data import Items, atlas, atlas_locales, locale
from steerlens.data.rows import same_text

NAMES = {  # a country, its people or its language: what an implicit prompt must not name, and an explicit one must
    "en-US": r"America|United States|\bUSA?\b|Spain|Spanish|Chin(a|ese)|Indonesia|Korea|Egypt|Greece|Greek|\bEnglish",
    "es-ES": r"España|español|Estados Unidos|estadounid|american[oa]|\b[Cc]hin[ao]s?\b"
    r"|[Ii]ndonesi|[Cc]orea|[Ee]gip|[Gg]reci|[Gg]rieg",
    "zh-CN": r"中国|中华|美国|西班牙|印尼|印度尼西亚|韩国|朝鲜|埃及|希腊",
    "id-ID": r"Indonesia|Amerika|Spanyol|Cina|China|Tiongkok|Korea|Mesir|Yunani",
    "ko-KR": r"한국|대한민국|미국|스페인|중국|인도네시아|이집트|그리스",
    "ar-EG": r"مصر|أمريك|الولايات المتحدة|إسبان|الصين|صيني|إندونيس|كوري|اليونان|يوناني",
    "el-GR": r"[Εε]λλάδ|[Εε]λλην|[Έέ]λλην|[Αα]μερικ|ΗΠΑ|[Ιι]σπαν|[Κκ]ίνα|[Κκ]ινέζ|[Ιι]νδονησ|[Κκ]ορέα|[Αα]ίγυπτ|[Αα]ιγύπτ",
}
SCRIPTS = {"zh-CN": r"[一-鿿]", "ko-KR": r"[가-힣]", "ar-EG": r"[؀-ۿ]", "el-GR": r"[Ͱ-Ͽ]"}


@pytest.fixture(scope="module")
def whole() -> Items:
    return atlas()


def test_is_large_enough_and_complete(whole: Items) -> None:
    assert atlas_locales() == ("en-US", "es-ES", "zh-CN", "id-ID", "ko-KR", "ar-EG", "el-GR")
    assert len(whole.of(kind="factual").concepts) >= 80
    assert len(whole.of(kind="cultural").concepts) >= 60
    assert len(whole) == len(whole.concepts) * 7
    for code in atlas_locales():
        assert whole.of(locale=code).concepts == whole.of(locale="en-US").concepts


def test_choices_differ_and_are_many_enough(whole: Items) -> None:
    for item in whole:
        assert len({same_text(choice) for choice in item.choices}) == len(item.choices), (item.concept, item.locale)
        assert len(item.choices) == (4 if item.kind == "factual" else 7), (item.concept, item.locale)


def test_cultural_items_hold_every_locales_answer(whole: Items) -> None:
    for item in whole.of(kind="cultural"):
        assert item.choice_locales == atlas_locales()
        assert item.choice_locales[item.answer] == item.locale


def test_the_right_answer_is_parallel_over_locales(whole: Items) -> None:
    for concept in whole.of(kind="factual").concepts:
        assert len({item.answer for item in whole.only([concept])}) == 1, concept


def test_answer_positions_are_balanced(whole: Items) -> None:
    at = [item.answer for item in whole.of(kind="factual", locale="en-US")]
    assert max(at.count(k) for k in range(4)) - min(at.count(k) for k in range(4)) <= 2


def test_no_implicit_prompt_names_a_country_and_every_explicit_one_does(whole: Items) -> None:
    for item in whole.of(kind="cultural"):
        where = (item.concept, item.locale, item.question, item.explicit)
        assert not re.search(NAMES[item.locale], item.question), where
        assert re.search(NAMES[item.locale], item.explicit), where
        assert not any(re.search(NAMES[item.locale], choice) for choice in item.choices), (where, item.choices)


def test_no_answer_stands_in_its_question(whole: Items) -> None:
    for item in whole:
        assert same_text(item.choices[item.answer]) not in same_text(item.question), (item.concept, item.locale)


def test_prompts_are_in_their_script_end_clean_and_do_not_repeat(whole: Items) -> None:
    texts = [prompt.text for prompt in whole.prompts()]
    assert len(set(texts)) == len(texts)
    for prompt in whole.prompts():
        assert prompt.text == prompt.text.strip()
        assert prompt.text.endswith(locale(prompt.locale).answer)
        assert re.search(SCRIPTS.get(prompt.locale, "[A-Za-z]"), prompt.text), prompt
