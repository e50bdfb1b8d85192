"""Makes lists of names of languages, territories and currencies from the CLDR data of each language."""

import re
from collections.abc import Iterable
from typing import Any

from steerlens.data.grounded.packages import locale_data, need
from steerlens.data.locales import ENGLISH, locale
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.splits import place
from steerlens.errors import DataError, SettingsError

_KINDS = ("languages", "territories", "currencies")
_REMARK = re.compile(r"[\d()\[\]（）/]")
"""A pattern for the characters of a name with a remark, such as "Myanmar (Burma)". Names with a remark are left out, because the
remark differs by language."""
_NOTHING = frozenset({"und", "mul", "mis", "zxx", "XA", "XB", "ZZ", "XXX", "XTS"})
"""The codes that do not stand for a language, territory or currency."""


def names(locales: Iterable[str], *, size: int = 5, seed: int = 0) -> ParallelCorpus:
    """Returns lists of names, such as "Japanese, Dutch, Wolof, Thai, and Czech", with the same names in every locale.

    A single name is too short for training, and a sentence with the name would need the grammar of each language. The names of a
    list are joined by the rules of CLDR for each language. A name is left out in all locales if a language lacks the name, or if
    the name stands for a continent or region. A name with digits or with a remark in brackets is also left out in all locales.
    The name of a currency may contain a country. Use ``ParallelCorpus.without_leaks`` to remove rows that reveal answers.

    Args:
        locales: the locales. English is always included.
        size: the number of names in a list. 1 gives single names.
        seed: the seed of the order of the names.

    Raises:
        SteerlensError: babel is not installed.
        DataError: CLDR does not have a locale, or there are not enough names.
        SettingsError: ``size`` is below 1.
        UnknownNameError: a locale is unknown.
    """
    if size < 1:
        raise SettingsError(f"lists of {size} names given: expected at least 1 name in a list.")
    codes = tuple(dict.fromkeys((ENGLISH, *((locales,) if isinstance(locales, str) else locales))))
    data = {locale(code).code: _cldr(code) for code in codes}
    collecting = Collecting("cldr", "Unicode License v3")
    for kind in _KINDS:
        named_in = {code: getattr(cldr, kind) for code, cldr in data.items()}
        usable = [key for key in named_in[ENGLISH] if all(_usable(key, own.get(key)) for own in named_in.values())]
        collecting.drop(f"{kind} without a plain name in every locale", len(named_in[ENGLISH]) - len(usable))
        order = sorted(usable, key=lambda key: place(seed, key))
        for at in range(0, len(order) - size + 1, size):
            texts = {code: _listed([own[key] for key in order[at : at + size]], data[code]) for code, own in named_in.items()}
            collecting.add(f"{kind}/{at // size + 1}", texts)
    return collecting.finish()


def _cldr(code: str) -> Any:
    """Returns the CLDR data of a locale.

    Raises:
        DataError: CLDR does not have the locale.
    """
    try:
        return locale_data(code)
    except (ValueError, LookupError) as error:
        raise DataError(f"CLDR has no names in {code} ({error}). Leave this locale out.") from error


def _usable(key: str, name: str | None) -> bool:
    """Returns whether a code has a plain name. Codes that are numbers are not used, because they stand for continents and
    regions."""
    names_one = bool(name) and name != key and key not in _NOTHING and not key.isdecimal()
    return names_one and _REMARK.search(name or "") is None


def _listed(some: list[str], cldr: Any) -> str:
    """Returns the names as a list in the style of the locale."""
    return str(need("babel.lists").format_list(some, style="standard", locale=cldr))
