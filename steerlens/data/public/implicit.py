"""Makes the implicit form of a question that names its country. The implicit form is the question without the country.

Each language has rules, which are applied in order. A rule removes the country and corrects the sentence. If the sentence still
names a country or a people afterwards, there is no implicit form and the question is left out.
"""

import re
from dataclasses import dataclass
from functools import cache

Edit = tuple[str, str]
"""A regular expression, in which ``{C}`` stands for the country's names, and the replacement of the matched text."""


@dataclass(frozen=True)
class Rules:
    """The rules that remove the name of a country from a question in one language."""

    edits: tuple[Edit, ...]
    names: str
    """A regular expression for the names of countries and peoples that an implicit question must not contain."""
    tidy: tuple[Edit, ...] = ()
    """The edits of the complete sentence after the country was removed."""
    dotted: bool = False
    """Whether the capital letter of i is İ, as in Turkic languages."""


def implicit(question: str, country: str, rules: Rules) -> str | None:
    """Returns the question without its country, or ``None`` if the country cannot be removed. A question that names no country is
    returned unchanged.

    Args:
        question: the question as it is in the data set.
        country: a regular expression for the country's names in the language of the question.
        rules: the rules of the language of the question.
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
    """Returns whether a question names the country."""
    return re.search(country, question) is not None


def named_for_yours(question: str, yours: tuple[str, str] | None) -> str:
    """Returns the question with the country's name instead of "your country", or ``""`` if the question does not contain these
    words.

    Args:
        question: the question as it is in the data set.
        yours: a regular expression for "your country" in the language, and the country's name.
    """
    return re.sub(*yours, question) if yours and re.search(yours[0], question) else ""


_TIDY: tuple[Edit, ...] = (
    (r"[ \t]{2,}", " "),
    (r" +([?.!,;:؟،；，。？！)\]）])", r"\1"),
    (r"([(\[¿¡（]) +", r"\1"),
    (r"^[\s,，、،]+", ""),
    (r"([¿¡])[\s,]+", r"\1"),
)
"""The edits that every language needs after the country was removed. The edits remove double spaces, spaces before a punctuation
mark, and a comma at the start."""


@cache
def _compiled(edits: tuple[Edit, ...], country: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern.replace("{C}", f"(?:{country})")), replacement) for pattern, replacement in edits)


def capital(text: str, *, dotted: bool = False) -> str:
    """Returns the text with a capital first letter."""
    return ("İ" if dotted and text[:1] == "i" else text[:1].upper()) + text[1:]


def _capital_like(text: str, original: str, *, dotted: bool) -> str:
    """Returns the text with a capital first letter if the original text begins with a capital letter. A word from inside the
    sentence can become the first word."""
    was = next((letter for letter in original if letter.isalpha()), "")
    at = next((index for index, letter in enumerate(text) if letter.isalpha()), None)
    if at is None or not was.isupper():
        return text
    return text[:at] + capital(text[at:], dotted=dotted)
