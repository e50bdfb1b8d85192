"""Questions with a slot for a country: implicit, explicit, and about another country."""

import pytest

from steerlens.data import Item, Items, atlas
from steerlens.data.naming import filled
from steerlens.errors import DataError, PairsError, UnknownNameError


def _item(**changed: object) -> Item:
    given = {
        "concept": "breakfast",
        "kind": "cultural",
        "locale": "es-ES",
        "question": "¿Qué se desayuna?",
        "choices": ("Pancakes", "Tostada", "Koulouri"),
        "answer": 1,
        "explicit": "¿Qué se desayuna en España?",
        "owners": (("en-US",), ("es-ES",), ("el-GR",)),
        "template": "¿Qué se desayuna {in}?",
    }
    return Item(**(given | changed))


@pytest.mark.parametrize(
    ("template", "code", "implicit", "explicit"),
    [
        ("¿Qué se desayuna {in}?", "es-ES", "¿Qué se desayuna?", "¿Qué se desayuna en Grecia?"),
        ("{front} ¿qué se desayuna?", "es-ES", "¿Qué se desayuna?", "En Grecia, ¿qué se desayuna?"),
        ("¿Qué río {of_here} es largo?", "es-ES", "¿Qué río de este país es largo?", "¿Qué río de Grecia es largo?"),
        ("What do people {in} eat at night?", "en-US", "What do people eat at night?", "What do people in Greece eat at night?"),
        ("{front}早餐吃什么？", "zh-CN", "早餐吃什么？", "在希腊，早餐吃什么？"),
        ("人们{in}早餐吃什么？", "zh-CN", "人们早餐吃什么？", "人们在希腊早餐吃什么？"),
        ("{in} 아침에 무엇을 먹습니까?", "ko-KR", "아침에 무엇을 먹습니까?", "그리스에서 아침에 무엇을 먹습니까?"),
        ("{front_here} τι τρώνε;", "el-GR", "Σε αυτή τη χώρα, τι τρώνε;", "Στην Ελλάδα, τι τρώνε;"),
    ],
)  # fmt: skip
def test_a_slot_is_left_out_or_filled(template: str, code: str, implicit: str, explicit: str) -> None:
    assert filled(template, code) == implicit
    assert filled(template, code, "el-GR") == explicit


def test_a_template_has_one_slot_and_a_known_country() -> None:
    with pytest.raises(DataError, match="0 slots"):
        filled("¿Qué se desayuna?", "es-ES")
    with pytest.raises(DataError, match="2 slots"):
        filled("{front} ¿qué se desayuna {in}?", "es-ES")
    with pytest.raises(UnknownNameError, match="el-GR"):
        filled("¿Qué se desayuna {in}?", "es-ES", "el-GT")


def test_about_another_country_its_answer_is_right() -> None:
    about = _item().about("el-GR")
    assert about.question == "¿Qué se desayuna en Grecia?"
    assert about.choices[about.answer] == "Koulouri"
    assert about.locale == "es-ES"
    with pytest.raises(DataError, match="no answer of ko-KR"):
        _item().about("ko-KR")
    with pytest.raises(DataError, match="no template"):
        _item(template="").about("el-GR")


def test_items_about_another_country_leave_out_what_cannot_name_it() -> None:
    shared = _item(concept="lunch", choices=("Sandwich", "Paella"), owners=(("en-US",), ("es-ES", "el-GR")))
    plain = _item(concept="dinner", template="")
    assert Items((_item(), shared, plain)).about("el-GR").concepts == ("breakfast",)
    with pytest.raises(DataError, match="no item"):
        Items((plain,)).about("el-GR")


def test_pairs_against_another_country_differ_in_its_name_alone() -> None:
    items = atlas(["es-ES"])
    pairs = items.other_country_pairs("es-ES", "ko-KR")
    assert pairs.name == "LOC against ko-KR"
    assert len(pairs) > 200
    for one, other in zip(pairs.positive, pairs.negative, strict=True):
        assert one.concept == other.concept
        assert "España" in one.text
        assert "Corea del Sur" in other.text
        assert one.text.replace("España", "Corea del Sur") == other.text
    with pytest.raises(PairsError):
        Items((_item(template=""),)).other_country_pairs("es-ES", "el-GR")
