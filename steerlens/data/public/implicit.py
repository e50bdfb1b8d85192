"""The implicit form of a question that names its country: the same question without the country.

Each language has rules, which are applied in order. A rule removes the country and corrects the sentence. If a country or its
people are still in the sentence afterwards, there is no implicit form and the question is dropped.
"""

import re
from dataclasses import dataclass
from functools import cache

Edit = tuple[str, str]
"""A regular expression, with ``{C}`` in place of the country's names, and its replacement."""


@dataclass(frozen=True)
class Rules:
    """How one language names a country in a question, and how to remove the name."""

    edits: tuple[Edit, ...]
    names: str
    """Regular expression of the names of countries and peoples that no implicit question may contain."""
    tidy: tuple[Edit, ...] = ()
    """Edits of the whole sentence after the country has been removed."""
    dotted: bool = False
    """Whether the capital letter of i is İ, as in Turkic languages."""


def implicit(question: str, country: str, rules: Rules) -> str | None:
    """The question without its country, or ``None`` if the country cannot be removed. A question that names no country is
    unchanged.

    Args:
        question: the question as it is in the data set.
        country: regular expression for the country's own names in the question's language.
        rules: the rules of that language.
    """
    text = question
    for pattern, replacement in _compiled(rules.edits, country):
        text = pattern.sub(replacement, text)
    if text != question:
        for pattern, replacement in _compiled((*rules.tidy, *_TIDY), country):
            text = pattern.sub(replacement, text)
        text = _capital_like(text.strip(), question.strip(), dotted=rules.dotted)
    return None if re.search(f"{country}|{rules.names}", text) else text


def names_country(question: str, country: str) -> bool:
    """Whether a question names the country."""
    return re.search(country, question) is not None


def named_for_yours(question: str, yours: tuple[str, str] | None) -> str:
    """The question with the country's name in place of "your country", or ``""`` if the question does not contain that phrase.

    Args:
        question: the question as it is in the data set.
        yours: regular expression for "your country" in the language, and the country's name.
    """
    return re.sub(*yours, question) if yours and re.search(yours[0], question) else ""


_TIDY: tuple[Edit, ...] = (
    (r"[ \t]{2,}", " "),
    (r" +([?.!,;:؟،；，。？！)\]）])", r"\1"),
    (r"([(\[¿¡（]) +", r"\1"),
    (r"^[\s,，、،]+", ""),
    (r"([¿¡])[\s,]+", r"\1"),
)
"""The edits that every language needs after a removal: no double space, no space before a punctuation mark, no comma at the
start."""


@cache
def _compiled(edits: tuple[Edit, ...], country: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern.replace("{C}", f"(?:{country})")), replacement) for pattern, replacement in edits)


def capital(text: str, *, dotted: bool = False) -> str:
    """The text with a capital first letter."""
    return ("İ" if dotted and text[:1] == "i" else text[:1].upper()) + text[1:]


def _capital_like(text: str, original: str, *, dotted: bool) -> str:
    """The text with a capital first letter if the original had one, because the first word may have been inside the sentence
    before."""
    was = next((letter for letter in original if letter.isalpha()), "")
    at = next((index for index, letter in enumerate(text) if letter.isalpha()), None)
    if at is None or not was.isupper():
        return text
    return text[:at] + capital(text[at:], dotted=dotted)
