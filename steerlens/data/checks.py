"""Checks whether items meet the requirements for an experiment. All problems of all items are returned in one list."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from string import ascii_uppercase

from steerlens.data.items import KINDS, Item, Items, letter_order
from steerlens.data.locales import Locale, locale
from steerlens.data.rows import same_text
from steerlens.data.scripts import foreign, own_letters

_TOLERANCE = 4.0
"""The largest allowed difference between the number of right answers at a position and an even share, in standard deviations. A
larger difference occurs by chance once in 15,000 cases."""
_UNSPACED = ("Hans", "Hant", "Jpan", "Hang", "Thai", "Khmr")
"""The ISO 15924 codes of scripts in which words are written without spaces, or together with their particles."""
_SENTENCE = 5
"""The smallest number of letters in the locale's script. A question with this many letters counts as written in the script, even
if a long name in Latin letters has more letters."""
_ENOUGH = 5
"""The smallest expected number of answers at a position. With fewer answers, positions are not checked."""


@dataclass(frozen=True)
class Problem:
    """One problem of an item, or of the items of a locale."""

    locale: str
    """The code of the locale."""
    concept: str
    """The concept's id, or an empty text if the problem concerns all items of a locale."""
    what: str
    """A description of the problem."""

    def __str__(self) -> str:
        return f"{self.locale} {self.concept}: {self.what}" if self.concept else f"{self.locale}: {self.what}"


def check(items: Items, *, least_choices: int = 3) -> list[Problem]:
    """Returns all problems of the items, or an empty list if there are no problems.

    The function finds these problems of one item:

    - The item has too few choices, or two equal choices.
    - The prompt contains the answer as a word.
    - A text is not written in the script of the locale.
    - An implicit prompt names a country, a people, a language or a capital that the locale lists.
    - A choice names a country, a people or a language that the locale lists.
    - An explicit prompt does not name its country.

    The function finds these problems of several items:

    - Two concepts have the same prompt.
    - A wrong choice is the answer of another concept with the same question.
    - A concept is missing in a locale that has other concepts of the same kind. The missing concept is not a problem if the
      locale has the same answer as another locale.
    - The letter format lists the right answers at one position more often or less often than chance explains.

    Args:
        items: the items to check, from one locale or several locales.
        least_choices: the required minimum number of different choices of each item. Every item of the atlas has three or more
            choices.
    """
    problems = [
        Problem(item.locale, item.concept, what) for item in items for what in _wrong(item, locale(item.locale), least_choices)
    ]
    return [*problems, *_repeats(items), *_unclear(items), *_missing(items), *_unbalanced(items)]


def _wrong(item: Item, place: Locale, least: int) -> Iterator[str]:
    distinct = {same_text(choice) for choice in item.choices}
    if len(distinct) < len(item.choices):
        yield f"choices repeat: {', '.join(item.choices)}"
    if len(distinct) < least:
        yield f"only {len(distinct)} different choices: expected at least {least}"
    for form, text in (("question", item.question), ("explicit question", item.explicit)):
        if _stands_in(item.choices[item.answer], text, place.script):
            yield f"the {form} {text!r} contains the right answer {item.choices[item.answer]!r}"
        if foreign(text, place.script) and own_letters(text, place.script) < _SENTENCE:
            yield f"the {form} {text!r} is not written in the script {place.script}"
    if item.kind == "cultural":
        yield from _named(item, place)


def _stands_in(answer: str, text: str, script: str) -> bool:
    """Returns whether a text contains an answer. If the script has spaces between words, the answer must be a separate word."""
    word = re.escape(same_text(answer))
    return bool(re.search(word if script in _UNSPACED else rf"(?<!\w){word}(?!\w)", same_text(text)))


def _named(item: Item, place: Locale) -> Iterator[str]:
    """Yields a problem for each name that an implicit prompt or a choice must not contain, and for each explicit prompt without
    its country."""
    hidden = "|".join(filter(None, (place.names, place.capitals)))
    if hidden and (found := re.search(hidden, item.question)):
        yield f"the implicit question {item.question!r} names {found.group()!r}"
    for choice in item.choices:
        if place.names and (found := re.search(place.names, choice)):
            yield f"choice {choice!r} names {found.group()!r}"
    if place.own_country and item.explicit and not re.search(place.own_country, item.explicit):
        yield f"the explicit question {item.explicit!r} does not name the country of its locale"


def _unclear(items: Items) -> Iterator[Problem]:
    """Yields wrong choices that are the answer of another item with the same question."""
    right: dict[tuple[str, str], dict[str, str]] = {}
    for item in items:
        answers = right.setdefault((item.locale, same_text(item.question)), {})
        answers.setdefault(same_text(item.choices[item.answer]), item.concept)
    for item in items:
        answers = right[item.locale, same_text(item.question)]
        for n, choice in enumerate(item.choices):
            if n != item.answer and (other := answers.get(same_text(choice))):
                what = f"the wrong choice {choice!r} is the right answer of {other}, which asks the same question"
                yield Problem(item.locale, item.concept, what)


def _repeats(items: Items) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for item in items:
        for text in filter(None, (item.question, item.explicit)):
            first = seen.setdefault((item.locale, same_text(text)), item.concept)
            if first != item.concept or text == item.question == item.explicit:
                yield Problem(item.locale, item.concept, f"the question {text!r} is asked twice, first for the concept {first}")


def _missing(items: Items) -> Iterator[Problem]:
    """Yields a problem for each concept without a translation. A cultural concept may be missing in locales that share an
    answer."""
    shared = {(item.concept, code) for item in items for owners in item.owners if len(owners) > 1 for code in owners}
    have = {(item.concept, item.locale) for item in items}
    kinds = {item.concept: item.kind for item in items}
    asked = {(item.locale, item.kind) for item in items}
    for concept, kind in kinds.items():
        for code in items.locales:
            if (code, kind) in asked and (concept, code) not in have and (concept, code) not in shared:
                yield Problem(code, concept, "has no translation in this locale")


def _unbalanced(items: Items) -> Iterator[Problem]:
    """Yields a problem for each position at which the letter format lists the answer more often or less often than chance
    explains."""
    for code in items.locales:
        for kind in KINDS:
            part = list(items.of(locale=code, kind=kind))
            for width in sorted({len(item.choices) for item in part}):
                at = [letter_order(item).index(item.answer) for item in part if len(item.choices) == width]
                yield from (Problem(code, "", f"{kind} items: {what}") for what in _lopsided(at, width))


def _lopsided(at: Iterable[int], width: int) -> Iterator[str]:
    counts = Counter(at)
    n, share = sum(counts.values()), 1 / width
    if n * share < _ENOUGH:
        return
    spread = (n * share * (1 - share)) ** 0.5
    for position in range(width):
        if abs(counts[position] - n * share) > _TOLERANCE * spread:
            letter = ascii_uppercase[position]
            yield (
                f"{counts[position]} of {n} right answers have the letter {letter} (of {width} letters): expected about "
                f"{n * share:.0f}"
            )
