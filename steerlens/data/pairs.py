"""Contrast pairs: two sets of prompts of the same concepts, whose mean difference is a direction."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from steerlens.data.locales import ENGLISH
from steerlens.data.prompts import Prompt
from steerlens.errors import PairsError


@dataclass(frozen=True)
class PromptPairs:
    """Positive and negative prompts of the same concepts, in the same order."""

    positive: tuple[Prompt, ...]
    negative: tuple[Prompt, ...]
    name: str = "custom"
    """``EN``, ``LOC`` or the user's own."""
    locale: str = ""

    def __post_init__(self) -> None:
        if not self.positive or not self.negative or len(self.positive) != len(self.negative):
            raise PairsError(
                f"pairs {self.name!r} have {len(self.positive)} positive and {len(self.negative)} negative prompts: "
                "expected as many of one as of the other, and at least one. Check that the items hold both sides "
                "(English and the locale for EN pairs, explicit questions for LOC pairs)."
            )

    def __len__(self) -> int:
        return len(self.positive)

    def digest(self) -> str:
        """SHA-256 over both sides' texts, in order."""
        texts = [[prompt.text for prompt in side] for side in (self.positive, self.negative)]
        return hashlib.sha256(json.dumps(texts, ensure_ascii=False).encode()).hexdigest()


def english_pairs(prompts: Iterable[Prompt], locale: str) -> PromptPairs:
    """EN pairs: the English prompt against the locale's, for each factual concept that has both.

    Raises:
        PairsError: there is no such concept, or the locale is English itself.
    """
    if locale == ENGLISH:
        raise PairsError(f"EN pairs contrast a locale with {ENGLISH} and were asked for {ENGLISH} itself. Name another locale.")
    factual = [prompt for prompt in prompts if prompt.kind == "factual"]
    english = {prompt.concept: prompt for prompt in factual if prompt.locale == ENGLISH}
    own = {prompt.concept: prompt for prompt in factual if prompt.locale == locale}
    return _paired("EN", locale, english, own)


def localized_pairs(prompts: Iterable[Prompt], locale: str) -> PromptPairs:
    """LOC pairs: the explicit prompt against the implicit one, for each cultural concept of the locale.

    Raises:
        PairsError: no cultural concept of this locale has both.
    """
    cultural = [prompt for prompt in prompts if prompt.kind == "cultural" and prompt.locale == locale]
    explicit = {prompt.concept: prompt for prompt in cultural if prompt.form == "explicit"}
    implicit = {prompt.concept: prompt for prompt in cultural if prompt.form == "implicit"}
    return _paired("LOC", locale, explicit, implicit)


def _paired(name: str, locale: str, positive: dict[str, Prompt], negative: dict[str, Prompt]) -> PromptPairs:
    shared = [concept for concept in negative if concept in positive]
    return PromptPairs(tuple(positive[c] for c in shared), tuple(negative[c] for c in shared), name, locale)
