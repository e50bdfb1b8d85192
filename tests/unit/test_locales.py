"""A locale needs no code: its folder says all that is known of it, and names come from CLDR."""

import json
import shutil
from pathlib import Path

import pytest

from steerlens.data import Locale, add_locale, atlas, atlas_locales, known_locales, load_items, locale, locales
from steerlens.data.locales import atlas_folder, next_question
from steerlens.errors import DataError, FileError, UnknownNameError

NEW, LIKE = "es-EA", "es-ES"


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test adds is not known to the next."""
    for name in ("_folders", "_further", "_locales"):
        known = dict(getattr(locales, name)())
        monkeypatch.setattr(locales, name, lambda known=known: known)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the Spanish folder under another code, with no place of its own among the answers."""
    new = tmp_path / "added" / NEW
    shutil.copytree(str(atlas_folder(LIKE)), new)
    for file in new.iterdir():
        file.write_text(file.read_text(encoding="utf-8").replace(f'"{LIKE}"', f'"{NEW}"'), encoding="utf-8")
    fields = json.loads((new / "locale.json").read_text(encoding="utf-8"))
    del fields["open_data"]["place"]
    (new / "locale.json").write_text(json.dumps(fields), encoding="utf-8")
    return new


def test_a_folder_is_all_that_the_atlas_needs(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        atlas(NEW)
    assert add_locale(folder) == locale(NEW)
    assert NEW in atlas_locales()
    new, like = (atlas(code).of(locale=code) for code in (NEW, LIKE))
    assert [item.prompt().text for item in new] == [item.prompt().text for item in like]
    assert NEW in new.of(kind="cultural")[0].answers
    (tmp_path / "mine.jsonl").write_text((folder / "written.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    assert load_items(tmp_path / "mine.jsonl").locales == (NEW,)


def test_items_are_made_from_open_data_for_a_new_folder(folder: Path, tmp_path: Path) -> None:
    """The new locale's facts are its like's, no other locale's change, and every row of customs gets its answer as the last."""
    pytest.importorskip("babel")
    from steerlens.data.grounded.__main__ import write

    add_locale(folder)
    for file in write("facts", tmp_path):
        code = file.parent.name
        committed = atlas_folder(LIKE if code == NEW else code).joinpath("facts.jsonl").read_text(encoding="utf-8")
        assert file.read_text(encoding="utf-8") == committed.replace(f'"{LIKE}"', f'"{code}"' if code == NEW else f'"{LIKE}"')
    for file in write("customs", tmp_path):
        code = file.parent.name
        committed = atlas_folder(LIKE if code == NEW else code).joinpath("customs.jsonl").read_text(encoding="utf-8")
        for made, before in zip(
            map(json.loads, file.open(encoding="utf-8")), map(json.loads, committed.splitlines()), strict=True
        ):
            assert list(made["answers"])[-1] == NEW
            assert made["answers"].pop(NEW) == made["answers"][LIKE]
            assert made == {**before, "locale": code}


def test_what_is_looked_up_for_a_locale_has_the_fields_that_it_needs(folder: Path) -> None:
    pytest.importorskip("babel")
    from steerlens.data.grounded.customs_base import owners

    file = folder / "locale.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"zone"', '"zon"'), encoding="utf-8")
    add_locale(folder)
    with pytest.raises(DataError, match=r"open_data in the locale\.json of es-EA: .*'zone?'"):
        owners()


def test_names_are_those_of_cldr() -> None:
    """All but four, which have another name in everyday English and are not of the atlas."""
    babel = pytest.importorskip("babel")
    english = babel.Locale("en")
    own_words = {}
    for code in known_locales():
        place, cldr = locale(code), babel.Locale.parse(code, sep="-")
        said, found = (place.language, place.country), (english.languages[cldr.language], english.territories[cldr.territory])
        if said != found:
            own_words[code] = (said, found)
    assert own_words.keys() == {"bn-BD", "nb-NO", "ny-MW", "zh-HK"}, own_words


def test_a_folder_that_is_none_says_what_it_lacks(folder: Path) -> None:
    file = folder / "locale.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**fields, "scrip": "Latn"} | {"question": None}).replace('"question": null, ', ""))
    with pytest.raises(DataError, match=r"lacks the fields \['question'\] and has the unknown fields \['scrip'\]"):
        add_locale(folder)
    file.write_text("{")
    with pytest.raises(FileError, match=r"cannot read locale\.json in .*es-EA"):
        add_locale(folder)
    with pytest.raises(FileError, match="cannot read"):
        add_locale(folder / "nothing")
    assert add_locale(Locale("xx-XX", "X", "X", "?", "!", "x")).code == "xx-XX"


def test_an_answer_ends_at_the_next_question() -> None:
    assert next_question("Pregunta: ¿Qué se desayuna?\nRespuesta:") == ("\nPregunta:",)
    assert next_question("Q&A\n질문: 안녕?\n답변:") == ("\n질문:",)
    assert next_question("What is a question: this?") == ()


def test_an_unknown_locale_names_the_nearest_ones_and_the_way_to_add_one() -> None:
    with pytest.raises(UnknownNameError, match=r"expected one of \d+ names\. Did you mean .*pt-PT.*\? Add your own") as error:
        locale("pt-XX")
    assert len(str(error.value)) < 200
    assert "add_locale" in str(error.value)
