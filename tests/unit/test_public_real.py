"""The loaders on the real files of BMLAMA-53 and BLEnD, where they are."""

import os
import re
from pathlib import Path

import pytest

import steerlens as sl
from steerlens.data.public.blend_countries import COUNTRIES
from steerlens.data.rows import same_text

REAL = os.environ.get("STEERLENS_REAL_DATA", "")
pytestmark = pytest.mark.skipif(not REAL, reason="STEERLENS_REAL_DATA is not set: it names a folder with bmlama53/ and blend/")
LOCALES = ["es-ES", "id-ID", "ko-KR"]


def test_bmlama() -> None:
    items = sl.data.bmlama(LOCALES, path=Path(REAL) / "bmlama53")
    assert len(items.concepts) == 1160
    # two pairs of questions, on Niger and on Quebec, are worded alike in Spanish
    assert {code: len(items.of(locale=code)) for code in items.locales} == {
        code: 1158 if code == "es-ES" else 1160 for code in ("en-US", *LOCALES)
    }
    assert len(items.parallel()) == 4 * 1158
    assert {count for note, count in items.notes.items() if "fewer than two" in note} == {34}
    left_out = {why: {n for note, n in items.notes.items() if why in note} for why in ("another right answer of", "right, too")}
    assert left_out == {"another right answer of": {890}, "right, too": {986}}
    assert not any("diplomatic" in item.question for item in items)
    for concept in items.concepts[:200]:
        assert len({(item.answer, len(item.choices)) for item in items.only([concept])}) == 1
    assert all(item.question.count("___") == 1 for item in items)


def test_no_question_of_bmlama_is_trained_on_and_tested() -> None:
    split = sl.data.bmlama(LOCALES, path=Path(REAL) / "bmlama53").split(seed=0)
    asked = [{(item.locale, same_text(item.question)) for item in part} for part in (split.train, split.dev, split.test)]
    assert sum(map(len, asked)) == len(set.union(*asked))


@pytest.mark.parametrize("code", ["en-US", *LOCALES])
def test_no_right_answer_of_bmlama_is_a_wrong_choice(code: str) -> None:
    items = sl.data.bmlama(LOCALES, path=Path(REAL) / "bmlama53").of(locale=code)
    right: dict[str, set[str]] = {}
    for line in (Path(REAL) / "bmlama53" / f"{code[:2]}.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        prompt, answer, *_ = line.split("\t")
        right.setdefault(same_text(prompt.strip().replace("<mask>", "___")), set()).add(same_text(answer))
    assert sum(len(answers) > 1 for answers in right.values()) > 400
    bordering = {item for item in items if "shares border with" in item.question}
    assert code != "en-US" or len(bordering) > 100
    for item in items:
        wrong = {same_text(choice) for n, choice in enumerate(item.choices) if n != item.answer}
        assert not wrong & right[same_text(item.question)], item


def test_blend() -> None:
    items = sl.data.blend(LOCALES, path=Path(REAL) / "blend")
    for code in items.locales:
        country, own = COUNTRIES[code], items.of(locale=code)
        assert len(own) >= 100
        taken_out = sum(count for note, count in items.notes.items() if note == f"{code}: country could not be removed")
        assert taken_out <= (25 if code == "ko-KR" else 10)
        for item in own:
            assert not re.search(country.own, item.question), item.question
            assert not re.search("광복절|세는 나이|all over the world|rest of the world|for people", item.question), item.question
            assert "wrong answer" not in map(str.casefold, item.choices)
            assert not re.search(r" {2}| [?.,]|¿ |\{|^\W*[a-záéíóú].*\?$", item.question), item.question
            assert re.search(country.own, item.explicit), item.explicit
            assert code in item.owners[item.answer]
            assert len(item.choices) >= 3
            votes = [int(count) for count in item.tags[0].removeprefix("votes:").split(",")]
            assert all(count < votes[item.answer] for n, count in enumerate(votes) if n != item.answer), item
    assert len(items.localized_pairs("ko-KR")) == len(items.of(locale="ko-KR"))


def test_every_file_that_is_there_loads() -> None:
    """Whichever languages and countries the folder holds: what is left out is counted, and something is left of each."""
    languages = sorted({file.stem for file in (Path(REAL) / "bmlama53").rglob("*.tsv")} - {"en"})
    facts = sl.data.bmlama(languages, path=Path(REAL) / "bmlama53")
    assert len(facts.locales) == len(languages) + 1
    assert all(len(facts.of(locale=code)) > 500 for code in facts.locales)
    countries = {code for code, own in COUNTRIES.items() if list((Path(REAL) / "blend").rglob(f"{own.file}_data.json"))}
    culture = sl.data.blend(sorted(countries - {"en-US"}), path=Path(REAL) / "blend")
    assert set(culture.locales) == countries
    for item in culture:
        assert not re.search(r"\{KEEP\}", item.question)
        assert len(set(map(same_text, item.choices))) == len(item.choices) >= 3
