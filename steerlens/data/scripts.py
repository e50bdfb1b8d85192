"""Checks whether the letters of a text belong to the script of its locale. Also removes accents from texts."""

import unicodedata
from functools import cache

import regex

_SEVERAL = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang", "Hani")}
"""The ISO 15924 codes that are not scripts of Unicode, and the Unicode scripts that belong to each code."""
_LETTERS = regex.compile(r"[\p{L}\p{M}]++")
_EXCERPT = 200
"""The largest number of characters of a text that are checked. The script can be seen at the beginning of a text, and texts can
be long."""


@cache
def _letters(script: str) -> "regex.Pattern[str] | None":
    """Returns a pattern for sequences of letters and marks of a script, or ``None`` for a script that Unicode does not know."""
    if script.startswith("Z"):  # codes such as Zyyy are not scripts
        return None
    try:
        scripts = "".join(rf"\p{{Script_Extensions={one}}}" for one in _SEVERAL.get(script, (script,)))
        return regex.compile(rf"(?V1)[[{scripts}]&&[\p{{L}}\p{{M}}]]++")
    except regex.error:
        return None


def foreign(text: str, script: str) -> bool:
    """Returns whether most letters of a text do not belong to a script.

    Args:
        text: the text. A text without letters is never foreign.
        script: an ISO 15924 code, for example ``Latn``. For a script that Unicode does not know, no text is foreign.
    """
    letters = _letters(script)
    if letters is None or (script == "Latn" and text.isascii()):
        return False
    excerpt = text[:_EXCERPT]
    return 2 * len("".join(letters.findall(excerpt))) < len("".join(_LETTERS.findall(excerpt)))


def own_letters(text: str, script: str) -> int:
    """Returns the number of letters of a text that belong to a script.

    Args:
        text: the text.
        script: an ISO 15924 code, for example ``Latn``. If Unicode does not know the script, all letters are counted.
    """
    return len("".join((_letters(script) or _LETTERS).findall(text)))


def plain(text: str) -> str:
    """Returns the text case folded, without accents and marks."""
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not unicodedata.combining(c))).casefold()
