"""What must hold for every item of the built-in atlas."""

import re

import pytest

from steerlens.data import Items, atlas, atlas_locales, locale
from steerlens.data.rows import same_text

SCRIPTS = {"zh-CN": r"[一-鿿]", "ko-KR": r"[가-힣]", "ar-EG": r"[؀-ۿ]", "el-GR": r"[Ͱ-Ͽ]"}


@pytest.fixture(scope="module")
def whole() -> Items:
    return atlas()


def test_is_large_enough_and_complete(whole: Items) -> None:
    assert atlas_locales() == ("en-US", "ar-EG", "el-GR", "es-ES", "id-ID", "ko-KR", "zh-CN")
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
        assert set(item.answers) == set(atlas_locales())
        assert item.locale in item.owners[item.answer]


def test_the_right_answer_is_parallel_over_locales(whole: Items) -> None:
    for concept in whole.of(kind="factual").concepts:
        assert len({item.answer for item in whole.only([concept])}) == 1, concept


def test_answer_positions_are_balanced(whole: Items) -> None:
    at = [item.answer for item in whole.of(kind="factual", locale="en-US")]
    assert max(at.count(k) for k in range(4)) - min(at.count(k) for k in range(4)) <= 2


def test_no_implicit_prompt_names_a_country_and_every_explicit_one_does(whole: Items) -> None:
    for item in whole.of(kind="cultural"):
        where = (item.concept, item.locale, item.question, item.explicit)
        assert not re.search(f"{locale(item.locale).names}|{locale(item.locale).capitals}", item.question), where
        assert re.search(locale(item.locale).own_country, item.explicit), where
        assert not any(re.search(locale(item.locale).names, choice) for choice in item.choices), (where, item.choices)


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
