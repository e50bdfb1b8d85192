"""Contrasts: what a vector is taken from, and which score it is meant to raise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from steerlens.data import ENGLISH, Items, Prompt, PromptPairs
from steerlens.errors import PairsError, SettingsError, UnknownNameError
from steerlens.steering.interventions import Intervention
from steerlens.steering.vectors import SteeringVector


def as_it_is(vector: SteeringVector) -> Intervention:
    """Returns the vector, which is then added."""
    return vector


@dataclass(frozen=True)
class Contrast:
    """A name, how to make pairs of prompts of items, and the score that the difference is meant to raise."""

    name: str
    """What its vectors are called."""
    pairs: Callable[[Items, str], PromptPairs] | PromptPairs
    """From items and a locale to that locale's pairs; or pairs that are the same for all locales."""
    score: str = ""
    """The name of the score that its vectors are meant to raise; ``""`` for none, and then ``choose`` must be told."""
    made: Callable[[SteeringVector], Intervention] = as_it_is
    """From the difference of means to what is done with it, as ``SteeringVector.ablation``."""

    @classmethod
    def of(cls, name: str, pairs: Iterable[tuple[str | Prompt, str | Prompt]], score: str = "") -> "Contrast":
        """Returns a contrast of prompts that are given as they are, without items, locale or culture.

        Args:
            name: what the vector is called.
            pairs: positive and negative prompt of each pair; the vector points from the negative ones to the positive ones.
            score: the name of the score that it is meant to raise.

        Raises:
            PairsError: no pairs, or something that is no pair of texts.
        """
        given = list(pairs)
        wrong = [pair for pair in given if not _is_pair(pair)]
        if wrong or not given:
            shown = repr(wrong[0]) if wrong else "no pairs"
            raise PairsError(
                f"{shown:.80} given for contrast {name!r}: expected pairs of texts (positive, negative), at least one."
            )
        positive, negative = zip(*given, strict=True)
        return cls(name, PromptPairs(positive, negative, name), score)

    @property
    def needs_items(self) -> bool:
        """Whether its pairs are made of items; else they are the same for all locales."""
        return not isinstance(self.pairs, PromptPairs)

    def pairs_of(self, items: Items | None, locales: Sequence[str]) -> list[PromptPairs]:
        """Returns the pairs of each locale; one set of pairs, without a locale, where they are the same for all.

        Args:
            items: what pairs are made of.
            locales: the locales that are wanted.

        Raises:
            PairsError: a locale whose items give no pairs.
            SettingsError: no items, where pairs are made of them.
        """
        if isinstance(self.pairs, PromptPairs):
            return [self.pairs]
        if items is None:
            raise SettingsError(f"no items given: contrast {self.name!r} makes its pairs of items. Give items, as split.train.")
        return [self.pairs(items, locale) for locale in locales]


EN = Contrast("EN", Items.english_pairs, "transfer")
"""The English prompt against the locale's, over factual concepts (Han, Agrawal and Briakou, arXiv 2510.26024)."""
LOC = Contrast("LOC", Items.localized_pairs, "localization")
"""The explicit prompt against the implicit one, over cultural concepts (the same paper)."""
CONTRASTS = {contrast.name: contrast for contrast in (EN, LOC)}
"""The built-in contrasts by name."""


def builtin_aim(name: str) -> str:
    """Returns the score that the built-in contrast of a name is meant to raise; ``""`` for any other name."""
    return CONTRASTS[name].score if name in CONTRASTS else ""


def aim_of(vector: Intervention) -> str:
    """Returns the score that a vector is meant to raise.

    Raises:
        UnknownNameError: nobody said so, and its name is that of no built-in contrast.
    """
    if aim := vector.score or builtin_aim(vector.name):
        return aim
    raise UnknownNameError(
        "contrast", vector.name, CONTRASTS,
        "Say which score the vector is meant to raise: Contrast(name, pairs, score=…), or dataclasses.replace(vector, score=…).",
    )  # fmt: skip


def locales_of_items(items: Items | None) -> tuple[str, ...]:
    """Returns the locales of items but English, from which EN pairs start; English too where there is no other."""
    found = items.locales if items is not None else ()
    return tuple(code for code in found if code != ENGLISH) or tuple(found)


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str | Prompt) for text in pair)
