"""Texts as words, or as characters if the language writes no spaces. Also finds which of many sequences of units a text
contains."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import regex

from steerlens.data.locales import locale
from steerlens.data.scripts import plain

Units = tuple[str, ...]

_UNSPACED = ("Hani", "Hira", "Kana", "Hang", "Thai", "Laoo", "Khmr", "Mymr")
"""Scripts in which each character is a unit. Korean writes spaces, but a word's particles, which are written to it, differ by
sentence."""
_ISO_UNSPACED = {"Hans", "Hant", "Jpan", "Kore", *_UNSPACED}
_SCRIPTS = "".join(rf"\p{{Script_Extensions={one}}}" for one in _UNSPACED)
_CHARACTER = rf"[[{_SCRIPTS}]&&[\p{{L}}\p{{M}}\p{{N}}]]"
_CHARACTERS = regex.compile(rf"(?V1){_CHARACTER}")
_WORD = rf"[[\p{{L}}\p{{M}}\p{{N}}]--{_CHARACTER}]++"
_NUMBER = "[〇一二三四五六七八九十百千万]{2,}+"
_UNIT = regex.compile(rf"(?V1){_NUMBER}|{_CHARACTER}|(?<![\p{{L}}\p{{N}}])\.{_WORD}|{_WORD}|\p{{Sc}}")


def units(text: str) -> Units:
    """The words of a text, case folded and without accents. Each Chinese, Japanese, Korean, Thai, Lao, Khmer or Burmese
    character is a unit, but a number in Chinese characters is one unit. Currency signs are words. ``.de`` and ``de`` are
    different words. Other signs are skipped."""
    return tuple(_UNIT.findall(text.casefold() if text.isascii() else plain(text)))


@lru_cache(maxsize=1 << 16)
def is_character(unit: str) -> bool:
    """Whether a unit is a character of a script without spaces between words, and not a word."""
    return _CHARACTERS.match(unit) is not None


def counts_characters(code: str) -> bool:
    """Whether the length of a locale's texts is counted in characters, and not in words."""
    return locale(code).script in _ISO_UNSPACED


class Sequences:
    """Many sequences of units, for which a text is searched in one pass."""

    def __init__(self, wanted: Iterable[Units]) -> None:
        self._wanted = {one for one in wanted if one}
        lengths: dict[str, set[int]] = {}
        for one in self._wanted:
            lengths.setdefault(one[0], set()).add(len(one))
        self._lengths = {first: tuple(sorted(some)) for first, some in lengths.items()}

    def found(self, text: Sequence[str]) -> dict[Units, list[int]]:
        """The places at which each sequence begins, for the sequences that the text contains."""
        places: dict[Units, list[int]] = {}
        for at, unit in enumerate(text):
            for length in self._lengths.get(unit, ()):
                candidate = tuple(text[at : at + length])
                if candidate in self._wanted:
                    places.setdefault(candidate, []).append(at)
        return places
