"""Contrast pairs, which are positive and negative prompts of the same concepts. The mean difference of their residuals is a
direction."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from steerlens.data.locales import ENGLISH, asks_in_english
from steerlens.data.locales import locale as locale_of
from steerlens.data.prompts import Prompt
from steerlens.errors import PairsError


@dataclass(frozen=True)
class PromptPairs:
    """Positive and negative prompts of the same concepts, in the same order. Plain texts become prompts.

    Raises:
        PairsError: there are no prompts, the two sides have different numbers of prompts, or a side contains a value that is not
            a text or a prompt.
    """

    positive: tuple[Prompt, ...]
    """The positive prompts, towards which the direction points."""
    negative: tuple[Prompt, ...]
    """The negative prompts, away from which the direction points."""
    name: str = "custom"
    """The name of the contrast: ``EN``, ``LOC`` or the user's own."""
    locale: str = ""
    """The code of the locale of the pairs, or an empty text for pairs without a locale."""

    def __post_init__(self) -> None:
        for side in ("positive", "negative"):
            object.__setattr__(self, side, tuple(_prompt(given, side) for given in getattr(self, side)))
        if not self.positive or not self.negative or len(self.positive) != len(self.negative):
            raise PairsError(
                f"pairs {self.name!r} have {len(self.positive)} positive and {len(self.negative)} negative prompts: expected the "
                "same number of positive and negative prompts, and at least one of each. Check that the items contain both sides "
                "(English and the "
                "locale for EN pairs, explicit questions for LOC pairs)."
            )

    def __len__(self) -> int:
        return len(self.positive)

    def digest(self) -> str:
        """Returns the SHA-256 digest of the texts of the positive and negative prompts, in order."""
        texts = [[prompt.text for prompt in side] for side in (self.positive, self.negative)]
        return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()


def _prompt(given: object, side: str) -> Prompt:
    if isinstance(given, str):
        return Prompt(given)
    if isinstance(given, Prompt):
        return given
    raise PairsError(f"{type(given).__name__} given among the {side} prompts ({given!r:.60}): expected only texts or prompts.")


def english_pairs(prompts: Iterable[Prompt], locale: str, kind: str = "factual") -> PromptPairs:
    """Returns EN pairs. A pair has the English prompt as the positive side and the locale's prompt as the negative side. Each
    concept that both locales have gives one pair.

    Args:
        prompts: prompts of English and of the locale. Explicit prompts are ignored.
        locale: the code of the locale that is contrasted with English.
        kind: the kind of the concepts, ``factual`` or ``cultural``.

    Raises:
        PairsError: no concept has prompts in both locales, or the locale's language is English.
    """
    if locale == ENGLISH:
        raise PairsError(
            f"locale {ENGLISH} given for EN pairs: expected another locale, because EN pairs contrast a locale with {ENGLISH}."
        )
    if asks_in_english(locale):
        raise PairsError(
            f"locale {locale} given for EN pairs: this locale also asks in English, so both prompts of a pair would be the "
            "same. Use another contrast for this locale, for example contrasts=[steerlens.steering.LOC]."
        )
    asked = [prompt for prompt in prompts if prompt.kind == kind and prompt.form != "explicit"]
    english = {prompt.concept: prompt for prompt in asked if prompt.locale == ENGLISH}
    own = {prompt.concept: prompt for prompt in asked if prompt.locale == locale}
    return _paired("EN" if kind == "factual" else f"EN {kind}", locale, english, own)


def localized_pairs(prompts: Iterable[Prompt], locale: str) -> PromptPairs:
    """Returns LOC pairs. A pair has the explicit prompt as the positive side and the implicit prompt as the negative side. Each
    cultural concept of the locale gives one pair.

    Args:
        prompts: implicit and explicit prompts. Prompts of other locales and factual prompts are ignored.
        locale: the code of the locale.

    Raises:
        PairsError: no cultural concept of this locale has both prompts.
    """
    cultural = [prompt for prompt in prompts if prompt.kind == "cultural" and prompt.locale == locale]
    explicit = {prompt.concept: prompt for prompt in cultural if prompt.form == "explicit"}
    implicit = {prompt.concept: prompt for prompt in cultural if prompt.form == "implicit"}
    return _paired("LOC", locale, explicit, implicit)


def named_pairs(questions: Mapping[str, str], kind: str, code: str, country: str) -> PromptPairs:
    """Returns pairs of a question with the country's name and a colon in front (``España: ¿Qué …?``) and the question without the
    name.

    Args:
        questions: the implicit question of each concept.
        kind: the kind of the concepts, ``factual`` or ``cultural``.
        code: the code of the locale.
        country: the country's name in the locale's language.

    Raises:
        PairsError: there are no questions.
    """
    place = locale_of(code)
    before = f"{country}{place.question.strip()[-1]}{place.space}"

    def prompts(form: str, start: str) -> dict[str, Prompt]:
        return {c: Prompt(place.prompt(start + question), c, code, kind, form) for c, question in questions.items()}

    return _paired(f"LOC named {kind}", code, prompts("explicit", before), prompts("implicit", ""))


def named_country(code: str, explicit: Iterable[str]) -> str:
    """Returns the country's name in the form that most of the explicit questions use.

    Raises:
        PairsError: no question names the country, or the locale has no pattern for the country's name.
    """
    pattern = locale_of(code).own_country
    found = [match.group() for question in explicit if pattern and (match := re.search(pattern, question))]
    if not found:
        raise PairsError(
            f"no explicit question of {code} names the country of this locale (pattern {pattern!r}). Give the country's "
            "name, for example country='España'."
        )
    return Counter(found).most_common(1)[0][0]


def _paired(name: str, locale: str, positive: dict[str, Prompt], negative: dict[str, Prompt]) -> PromptPairs:
    shared = [concept for concept in negative if concept in positive]
    return PromptPairs(tuple(positive[c] for c in shared), tuple(negative[c] for c in shared), name, locale)
