"""What training on parallel texts would give away of what items ask, and texts made of items."""

from dataclasses import replace

import pytest

from steerlens.data import ENGLISH, Item, Items, ParallelCorpus, ParallelText, parallel
from steerlens.data.parallel import facts
from steerlens.errors import DataError, SettingsError

_CAPITALS = {
    "Japan": ("Tokyo", "일본", "도쿄", "日本", "东京"),
    "Thailand": ("Bangkok", "태국", "방콕", "泰国", "曼谷"),
    "Kenya": ("Nairobi", "케냐", "나이로비", "肯尼亚", "内罗毕"),
    "South Africa": ("Pretoria", "남아공", "프리토리아", "南非", "比勒陀利亚"),
}


def _row(key: str, /, **texts: str) -> ParallelText:
    """A plain row; ``en``, ``es``, ``ko`` and ``zh`` stand for their locales."""
    codes = {"en": ENGLISH, "es": "es-ES", "ko": "ko-KR", "zh": "zh-CN"}
    return ParallelText(key, {codes[name]: text for name, text in texts.items()})


def _corpus(*rows: ParallelText) -> ParallelCorpus:
    return ParallelCorpus(rows, "test")


def _item(concept: str, code: str, question: str, answer: str, **fields: object) -> Item:
    return Item(concept, "factual", code, question, (answer, "Nothing"), 0, **fields)  # type: ignore[arg-type]


def _capitals(*countries: str) -> list[Item]:
    items = []
    for country in countries:
        city, korean, seoul, chinese, beijing = _CAPITALS[country]
        asked = {
            ENGLISH: (f"What is the capital of {country}?", city),
            "ko-KR": (f"{korean}의 수도는 어디입니까?", seoul),
            "zh-CN": (f"{chinese}的首都是哪里？", beijing),
        }
        items += [_item(f"capital-{country}", code, *both, relation="capital") for code, both in asked.items()]
    return items


@pytest.fixture
def tested() -> Items:
    """Items that are tested on: capitals, which share a frame, and questions without a relation."""
    cultural = Item("breakfast", "cultural", ENGLISH, "What do people eat for breakfast?", ("Pancakes", "Rice"), 0)
    return Items(
        (
            *_capitals("Japan", "Thailand", "South Africa"),
            _item("thames", ENGLISH, "Which river flows through the middle of the city of London?", "Thames"),
            _item("jura", ENGLISH, "Which period was in the middle of the age of dinosaurs?", "Jurassic"),
            cultural,
        ),
        "tested",
    )


def _found(tested: Items, **texts: str) -> list[tuple[str, str]]:
    return [(leak.concept, leak.why) for leak in _corpus(_row("r", **texts)).leaks(tested)]


def test_a_concept_that_is_tested_is_found(tested: Items) -> None:
    row = ParallelText("r", {ENGLISH: "Nothing of it."}, concept="capital-Japan")
    assert [(leak.concept, leak.why) for leak in _corpus(row).leaks(tested)] == [("capital-Japan", "concept")]
    worded = Items([replace(item, concept=f"{item.concept}#2") for item in tested], "worded")
    assert [leak.concept for leak in _corpus(row).leaks(worded)] == ["capital-Japan"]


@pytest.mark.parametrize(
    ("code", "text", "concept"),
    [
        ("en", "Tokyo has been Japan's capital since 1868.", "capital-Japan"),
        ("en", "PRETORIA is where the government of South Africa sits", "capital-South Africa"),
        ("ko", "도쿄는 일본에서 가장 큰 도시이다.", "capital-Japan"),
        ("zh", "曼谷位于泰国中部。", "capital-Thailand"),
        ("en", "Question: What is the capital of Thailand?\nAnswer: Bangkok", "capital-Thailand"),
        ("en", "The river Thames flows through London, the city that it made, in the middle.", "thames"),
    ],
)
def test_a_planted_leak_is_found(tested: Items, code: str, text: str, concept: str) -> None:
    assert _found(tested, **{code: text})[0] == (concept, "name")


def test_a_part_of_a_question_without_a_relation_is_found_with_its_answer(tested: Items) -> None:
    asked = "They asked which river flows through the middle of the old town."
    assert _found(tested, en=f"{asked} The Thames.") == [("thames", "n-gram")]
    assert _found(tested, en=asked) == []  # no answer
    whole = "What do people eat for breakfast? Pancakes, mostly."
    assert _found(tested, en=whole) == [("breakfast", "n-gram")]  # shorter than eight words
    assert _found(tested, en="People eat pancakes for breakfast.") == []  # a cultural question has no name


def test_a_frame_is_no_leak(tested: Items) -> None:
    assert _found(tested, en="Question: What is the capital of Kenya?\nAnswer: Nairobi") == []
    assert _found(tested, en="Question: What is the capital of Kenya?\nAnswer: Tokyo") == []  # an answer alone
    assert _found(tested, en="Question: What is the capital of Japan?\nAnswer:") == []  # a question alone
    assert _found(tested, ko="케냐의 수도는 어디입니까? 나이로비", zh="肯尼亚的首都是哪里？内罗毕") == []
    train = facts(Items(_capitals("Kenya"), "train"))
    assert train.leaks(tested) == []
    assert {leak.concept for leak in facts(tested).leaks(tested)} == set(tested.of(kind="factual").concepts)


def test_a_name_is_not_its_own_answer() -> None:
    tested = Items(
        [_item(f"continent-{name}", ENGLISH, f"Which continent is {name} in?", place, relation="continent")
         for name, place in (("South Africa", "Africa"), ("Japan", "Asia"), ("Kenya", "Africa"))]
    )  # fmt: skip
    assert _found(tested, en="The capital of South Africa is Pretoria.") == []
    assert _found(tested, en="South Africa is a country in Africa.") == [("continent-South Africa", "name")]


def test_words_are_compared_whole_and_signs_count() -> None:
    tested = Items(
        [_item(f"domain-{name}", "es-ES", f"¿Cuál es el dominio de {name}?", domain, relation="domain")
         for name, domain in (("Alemania", ".de"), ("Japón", ".jp"))]
    )  # fmt: skip
    assert _found(tested, es="La capital de Alemania es Berlín.") == []
    assert _found(tested, es="En Alemania las direcciones terminan en .de") == [("domain-Alemania", "name")]
    assert _found(tested, es="En Japon terminan en .JP") == [("domain-Japón", "name")]


def test_another_locale_of_the_language_leaks_too(tested: Items) -> None:
    row = ParallelText("r", {"en-GB": "Tokyo is Japan's capital."})
    assert [(leak.concept, leak.locale) for leak in _corpus(row).leaks(tested)] == [("capital-Japan", "en-GB")]
    spanish = ParallelText("r", {"es-ES": "Tokyo Japan"})
    assert _corpus(spanish).leaks(tested) == []  # the items have no Spanish


def test_leaks_are_left_out_or_refused(tested: Items, caplog: pytest.LogCaptureFixture) -> None:
    corpus = _corpus(*(_row(str(n), en=f"Sentence {n}.", es=f"Frase {n}.") for n in range(1, 5)))
    leaky = corpus + _corpus(_row("5", en="Tokyo is Japan's capital."), replace(_row("6", en="x"), concept="thames"))
    with caplog.at_level("INFO", "steerlens"):
        clean = leaky.without_leaks(tested)
    assert "2 of 6 rows" in caplog.text
    assert clean.digest() == corpus.digest()
    assert clean.notes == {"rows that leak by name, left out": 1, "rows that leak by concept, left out": 1}
    clean.check(tested)
    with pytest.raises(DataError, match=r"2 of 6 rows(?s:.)*5 \(en-US\) reveals .* capital-Japan by name: \"Tokyo") as caught:
        leaky.check(tested)
    assert "without_leaks" in str(caught.value)
    with pytest.raises(SettingsError, match="at least 2"):
        corpus.leaks(tested, n=1)


def test_facts_are_asked_as_items_are(tested: Items) -> None:
    statement = _item("capital-Japan#cloze", ENGLISH, "The capital of Japan is", "Tokyo", relation="capital", cloze=True)
    corpus = facts(Items((*tested, statement), "mine"), license="CC0")
    row = next(row for row in corpus if row.concept == "capital-Japan")
    item = tested[0]
    assert (row.key, row.source, row.license) == ("mine/capital-Japan", "mine", "CC0")
    assert row.texts[ENGLISH] == item.prompt().text
    assert row.answers == {ENGLISH: "Tokyo", "ko-KR": "도쿄", "zh-CN": "东京"}
    said = next(row for row in corpus if row.key == "mine/capital-Japan#cloze")
    assert (said.texts, said.answers, said.concept) == ({ENGLISH: "The capital of Japan is Tokyo"}, {}, "capital-Japan")
    assert corpus.notes == {"cultural items, left out": 1}
    with pytest.raises(DataError, match="cultural items, left out"):
        facts(tested.of(kind="cultural"))


def test_the_atlas_teaches_on_train_what_test_does_not_ask() -> None:
    import steerlens as sl

    split = sl.data.atlas(["es-ES", "zh-CN"]).split(seed=0)
    train = parallel.facts(split.train)
    assert (train[0].source, train[0].license[:3]) == ("atlas", "MIT")
    leaking = {leak.key for leak in train.leaks(split.test)}
    assert len(leaking) < 0.01 * len(train)  # related facts, as the country of Bayern Munich and that of Munich
    told = _corpus(*(replace(row, concept="") for row in parallel.facts(split.test)))
    found = {leak.key for leak in told.leaks(split.test)}
    assert len(found) > 0.98 * len(told)  # all that they do ask
