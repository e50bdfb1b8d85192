"""What must hold for the factual items that are made from open data."""

import json
from collections import Counter
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from steerlens.data import Item, Items, atlas_locales, further_locales, load_items, locale
from steerlens.data.grounded import packages
from steerlens.data.grounded.__main__ import lines, write
from steerlens.data.grounded.grammar import Thing, grammar, particles
from steerlens.data.grounded.likeness import alike
from steerlens.data.grounded.tables import SOURCE
from steerlens.data.locales import atlas_folder
from steerlens.data.rows import same_text
from steerlens.data.splits import group_of
from steerlens.errors import SteerlensError


@pytest.fixture(scope="module")
def made() -> dict[str, Items]:
    return {code: load_items(str(atlas_folder(code).joinpath("facts.jsonl"))) for code in atlas_locales()}


@pytest.fixture(scope="module")
def english(made: dict[str, Items]) -> list[Item]:
    return list(made["en-US"])


def _needed(english: list[Item]) -> None:
    """Skips where a package is not the one that the committed rows were made with."""
    sources = " ".join({item.source for item in english})
    for package in packages.PACKAGES:
        try:
            have = version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed: pip install 'steerlens[atlas]'")
        if f"{package} {have}" not in sources:
            pytest.skip(f"{package} {have} is installed, the committed rows were made with another version")


def test_the_committed_files_are_what_the_code_makes(english: list[Item], tmp_path: Path) -> None:
    _needed(english)
    files = write("facts", tmp_path)
    own = {code for code in further_locales() if not locale(code).like}
    assert {file.parent.name for file in files} == {*atlas_locales(), *own}
    for file in files:
        committed = atlas_folder(file.parent.name).joinpath("facts.jsonl").read_bytes()
        assert committed == file.read_bytes(), f"{file.parent.name}: run python -m steerlens.data.grounded"


def test_many_concepts_parallel_in_every_locale(made: dict[str, Items], english: list[Item]) -> None:
    assert len(english) >= 500
    for code, items in made.items():
        for one, other in zip(english, items, strict=True):
            assert (one.concept, one.relation, one.topic, one.source) == (
                other.concept,
                other.relation,
                other.topic,
                other.source,
            ), code
            assert (one.answer, len(one.choices)) == (other.answer, len(other.choices)) == (one.answer, 4), (code, one.concept)


def test_choices_stand_in_the_same_order_everywhere(made: dict[str, Items]) -> None:
    """A name that two concepts choose among is rendered alike in both, so orders can be compared through English."""
    for code, items in made.items():
        rendered: dict[tuple[str, str], set[str]] = {}
        for one, other in zip(made["en-US"], items, strict=True):
            for name, text in zip(one.choices, other.choices, strict=True):
                rendered.setdefault((one.relation, name), set()).add(text)
        assert all(len(texts) == 1 for texts in rendered.values()), (code, [k for k, v in rendered.items() if len(v) > 1])


@pytest.mark.parametrize(
    ("group", "relations"),
    [
        ("chemical-symbol-Ag", ["element", "symbol"]),
        ("month-12-1", ["month-after", "month-before"]),
        ("weekday-3-4", ["weekday-after", "weekday-before"]),
        ("neighbour-CZ-PL", ["neighbour", "neighbour"]),
    ],
)
def test_a_fact_read_both_ways_is_never_divided(english: list[Item], group: str, relations: list[str]) -> None:
    assert sorted(item.relation for item in english if group_of(item.concept) == group) == relations


def test_no_relation_is_more_than_a_quarter(english: list[Item]) -> None:
    assert max(Counter(item.relation for item in english).values()) <= len(english) / 4


def test_answers_stand_in_every_place_equally_often(english: list[Item]) -> None:
    for group in ({item.relation for item in english}, *({item.relation} for item in english)):
        places = Counter(item.answer for item in english if item.relation in group)
        assert max(places.values()) - min(places[place] for place in range(4)) <= 1, group


def test_no_answer_stands_in_its_question(made: dict[str, Items]) -> None:
    for items in made.values():
        for item in items:
            assert same_text(item.choices[item.answer]) not in same_text(item.question), (item.concept, item.locale)


def test_every_fact_names_its_source_and_questions_are_short(made: dict[str, Items]) -> None:
    for items in made.values():
        for item in items:
            assert item.source == SOURCE or any(package in item.source for package in packages.PACKAGES), item.concept
            assert len(item.question.split()) <= 30, item.question


def test_templates_are_as_many_in_every_locale() -> None:
    numbers = {code: {name: len(texts) for name, texts in grammar(code).questions.items()} for code in atlas_locales()}
    assert all(numbers[code] == numbers["en-US"] for code in numbers)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("한국은(는)", "한국은"),
        ("캐나다은(는)", "캐나다는"),
        ("일본이(가) 있는", "일본이 있는"),
        ("호주와(과)", "호주와"),
        ("독일와(과)", "독일과"),
        ("철을(를)", "철을"),
        ("구리을(를)", "구리를"),
    ],
)
def test_korean_particles_fit_the_syllable_before(given: str, expected: str) -> None:
    assert particles(given) == expected


@pytest.mark.parametrize(
    ("locale", "concept", "expected"),
    [
        ("en-US", "capital-NL", "the Netherlands"),
        ("es-ES", "capital-GB", "del Reino Unido"),
        ("es-ES", "capital-NL", "de los Países Bajos"),
        ("es-ES", "currency-IN", "en la India"),
        ("es-ES", "weekday-3-4#after", "del miércoles"),
        ("el-GR", "capital-FR", "της Γαλλίας"),
        ("el-GR", "capital-CA", "του Καναδά"),
        ("el-GR", "capital-PH", "των Φιλιππίνων"),
        ("el-GR", "neighbour-AT-CZ#AT", "με την Αυστρία"),
        ("el-GR", "neighbour-FR-IT#FR", "με τη Γαλλία"),
        ("el-GR", "city-munich", "το Μόναχο"),
        ("ar-EG", "atomic-number-Fe", "لعنصر الحديد"),
    ],
)
def test_words_take_the_form_that_the_sentence_needs(made: dict[str, Items], locale: str, concept: str, expected: str) -> None:
    assert expected in made[locale].only([concept]).items[0].question


def test_names_that_give_each_other_away() -> None:
    for one, other in (
        ("Kuwait", "Kuwait City"),
        ("Argelia", "Argel"),
        ("阿尔及利亚", "阿尔及尔"),
        ("한국", "한국어"),
        ("México", "Mexico"),
    ):
        assert alike(one, other)
    for one, other in (("France", "Paris"), ("Iran", "Iraq"), ("法国", "法语"), ("일본", "도쿄"), ("القاهرة", "الرباط")):
        assert not alike(one, other)


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(SteerlensError, match=r"pip install 'steerlens\[atlas\]'"):
        packages.need("steerlens_no_such_package")


def test_names_are_as_people_write_them() -> None:
    pytest.importorskip("babel")
    assert (
        import_module("babel").Locale.parse("zh_CN").territories["AE"]
        != grammar("zh-CN").name(Thing("country", "AE"))
        == "阿联酋"
    )
    assert grammar("ko-KR").name(Thing("country", "KR")) == "한국"


def test_rows_are_json_lines() -> None:
    assert [json.loads(line) for line in lines([{"question": "¿Qué?"}]).splitlines()] == [{"question": "¿Qué?"}]
