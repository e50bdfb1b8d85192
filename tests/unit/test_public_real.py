"""The loaders on the real files of BMLAMA-53 and BLEnD, where they are."""

import os
import re
from pathlib import Path

import pytest

import steerlens as sl
from steerlens.data.public.blend_countries import COUNTRIES

REAL = os.environ.get("STEERLENS_REAL_DATA", "")
pytestmark = pytest.mark.skipif(not REAL, reason="STEERLENS_REAL_DATA is not set: it names a folder with bmlama53/ and blend/")
LOCALES = ["es-ES", "id-ID", "ko-KR"]


def test_bmlama() -> None:
    items = sl.data.bmlama(LOCALES, path=Path(REAL) / "bmlama53")
    assert len(items.concepts) == 3036
    assert len(items.parallel()) == len(items) == 4 * 3036
    assert {count for note, count in items.notes.items() if "fewer than two" in note} == {34}
    for concept in items.concepts[:200]:
        assert len({(item.answer, len(item.choices)) for item in items.only([concept])}) == 1
    assert all(item.question.count("___") == 1 for item in items)


def test_blend() -> None:
    items = sl.data.blend(LOCALES, path=Path(REAL) / "blend")
    for code in items.locales:
        country, own = COUNTRIES[code], items.of(locale=code)
        assert len(own) >= 100
        taken_out = sum(count for note, count in items.notes.items() if note == f"{code}: country could not be taken out")
        assert taken_out <= 10
        for item in own:
            assert not re.search(country.own, item.question), item.question
            assert not re.search(r" {2}| [?.,]|¿ |\{|^\W*[a-záéíóú].*\?$", item.question), item.question
            assert re.search(country.own, item.explicit), item.explicit
            assert code in item.owners[item.answer]
            assert len(item.choices) >= 3
    assert len(items.localized_pairs("ko-KR")) == len(items.of(locale="ko-KR"))
