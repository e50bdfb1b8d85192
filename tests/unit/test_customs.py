"""What must hold for the customs looked up in open data, and that the committed files are what the code makes."""

import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest

from steerlens.data import locale
from steerlens.data.grounded.__main__ import write
from steerlens.data.naming import filled
from steerlens.data.rows import same_text

ATLAS = Path(__file__).parents[2] / "steerlens" / "data" / "atlas"
FILE = "customs.jsonl"
ENDS = {"zh-CN": "？", "ar-EG": "؟", "el-GR": ";"}


def read(code: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (ATLAS / code / FILE).read_text(encoding="utf-8").splitlines()]


LOCALES = tuple(read("en-US")[0]["answers"])
"""The locales that own an answer, in its order."""


def asked(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Every question and statement of a row, implicit and explicit."""
    code = row["locale"]
    return [(filled(text, code), filled(text, code, code)) for text in (*row["templates"], row["cloze"])]


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, Any]]]:
    return {code: read(code) for code in LOCALES}


def answers(rows: dict[str, list[dict[str, Any]]], concept: str, asking: str) -> dict[str, str]:
    return dict(next(row["answers"] for row in rows[asking] if row["concept"] == concept))


def skip_unless_installed(rows: dict[str, list[dict[str, Any]]]) -> None:
    for named in sorted({row["source"].split(":")[0] for row in rows["en-US"]}):
        package, wanted = named.split(" ")
        try:
            have = version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed; the rows were made with {named}")
        if have != wanted:
            pytest.skip(f"{package} {have} is installed; the rows were made with {named}")


def test_the_committed_files_are_what_the_code_makes(rows: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    skip_unless_installed(rows)
    assert [file.relative_to(tmp_path).as_posix() for file in write("customs", tmp_path)] == [
        f"{code}/{FILE}" for code in LOCALES
    ]
    for code in LOCALES:
        assert (tmp_path / code / FILE).read_bytes() == (ATLAS / code / FILE).read_bytes(), code


def test_concepts_are_the_same_everywhere_and_use_all_terms(rows: dict[str, list[dict[str, Any]]]) -> None:
    unused = []
    for code in LOCALES:
        wording = json.loads((ATLAS / code / "customs_wording.json").read_text(encoding="utf-8"))
        reference = json.loads((ATLAS / "en-US" / "customs_wording.json").read_text(encoding="utf-8"))
        assert [row["concept"] for row in rows[code]] == [row["concept"] for row in rows["en-US"]]
        assert set(wording["questions"]) == {row["concept"] for row in rows[code]}, code
        assert set(wording["terms"]) == set(reference["terms"]), code
        said = " ".join(text for row in rows[code] for text in row["answers"].values())
        unused.append({key for key, text in wording["terms"].items() if text.replace("{}", "").strip() not in said})
    assert not set.intersection(*unused)  # "AM" is said where hours are counted to twelve only


def test_owners_share_a_choice_in_every_language_or_in_none(rows: dict[str, list[dict[str, Any]]]) -> None:
    for parallel in zip(*rows.values(), strict=True):
        groups = set()
        for row in parallel:
            texts = [same_text(row["answers"][owner]) for owner in LOCALES]
            groups.add(tuple(texts.index(text) for text in texts))
        assert len(groups) == 1, parallel[0]["concept"]
        assert len(set(groups.pop())) >= 3, parallel[0]["concept"]


def test_only_explicit_questions_name_the_country(rows: dict[str, list[dict[str, Any]]]) -> None:
    for code in LOCALES:
        at = locale(code)
        for row in rows[code]:
            for implicit, explicit in asked(row):
                assert not re.search(f"{at.names}|{at.capitals}", implicit), row
                assert re.search(at.own_country, explicit), row
            assert not any(re.search(at.names, text) for text in row["answers"].values()), row


def test_questions_are_whole_and_do_not_hold_their_answer(rows: dict[str, list[dict[str, Any]]]) -> None:
    texts = [text for code in LOCALES for row in rows[code] for both in asked(row) for text in both]
    assert len(set(texts)) == len(texts)
    for code in LOCALES:
        for row in rows[code]:
            assert len(row["templates"]) == 3, row
            for implicit, explicit in asked(row)[:3]:
                assert implicit.endswith(ENDS.get(code, "?")), row
                assert explicit.endswith(ENDS.get(code, "?")), row
                assert not any(_stands_in(text, implicit) for text in row["answers"].values()), row


def test_answers_are_clean(rows: dict[str, list[dict[str, Any]]]) -> None:
    for code in LOCALES:
        for row in rows[code]:
            for text in row["answers"].values():
                assert text == " ".join(text.split()), row
                assert not re.search("[\u200e\u200f\u061c\u00a0\u202f]", text), row
                assert text[0] == text[0].upper(), row


def test_values_checked_by_hand(rows: dict[str, list[dict[str, Any]]]) -> None:
    weekdays = answers(rows, "custom-first-weekday", "en-US")
    expected = {"en-US": "Sunday", "es-ES": "Monday", "id-ID": "Sunday", "ar-EG": "Saturday", "el-GR": "Monday"}
    assert expected.items() <= weekdays.items()
    assert answers(rows, "custom-holiday-fixed-last", "es-ES")["el-GR"] == "28 de octubre"
    assert answers(rows, "custom-capital-area-code", "zh-CN")["ko-KR"] == "02"
    assert answers(rows, "custom-capital-area-code", "en-US")["el-GR"] == "210"
    assert answers(rows, "custom-toll-free", "ko-KR")["es-ES"] == "900 123 456"
    assert answers(rows, "custom-price", "id-ID")["id-ID"] == "Rp25.000"
    assert answers(rows, "custom-clock-forward", "el-GR")["el-GR"] == "Τελευταία Κυριακή του Μαρτίου"


def _stands_in(answer: str, question: str) -> bool:
    """Whether the answer is in the question as a word or number of its own, so that "2" is not found in "2025"."""
    return bool(re.search(rf"(?<!\w){re.escape(same_text(answer))}(?!\w)", same_text(question)))
