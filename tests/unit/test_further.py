"""Further locales: a country of its own within a language of the atlas, and languages that came later."""

import json
from pathlib import Path

import pytest
import torch

import steerlens as sl
from steerlens.data import Items, atlas, atlas_locales, check, further_locales, locale
from steerlens.data.locales import atlas_folder
from steerlens.errors import PairsError
from steerlens.steering import LOC, take

CODES = further_locales()
LIKE = {code: locale(code).like for code in CODES if locale(code).like}


@pytest.fixture(scope="module", params=CODES)
def own(request: pytest.FixtureRequest) -> Items:
    """The items of one further locale alone, in two wordings."""
    return atlas(request.param, shared=True, wordings=2).where(lambda item: item.locale == request.param)


def test_there_are_some_and_none_of_them_is_among_the_others() -> None:
    assert {"en-GB", "en-IN", "es-MX", "pt-BR"} <= set(CODES)
    assert not set(CODES) & set(atlas_locales())
    assert not set(CODES) & set(atlas("all", topics=["food"]).locales)


def test_nothing_is_wrong_with_any_item(own: Items) -> None:
    assert check(own) == []
    assert len(own.of(kind="factual").concepts) > 2 * 2000
    assert len(own.of(kind="cultural").concepts) >= 2 * 180


def test_every_answer_of_the_seven_and_its_own_can_be_chosen(own: Items) -> None:
    (code,) = own.locales
    for item in own.of(kind="cultural"):
        assert set(item.answers) == {*atlas_locales(), code}
        assert item.about("el-GR").choices == item.choices


@pytest.mark.parametrize("code", LIKE)
def test_a_country_asks_what_its_language_asks(code: str) -> None:
    """Facts are the language's, word for word but for words of the country's own, and culture has another right answer."""
    items = atlas([LIKE[code], code], shared=True)
    base, own = ({item.concept: item for item in items.of(locale=one)} for one in (LIKE[code], code))
    words = json.loads(atlas_folder(code).joinpath("own.json").read_text(encoding="utf-8"))["words"]
    same = [concept for concept, item in own.items() if item.question == base[concept].question]
    assert len(same) > 0.8 * len(own)
    assert all(own[concept].answer == item.answer for concept, item in base.items() if item.kind == "factual")
    changed = [item for item in own.values() if item.kind == "factual" and item.question != base[item.concept].question]
    assert all(any(word in base[item.concept].question for word in words) for item in changed)
    other = [item for item in own.values() if item.kind == "cultural" and LIKE[code] not in item.shared_with]
    assert len(other) > 150
    assert all(f"{item.choices[item.answer]}" != base[item.concept].choices[base[item.concept].answer] for item in other)


def test_words_are_replaced_whole() -> None:
    british = atlas("en-GB").of(locale="en-GB")
    texts = " ".join(item.question for item in british)
    assert "colour" in texts
    assert " color" not in texts


@pytest.mark.parametrize("code", ["en-GB", "en-IN"])
def test_english_spoken_elsewhere_has_no_english_pairs(code: str) -> None:
    with pytest.raises(PairsError, match="also asks in English"):
        atlas(code).english_pairs(code)


def test_a_country_can_be_steered_to_within_its_language(llama: sl.LensModel) -> None:
    """LOC of two countries of one language differs, and is of prompts that differ in the country alone."""
    items = atlas(["es-ES", "es-MX"], topics=["food"])
    vectors = take(llama, items, [LOC], locales=["es-ES", "es-MX"])
    spain, mexico = vectors["LOC", "es-ES"], vectors["LOC", "es-MX"]
    assert not torch.equal(spain.directions, mexico.directions)
    pairs = items.localized_pairs("es-MX")
    assert all("México" in prompt.text for prompt in pairs.positive)
    assert "México" not in " ".join(prompt.text for prompt in pairs.negative)


def test_a_user_adds_a_country_of_a_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with its own answers is all that it takes."""
    for name in ("_folders", "_further", "_locales"):
        known = dict(getattr(sl.data.locales, name)())
        monkeypatch.setattr(sl.data.locales, name, lambda known=known: known)
    folder = tmp_path / "es-PE"
    folder.mkdir()
    names = {"name": "Perú", "in": "en Perú", "of": "de Perú", "front": "En Perú,"}
    fields = {"code": "es-PE", "like": "es-ES", "country": "Peru", "own_country": "Perú", "countries": {"es-PE": names}}
    (folder / "locale.json").write_text(json.dumps(fields), encoding="utf-8")
    (folder / "own.json").write_text(json.dumps({"answers": {"food-famous-dish": ["Ceviche", "Lomo saltado"]}}), encoding="utf-8")
    sl.data.add_locale(folder)
    item = atlas("es-PE").of(kind="cultural", locale="es-PE")[0]
    assert (item.concept, item.choices[item.answer], item.names(item.answer)) == (
        "food-famous-dish",
        "Ceviche",
        ("Ceviche", "Lomo saltado"),
    )
    assert "Perú" in item.explicit
    assert len(atlas("es-PE").of(kind="factual", locale="es-PE")) == len(atlas("es-ES").of(kind="factual", locale="es-ES"))
