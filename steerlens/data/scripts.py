"""Scripts of texts: whether a text's letters are of the script that its locale is written in."""

import re
from functools import cache

_RANGES = {
    "Latn": "A-Za-zÀ-ɏḀ-ỿ",
    "Cyrl": "Ѐ-ԯ",
    "Grek": "Ͱ-Ͽἀ-῿",
    "Arab": "؀-ۿݐ-ݿﭐ-﷿ﹰ-﻿",
    "Hebr": "֐-׿",
    "Armn": "԰-֏",
    "Geor": "Ⴀ-ჿ",
    "Deva": "ऀ-ॿ",
    "Beng": "ঀ-৿",
    "Taml": "஀-௿",
    "Telu": "ఀ-౿",
    "Mlym": "ഀ-ൿ",
    "Sinh": "඀-෿",
    "Thai": "฀-๿",
    "Khmr": "ក-៿",
    "Ethi": "ሀ-ᎏ",
    "Hang": "ᄀ-ᇿ㄰-㆏가-힣",
    "Hans": "㐀-鿿",
    "Hant": "㐀-鿿",
    "Jpan": "぀-ヿ㐀-鿿",
}
"""Letters of each script (ISO 15924), as the inside of a character class."""
_EXCERPT = 200
"""Characters of a text that are looked at: a script shows early, and files are long."""


@cache
def _letters(script: str) -> re.Pattern[str]:
    return re.compile(f"[{_RANGES[script]}]")


_ANY = re.compile("[" + "".join(_RANGES[script] for script in dict.fromkeys(_RANGES) if script != "Hant") + "]")


def foreign(text: str, script: str) -> bool:
    """Whether most letters of a text are of another script than this. A text without letters, or a script that is not
    known here, is never foreign.
    """
    if script not in _RANGES or (script == "Latn" and text.isascii()):
        return False
    excerpt = text[:_EXCERPT]
    return 2 * len(_letters(script).findall(excerpt)) < len(_ANY.findall(excerpt))
