"""Scripts of texts: whether a text's letters belong to its locale's script. Also returns texts without their accents."""

import unicodedata
from functools import cache

import regex

_SEVERAL = {"Hans": ("Hani",), "Hant": ("Hani",), "Jpan": ("Hani", "Hira", "Kana"), "Kore": ("Hang", "Hani")}
"""ISO 15924 codes that are not scripts of Unicode, and the scripts that they mean."""
_LETTERS = regex.compile(r"[\p{L}\p{M}]++")
_EXCERPT = 200
"""The number of characters of a text that are checked. The script is visible early, and files are long."""


@cache
def _letters(script: str) -> "regex.Pattern[str] | None":
    """A pattern for runs of letters and marks of a script; ``None`` for a script that Unicode does not know."""
    if script.startswith("Z"):  # Zyyy and the like are no scripts
        return None
    try:
        scripts = "".join(rf"\p{{Script_Extensions={one}}}" for one in _SEVERAL.get(script, (script,)))
        return regex.compile(rf"(?V1)[[{scripts}]&&[\p{{L}}\p{{M}}]]++")
    except regex.error:
        return None


def foreign(text: str, script: str) -> bool:
    """Whether most letters of a text belong to another script than this one.

    Args:
        text: the text; a text without letters is never foreign.
        script: an ISO 15924 code, for example ``Latn``; for a script that Unicode does not know, no text is foreign.
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
        script: an ISO 15924 code, for example ``Latn``; for a script that Unicode does not know, all letters belong to it.
    """
    return len("".join((_letters(script) or _LETTERS).findall(text)))


def plain(text: str) -> str:
    """Returns the text case folded, without accents and marks."""
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize("NFC", "".join(c for c in parts if not unicodedata.combining(c))).casefold()
