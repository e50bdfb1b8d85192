"""Divides texts into units: words, or characters if the language writes no spaces. Also finds the sequences of units that a text
contains."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import regex

from steerlens.data.locales import locale
from steerlens.data.scripts import plain

Units = tuple[str, ...]

_UNSPACED = ("Hani", "Hira", "Kana", "Hang", "Thai", "Laoo", "Khmr", "Mymr")
"""The ISO 15924 codes of scripts in which each character is a unit. Korean is included, because particles are written together
with a word and differ by sentence."""
_ISO_UNSPACED = {"Hans", "Hant", "Jpan", "Kore", *_UNSPACED}
_SCRIPTS = "".join(rf"\p{{Script_Extensions={one}}}" for one in _UNSPACED)
_CHARACTER = rf"[[{_SCRIPTS}]&&[\p{{L}}\p{{M}}\p{{N}}]]"
_CHARACTERS = regex.compile(rf"(?V1){_CHARACTER}")
_WORD = rf"[[\p{{L}}\p{{M}}\p{{N}}]--{_CHARACTER}]++"
_NUMBER = "[〇一二三四五六七八九十百千万]{2,}+"
_UNIT = regex.compile(rf"(?V1){_NUMBER}|{_CHARACTER}|(?<![\p{{L}}\p{{N}}])\.{_WORD}|{_WORD}|\p{{Sc}}")


def units(text: str) -> Units:
    """Returns the units of a text, case folded and without accents. A unit is a word, or a character in Chinese, Japanese,
    Korean, Thai, Lao, Khmer and Burmese. A number in Chinese characters is one unit. Currency signs are words. ``.de`` and ``de``
    are different words. Other signs are skipped."""
    return tuple(_UNIT.findall(text.casefold() if text.isascii() else plain(text)))


@lru_cache(maxsize=1 << 16)
def is_character(unit: str) -> bool:
    """Returns whether a unit is a single character of a script whose characters are units."""
    return _CHARACTERS.match(unit) is not None


def counts_characters(code: str) -> bool:
    """Returns whether the length of a locale's texts is counted in characters. The length is otherwise counted in words."""
    return locale(code).script in _ISO_UNSPACED


class Sequences:
    """Many sequences of units. A text is searched for all sequences in one pass."""

    def __init__(self, wanted: Iterable[Units]) -> None:
        self._wanted = {one for one in wanted if one}
        lengths: dict[str, set[int]] = {}
        for one in self._wanted:
            lengths.setdefault(one[0], set()).add(len(one))
        self._lengths = {first: tuple(sorted(some)) for first, some in lengths.items()}

    def found(self, text: Sequence[str]) -> dict[Units, list[int]]:
        """Returns the positions at which each sequence begins, for the sequences that the text contains."""
        places: dict[Units, list[int]] = {}
        for at, unit in enumerate(text):
            for length in self._lengths.get(unit, ()):
                candidate = tuple(text[at : at + length])
                if candidate in self._wanted:
                    places.setdefault(candidate, []).append(at)
        return places
