"""Fills the slot for a country in a question. The slot is removed, or filled with "in this country" or with the name of a
country."""

import re

from steerlens.data.locales import locale
from steerlens.errors import DataError, UnknownNameError

SLOT = re.compile(r"\{(in|of|front)(_here)?\}")
"""A pattern for the slots of a template. In an implicit question, ``{in}``, ``{of}`` and ``{front}`` are removed. ``{in_here}``,
``{of_here}`` and ``{front_here}`` are filled with a text such as "in this country"."""


def filled(template: str, code: str, country: str | None = None) -> str:
    """Returns the question that is made from a template.

    Args:
        template: a question or statement with one slot, for example ``¿Qué se desayuna {in}?`` or ``{front} ¿qué se
            desayuna?``.
        code: the code of the locale in whose language the template is written.
        country: the code of the locale whose country is named. ``None`` names no country (the implicit form).

    Raises:
        DataError: the template does not have exactly one slot, or the locale has no text for the slot.
        UnknownNameError: the locale has no name for the country.
    """
    slots = list(SLOT.finditer(template))
    if len(slots) != 1:
        raise DataError(
            f"template {template!r} of {code} has {len(slots)} slots: expected exactly one slot, {{in}}, {{of}} or {{front}}."
        )
    slot = slots[0]
    start, end = template[: slot.start()], template[slot.end() :]
    text = _put(slot, code, country)
    if text:
        return _capital(start + text + end) if not start else start + text + end
    joined = start.rstrip() + end if start else end.lstrip()  # one of the two spaces is removed with the slot
    return _capital(joined)


def _put(slot: re.Match[str], code: str, country: str | None) -> str:
    """Returns the text of a slot. In an implicit question, a slot without ``_here`` is empty."""
    place, form = locale(code), slot[1]
    if country is None:
        if slot[2] and form not in place.here:
            raise DataError(
                f"locale {code} has no text for the slot {slot.group()} in questions without a country. Add this text to the "
                "field 'here' of the locale."
            )
        return place.here[form] if slot[2] else ""
    if country not in place.countries:
        raise UnknownNameError(f"country in the language of {code}", country, tuple(place.countries))
    if form not in place.countries[country]:
        raise DataError(
            f"locale {code} has no text for the slot {slot.group()} with the country of {country}. Add {form!r} to this "
            "country in the field 'countries' of the locale."
        )
    return place.countries[country][form]


def _capital(text: str) -> str:
    """Returns the text with a capital first letter. For example, ``¿qué …?`` becomes ``¿Qué …?``."""
    at = next((index for index, letter in enumerate(text) if letter.isalpha()), 0)
    return text[:at] + text[at : at + 1].upper() + text[at + 1 :]
