"""Finds pairs of names in which one name reveals the other name, such as Kuwait and Kuwait City, or France and French."""

import re

import regex

from steerlens.data.scripts import plain

_HAN, _HANGUL = regex.compile(r"\p{Script=Hani}"), regex.compile(r"\p{Script=Hang}")
_LETTERS = 4
"""The number of first letters that are compared. Words with the same first letters count as alike."""


def alike(one: str, other: str) -> bool:
    """Returns whether a reader who does not know two names could see that the names belong together.

    Two Chinese names are alike if they share two characters in a row. Two Korean names are alike if they have words with the same
    first two syllables. In other scripts, two names are alike if they have words with the same first four letters, or if a word
    begins with a complete shorter word.
    """
    if _HAN.search(one + other):
        return bool(_pairs(one) & _pairs(other))
    return any(_begin_alike(a, b) for a in _words(one) for b in _words(other))


def _pairs(text: str) -> set[str]:
    return {text[i : i + 2] for i in range(len(text) - 1)}


def _words(text: str) -> list[str]:
    words = re.findall(r"\w+", plain(text))
    return [word.removeprefix("ال") if len(word) > _LETTERS else word for word in words]


def _begin_alike(one: str, other: str) -> bool:
    if _HANGUL.search(one):
        return len(one) > 1 and one[:2] == other[:2]
    length = min(_LETTERS, len(one), len(other))
    return length >= 3 and one[:length] == other[:length]
