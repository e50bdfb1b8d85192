"""What must hold for every item of the built-in atlas, and that the check which says so can fail."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from steerlens.data import Item, Items, atlas, atlas_locales, check, locale
from steerlens.errors import UnknownNameError
from steerlens.probing import form_separability, matched

LOCALES = atlas_locales()


@pytest.fixture(scope="module")
def whole() -> Items:
    return atlas("all", shared=True)


@pytest.fixture(scope="module")
def used() -> Items:
    return atlas()


def test_nothing_is_wrong_with_any_item(whole: Items, used: Items) -> None:
    assert check(whole) == []
    assert check(used) == []


def test_is_large_enough_and_complete(whole: Items) -> None:
    assert LOCALES[0] == "en-US"
    assert len(LOCALES) >= 7
    assert len(whole.of(kind="factual").concepts) >= 500
    assert len(whole.of(kind="cultural").concepts) >= 200
    assert len(whole) == len(whole.concepts) * len(LOCALES)
    for code in LOCALES:
        assert whole.of(locale=code).concepts == whole.of(locale="en-US").concepts


def test_every_item_says_where_it_comes_from(whole: Items) -> None:
    for item in whole:
        assert item.topic, item
        assert item.source == "written" or any(digit in item.source for digit in "0123456789"), item


def test_answers_are_parallel_over_locales(whole: Items) -> None:
    for concept, items in _by_concept(whole).items():
        assert len({(item.answer if item.kind == "factual" else 0, len(item.choices)) for item in items}) == 1, concept
        if items[0].kind == "cultural":
            assert len({frozenset(item.owners) for item in items}) == 1, concept
            assert all(set(item.answers) == set(LOCALES) for item in items), concept


def test_a_shared_answer_is_left_out_where_it_is_shared(whole: Items, used: Items) -> None:
    pair = [item for item in whole.only(["custom-currency"]) if item.locale in ("es-ES", "el-GR")]
    assert {item.shared_with for item in pair} == {("es-ES",), ("el-GR",)}
    assert set(used.only(["custom-currency"]).locales) == set(LOCALES) - {"es-ES", "el-GR"}
    assert used.notes == {"shared answers, left out": len(whole) - len(used)}


def test_answer_positions_are_balanced(whole: Items) -> None:
    at = Counter(item.answer for item in whole.of(kind="factual", locale="en-US"))
    assert max(at.values()) - min(at.values()) <= 4


def test_prompts_end_clean(whole: Items) -> None:
    for prompt in whole.prompts():
        assert prompt.text == prompt.text.strip()
        assert prompt.text.endswith(locale(prompt.locale).answer)


def test_filters() -> None:
    food = atlas(["ko-KR"], topics=["food"])
    assert food.locales == ("en-US", "ko-KR")
    assert {item.topic for item in food} == {"food"}
    assert {item.source for item in atlas(["ko-KR"], sources="written")} == {"written"}
    with pytest.raises(UnknownNameError, match="Did you mean food"):
        atlas(topics=["foods"])
    assert atlas("ko-KR").locales == ("en-US", "ko-KR")
    assert {item.source.split(":")[0] for item in atlas(sources=["CLDR 47"])} == {"CLDR 47 (babel 2.18.0)"}
    with pytest.raises(UnknownNameError, match="unknown source"):
        atlas(sources=["Wikidata"])


def test_as_a_frame(used: Items) -> None:
    frame = used.to_frame()
    assert list(frame.columns) == ["concept", "locale", "kind", "topic", "source", "prompt", "choices", "answer"]
    assert len(frame) == len(used)
    assert all(answer in choices for answer, choices in zip(frame["answer"], frame["choices"], strict=True))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choices": ("Mal", "mal", "Bien")}, "choices repeat"),
        ({"choices": ("Uno", "Dos"), "owners": (("en-US",), ("es-ES",))}, "2 choices differ"),
        ({"question": "¿Se desayuna tostada?"}, "holds its answer"),
        ({"question": "아침에 무엇을 먹습니까?"}, "not in script Latn"),
        ({"question": "¿Qué se desayuna en España?"}, "names 'España'"),
        ({"question": "¿Qué desayuna un griego?"}, "names 'grieg'"),
        ({"question": "¿Qué se desayuna en Madrid?"}, "names 'Madrid'"),
        ({"explicit": "¿Qué se desayuna aquí?"}, "does not name its country"),
        ({"choices": ("Tortitas", "Tostada", "Sopa china")}, "names 'china'"),
    ],
)
def test_the_check_finds(change: dict, said: str) -> None:
    good = Item(
        "breakfast",
        "cultural",
        "es-ES",
        "¿Qué se desayuna?",
        ("Tortitas", "Tostada", "Arroz"),
        1,
        explicit="¿Qué se desayuna en España?",
        owners=(("en-US",), ("es-ES",), ("ko-KR",)),
    )
    assert check(Items((good,))) == []
    assert any(said in str(problem) for problem in check(Items((replace(good, **change),))))


def test_the_check_finds_what_concerns_several_items(used: Items) -> None:
    some = list(used.of(kind="factual", locale="es-ES"))[:30]
    again = replace(some[0], concept="again")
    assert any("repeats" in problem.what for problem in check(Items((*some, again))))
    english = list(used.of(kind="factual", locale="en-US"))[:29]
    missing = check(Items((*some, *english)))
    assert [(p.locale, p.concept) for p in missing] == [("en-US", some[29].concept)]
    assert any("answers stand at" in problem.what for problem in check(Items(tuple(_always_a(list(used)[:200])))))


def test_an_answer_within_a_word_is_none() -> None:
    item = Item("c", "factual", "en-US", "How many are a hundred?", ("Red", "Blue", "Green"), 0)
    assert check(Items((item,))) == []
    assert "holds its answer" in check(Items((replace(item, question="What is red?"),)))[0].what
    korean = Item("c", "factual", "ko-KR", "김치를 먹습니까?", ("김치", "밥", "국"), 0)
    assert "holds its answer" in check(Items((korean,)))[0].what


def test_matching_lowers_what_form_gives_away(used: Items) -> None:
    some = used.where(lambda item: item.locale in ("en-US", "es-ES"))
    pairs = matched(some)
    n = {len(pairs.of(kind=kind).concepts) for kind in ("factual", "cultural")}
    assert len(n) == 1
    assert n.pop() >= 15
    before, after = (form_separability(items).frame["auroc"].mean() for items in (some, pairs))
    assert before > 0.95
    assert after < 0.85


def test_matching_does_not_select_on_noise(used: Items) -> None:
    """Kinds that have nothing to do with form stay at chance: neither above nor, by picking what was misjudged, below."""
    cultural = list(used.of(kind="cultural", locale="es-ES"))
    aurocs = []
    for seed in range(6):
        kinds = np.random.default_rng(seed).permutation(["factual", "cultural"] * (len(cultural) // 2))
        items = Items(tuple(replace(item, kind=str(kind)) for item, kind in zip(cultural, kinds, strict=False)))
        aurocs.append(form_separability(matched(items)).frame["auroc"].item())
    assert abs(np.mean(aurocs) - 0.5) < 0.1


def _by_concept(items: Items) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.concept, []).append(item)
    return found


def _always_a(items: list[Item]) -> list[Item]:
    """Items whose answer the letter format lists first."""
    from steerlens.data import letter_order

    return [replace(item, answer=letter_order(item)[0]) for item in items]
