"""What must hold for every item of the built-in atlas, and that the check which says so can fail."""

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from experiments import readings
from experiments.atlas_card import BLOCK, COUNTRIES, NAMES, PAGE, card
from steerlens.data import Item, Items, atlas, atlas_locales, check, further_locales, locale
from steerlens.data.locales import atlas_folder
from steerlens.data.splits import concept_of
from steerlens.errors import UnknownNameError
from steerlens.probing import form_separability, matched

LOCALES = atlas_locales()
SEVERAL = {
    *("Mercury", "Venus", "Mars", "Jupiter", "Saturn", "Neptune"),  # planets, gods and a metal
    *(
        "Amazon",
        "Ghana",
        "Wangfujing",
        "Stella",
        "Surabaya",
        "Washington, D.C.",
        "Xinhua",
    ),  # a river, a brand, a street, a film, a battle
    *(
        "Arabic",
        "Pound",
        "Iron",
        "Aluminum",
        "Silver",
        "Xinhua",
        "Helium",
        "Hydrogen",
        "Oxygen",
        "Nitrogen",
        "Medicine",
        "Antarctica",
    ),
    *("Fish", "Frog", "Lungs", "Eyes", "Wood", "Clock", "Kahk", "Kimchi", "Salam tempel", "Eid al-Fitr", "Memorial Day"),
    *("Tuesday", "Wednesday", "Sunday", "May 1", "1945", "1953", "12", "13", "14", "16", "17", "26"),  # counted, dated, aged
}
"""English texts that stand for different things in different questions."""


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
    assert len(whole.of(kind="factual").concepts) >= 1500
    assert len(whole.of(kind="cultural").concepts) >= 300
    assert len(whole) == len(whole.concepts) * len(LOCALES)
    for code in LOCALES:
        assert whole.of(locale=code).concepts == whole.of(locale="en-US").concepts


def test_every_item_says_where_it_comes_from(whole: Items) -> None:
    for item in whole:
        assert item.topic, item
        written = "written, common knowledge" if item.kind == "factual" else "written, unvalidated"
        assert item.source == written or any(digit in item.source for digit in "0123456789"), item


def test_answers_are_parallel_over_locales(whole: Items) -> None:
    for concept, items in _by_concept(whole).items():
        assert len({(item.answer if item.kind == "factual" else 0, len(item.choices)) for item in items}) == 1, concept
        if items[0].kind == "cultural":
            assert len({frozenset(item.owners) for item in items}) == 1, concept
            assert all(set(item.answers) == set(LOCALES) for item in items), concept


def test_no_question_names_a_wrong_choice_of_its_own(whole: Items) -> None:
    for item in whole.of(locale="en-US", kind="factual"):
        question = _words(item.question)
        wrong = [choice for at, choice in enumerate(item.choices) if at != item.answer]
        assert not [choice for choice in wrong if _words(choice) in question], item


def test_an_answer_shared_with_english_is_left_out_and_any_other_stays(whole: Items, used: Items) -> None:
    pair = [item for item in used.only(["custom-currency"]) if item.locale in ("es-ES", "el-GR")]
    assert {item.shared_with for item in pair} == {("es-ES",), ("el-GR",)}
    kept = {(item.concept, item.locale) for item in used}
    left_out = [item for item in whole if (item.concept, item.locale) not in kept]
    assert left_out
    assert all("en-US" in item.shared_with for item in left_out)
    assert used.notes == {"answers shared with English, left out": len(left_out)}


def test_no_kind_of_question_is_too_large_a_part(whole: Items) -> None:
    """No relation over 8%, countries at most 40% of the facts, proper names at most 40% of culture, three difficulties."""
    english = whole.of(locale="en-US")
    facts, culture = english.of(kind="factual"), english.of(kind="cultural")
    relations = Counter(item.relation for item in facts if item.relation)
    assert max(relations.values()) <= 0.08 * len(facts)
    assert len(relations) >= 50
    assert sum(relations[name] for name in COUNTRIES) <= 0.4 * len(facts)
    assert sum(NAMES in item.tags for item in culture) <= 0.4 * len(culture)
    assert {item.difficulty for item in facts} == {1, 2, 3}
    assert sum(item.popularity is not None for item in facts) > 300


def test_every_concept_has_three_wordings_and_a_cloze_form() -> None:
    several = atlas("all", shared=True, wordings=3, cloze=True)
    counts = Counter((concept_of(item.concept), item.locale) for item in several)
    assert set(counts.values()) == {4}
    problems = check(several.where(lambda item: not item.cloze))
    assert [problem for problem in problems if "repeats" not in problem.what or "custom-currency" not in problem.what] == []
    for item in several:
        assert item.cloze == item.concept.endswith("#cloze")
        assert item.kind == "factual" or item.template


def test_every_cultural_question_can_name_every_country(whole: Items) -> None:
    for item in whole.of(kind="cultural"):
        for country in LOCALES:
            about = item.about(country)
            assert country in about.owners[about.answer]
            forms = locale(item.locale).countries[country].values()
            assert any(form.casefold() in about.question.casefold() for form in forms)


def test_a_name_has_one_spelling(whole: Items) -> None:
    """What is called alike in English is called alike in each other language, in all facts and all proper names."""
    for code in LOCALES[1:]:
        spelled = _spellings(whole, code)
        several = {name: texts for name, texts in spelled.items() if len(texts) > 1 and name not in SEVERAL}
        assert not several, (code, several)


def test_greek_cases_differ_from_the_name() -> None:
    """The genitive and the accusative of a country with a masculine or feminine name, which the nominative is not."""
    forms = json.loads(atlas_folder("el-GR").joinpath("grammar.json").read_text(encoding="utf-8"))["forms"]["country"]
    wrong = []
    for code, own in forms.items():
        nominative = own.get("the", "")
        article, _, name = nominative.partition(" ")
        for slot, form in own.items():
            masculine = (
                article.lower() == "ο" and slot in ("acc", "in", "of") and form.endswith(f" {name}") and name.endswith("ς")
            )
            feminine = (
                article.lower() == "η" and name.endswith("ος") and slot in ("acc", "in", "of") and form.endswith(f" {name}")
            )
            if masculine or feminine:
                wrong.append((code, slot, form))
    assert not wrong


def test_votes_are_of_answers_that_people_gave(used: Items) -> None:
    """What five or more people were asked for and nobody gave is not the answer without a mark, and votes can be asked for."""
    asked = [item for item in used if item.evidence]
    assert len({item.concept for item in asked}) >= 40
    for item in asked:
        assert item.evidence is not None
        assert item.evidence.source.startswith("BLEnD ")
        assert 0 <= item.evidence.votes <= item.evidence.annotators
        assert item.evidence.most <= item.evidence.annotators
    some = atlas(min_votes=2)
    assert 0 < len(some.of(kind="cultural")) < len(used.of(kind="cultural"))
    assert all(item.evidence is not None and item.evidence.votes >= 2 for item in some.of(kind="cultural"))
    assert len(some.of(kind="factual")) == len(used.of(kind="factual"))


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
    assert all(item.source.startswith("written") for item in atlas(["ko-KR"], sources="written"))
    with pytest.raises(UnknownNameError, match="Did you mean food"):
        atlas(topics=["foods"])
    assert atlas("ko-KR").locales == ("en-US", "ko-KR")
    assert {item.source.split(":")[0] for item in atlas(sources=["CLDR 47"])} == {"CLDR 47 (babel 2.18.0)"}
    with pytest.raises(UnknownNameError, match="unknown source"):
        atlas(sources=["Wikidata"])


def test_the_card_counts_what_the_atlas_holds() -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = BLOCK.search(page)
    assert found, "docs/data.md has no place for the card"
    assert found.group() == card(), "run python experiments/atlas_card.py --write"
    assert readings.table() in page, "put what python experiments/readings.py prints into docs/data.md"


def test_readings_are_of_whole_samples_and_find_little_wrong() -> None:
    read = readings.read()
    assert set(read["locale"]) == {*LOCALES, *further_locales()}
    assert read.groupby(["locale", "reader"])["concept"].nunique().eq(100).all()
    assert (read["verdict"] == "wrong").mean() <= 0.02


def test_as_a_frame(used: Items) -> None:
    frame = used.to_frame()
    assert list(frame.columns) == ["concept", "locale", "kind", "topic", "source", "prompt", "choices", "answer"]
    assert len(frame) == len(used)
    assert all(answer in choices for answer, choices in zip(frame["answer"], frame["choices"], strict=True))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"choices": ("Mal", "mal", "Bien")}, "choices repeat"),
        ({"choices": ("Uno", "Dos"), "owners": (("en-US",), ("es-ES",))}, "only 2 different choices"),
        ({"question": "¿Se desayuna tostada?"}, "contains the right answer"),
        ({"question": "아침에 무엇을 먹습니까?"}, "not written in the script Latn"),
        ({"question": "¿Qué se desayuna en España?"}, "names 'España'"),
        ({"question": "¿Qué desayuna un griego?"}, "names 'grieg'"),
        ({"question": "¿Qué se desayuna en Madrid?"}, "names 'Madrid'"),
        ({"explicit": "¿Qué se desayuna aquí?"}, "does not name the country of its locale"),
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
    assert any("is asked twice" in problem.what for problem in check(Items((*some, again))))
    english = list(used.of(kind="factual", locale="en-US"))[:29]
    missing = check(Items((*some, *english)))
    assert [(p.locale, p.concept) for p in missing] == [("en-US", some[29].concept)]
    assert any("right answers have the letter" in problem.what for problem in check(Items(tuple(_always_a(list(used)[:200])))))


def test_an_answer_within_a_word_is_none() -> None:
    item = Item("c", "factual", "en-US", "How many are a hundred?", ("Red", "Blue", "Green"), 0)
    assert check(Items((item,))) == []
    assert "contains the right answer" in check(Items((replace(item, question="What is red?"),)))[0].what
    korean = Item("c", "factual", "ko-KR", "김치를 먹습니까?", ("김치", "밥", "국"), 0)
    assert "contains the right answer" in check(Items((korean,)))[0].what


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


def _spellings(items: Items, code: str) -> dict[str, set[str]]:
    """Every text of a locale by the English text of the same choice, of facts and of proper names in culture."""
    found: dict[str, set[str]] = {}
    english = {item.concept: item for item in items.of(locale="en-US")}
    named = (item for item in items.of(locale=code) if item.kind == "factual" or NAMES in item.tags)
    for item in named:
        for one, other in zip(english[item.concept].choices, item.choices, strict=True):
            found.setdefault(one, set()).add(other)
    return found


def _always_a(items: list[Item]) -> list[Item]:
    """Items whose answer the letter format lists first."""
    from steerlens.data import letter_order

    return [replace(item, answer=letter_order(item)[0]) for item in items]


def _words(text: str) -> str:
    """A text in lower case, a space around each word."""
    words = " ".join(re.findall(r"[^\W_]+", text.lower()))
    return f" {words} "
