"""Identifies whether a text is in the requested language."""

import logging
from copy import copy
from functools import cache
from typing import Any

from steerlens.data import locale
from steerlens.data.scripts import foreign

log = logging.getLogger("steerlens")

_EUROPEAN = ("cs", "de", "el", "en", "es", "fi", "fr", "hu", "it", "nl", "pl", "pt", "ro", "ru", "sv", "uk")
_COMMON = (*_EUROPEAN, "ar", "id", "ja", "ko", "tr", "vi", "zh")
"""The candidate languages of a text, in addition to the requested language. The candidates are widely used languages, with
only one language from each group of closely related languages."""
_FEW = 12
"""The smallest number of letters of a shared script from which the language of a text can be identified."""
_SHARED = ("Latn", "Cyrl", "Arab", "Deva", "Hans", "Hant", "Jpan")
"""Scripts that several languages share, so that the script alone does not identify the language."""


def in_language(text: str, code: str) -> bool | None:
    """Returns whether a text is in a locale's language. The text is checked first by its script and then by py3langid (extra
    ``language``).

    Returns:
        Whether the text is in the language, or ``None`` if this cannot be decided. ``None`` is returned if the text has no
        letters, or only a few letters of a script that several languages share. ``None`` is also returned if py3langid is
        missing or does not know the language.
    """
    place, language = locale(code), code.partition("-")[0]
    letters = sum(map(str.isalpha, text))
    if not letters:
        return None
    if foreign(text, place.script):
        return False
    if place.script not in _SHARED:
        return True
    identifier = _identifier(language) if letters >= _FEW else None
    return None if identifier is None else bool(identifier.classify(text)[0] == language)


@cache
def _identifier(language: str) -> Any:
    """Returns a classifier that distinguishes a language from common languages. Returns ``None`` if py3langid is missing or
    does not know the language."""
    whole = _classifier()
    if whole is None or language not in whole.labels:
        return None
    identifier = copy(whole)
    identifier.set_languages([language, *(other for other in _COMMON if other != language)])
    return identifier


@cache
def _classifier() -> Any:
    """Returns py3langid's classifier for all of its languages. The classifier is read from its file only once."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        log.warning(
            "py3langid is not installed, so the language of texts is not checked in scripts that several languages share, such "
            "as Latin. Install py3langid with: pip install 'steerlens[language]'"
        )
        return None
    return LanguageIdentifier.from_model_file(MODEL_FILE)
