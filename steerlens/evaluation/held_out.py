"""Held-out texts of each locale, whose perplexity is measured."""

from collections.abc import Mapping, Sequence

from steerlens.data import Items, locale
from steerlens.errors import UnknownNameError

Texts = Mapping[str, Sequence[str]]
"""Held-out texts of each locale."""


def held_out_texts(items: Items, code: str, given: Texts | None) -> dict[str, str]:
    """Returns the held-out texts of a locale. The keys are the concepts to which the texts belong.

    Raises:
        UnknownNameError: texts were given, but none for this locale.
    """
    if given is None:
        return {item.concept: f"{item.prompt().text}{locale(code).space}{item.choices[item.answer]}" for item in items}
    if code not in given:
        raise UnknownNameError("locale of texts", code, given)
    return {f"{code}/{number}": text for number, text in enumerate(given[code])}
