"""Contrasts: the pairs from which a vector is taken, and the score that it is meant to raise."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from steerlens.data import ENGLISH, Items, Prompt, PromptPairs
from steerlens.errors import PairsError, SettingsError
from steerlens.scores import GivenScore, Score, score_of
from steerlens.steering.interventions import Intervention
from steerlens.steering.vectors import SteeringVector


def as_it_is(vector: SteeringVector) -> Intervention:
    """Returns the vector itself, which is added when it steers."""
    return vector


@dataclass(frozen=True)
class Contrast:
    """A contrast: a name, a way to make pairs of prompts from items, and the score that the difference is meant to raise."""

    name: str
    """The name of its vectors."""
    pairs: Callable[[Items, str], PromptPairs] | PromptPairs
    """A function of items and a locale that returns the locale's pairs; or pairs that are the same for all locales."""
    score: str = ""
    """The name of the score that its vectors are meant to raise; ``""`` for none, and then ``choose`` needs a score. You can
    also give your own Score object: it is registered, and its name is stored."""
    made: Callable[[SteeringVector], Intervention] = as_it_is
    """A function from the difference of means to the intervention, for example ``SteeringVector.ablation``."""

    def __post_init__(self) -> None:
        if not callable(self.pairs) and not isinstance(self.pairs, PromptPairs):
            raise PairsError(
                f"{type(self.pairs).__name__} given as the pairs of contrast {self.name!r}: expected PromptPairs, or a "
                "function that takes items and a locale and returns PromptPairs. To make a contrast from a list of pairs of "
                "texts, use Contrast.of."
            )
        if isinstance(self.score, Score):
            object.__setattr__(self, "score", score_of(self.score).name)

    @classmethod
    def of(cls, name: str, pairs: Iterable[tuple[str | Prompt, str | Prompt]], score: GivenScore = "") -> "Contrast":
        """Returns a contrast of given prompts, without items, locale or culture.

        Args:
            name: the name of the vector.
            pairs: the positive and the negative prompt of each pair; the vector points from the negative to the positive
                prompts.
            score: the score that it is meant to raise, or its name.

        Raises:
            PairsError: there are no pairs, or something is not a pair of texts.
        """
        given = list(pairs)
        wrong = [pair for pair in given if not _is_pair(pair)]
        if wrong or not given:
            shown = repr(wrong[0]) if wrong else "no pairs"
            raise PairsError(
                f"{shown:.80} given for contrast {name!r}: expected at least one pair of texts (positive, negative), and only "
                "such pairs."
            )
        positive, negative = zip(*given, strict=True)
        return cls(name, PromptPairs(positive, negative, name), score)  # type: ignore[arg-type]

    @property
    def needs_items(self) -> bool:
        """Whether its pairs are made from items. Otherwise they are the same for all locales."""
        return not isinstance(self.pairs, PromptPairs)

    def pairs_of(self, items: Items | None, locales: Sequence[str]) -> list[PromptPairs]:
        """Returns the pairs of each locale, or one set of pairs without a locale if they are the same for all.

        Args:
            items: the items from which pairs are made.
            locales: the requested locales.

        Raises:
            PairsError: a locale's items give no pairs; or a function does not return pairs, or returns pairs of another locale.
            SettingsError: there are no items, although pairs are made from them.
        """
        if isinstance(self.pairs, PromptPairs):
            return [self.pairs]
        if items is None:
            raise SettingsError(
                f"no items given: contrast {self.name!r} makes its pairs from items. Give items, for example split.train."
            )
        return [self._made_of(items, locale) for locale in locales]

    def _made_of(self, items: Items, locale: str) -> PromptPairs:
        """Returns the pairs that the function makes from one locale's items. Pairs without a locale get this locale."""
        found: Any = self.pairs(items, locale)  # type: ignore[operator]
        if not isinstance(found, PromptPairs) or found.locale not in ("", locale):
            kind = f"pairs of {found.locale}" if isinstance(found, PromptPairs) else type(found).__name__
            raise PairsError(
                f"contrast {self.name!r} made {kind} from the items of {locale}: expected PromptPairs of that locale, such as "
                f"PromptPairs(positive, negative, {self.name!r}, locale)."
            )
        return replace(found, locale=locale)


EN = Contrast("EN", Items.english_pairs, "transfer")
"""The English prompt against the locale's prompt, over factual concepts (Han, Agrawal and Briakou, arXiv 2510.26024)."""
LOC = Contrast("LOC", Items.localized_pairs, "localization")
"""The explicit prompt against the implicit one, over cultural concepts (the same paper)."""


def loc_against(country: str = ENGLISH, name: str = LOC.name) -> Contrast:
    """Returns LOC with another negative prompt: it names another country, in the same language, instead of no country.

    The vector then contains which country is named, but not that a country is named. docs/variants.md compares it with LOC.

    Args:
        country: the code of the locale whose country the negative prompts name; items must contain its answers. With the
            default, the English locale, these answers are the English-centric ones.
        name: the name of its vectors. Give another name to use both kinds of LOC together.
    """
    return Contrast(name, partial(_against, country), LOC.score)


def _against(country: str, items: Items, locale: str) -> PromptPairs:
    """Returns pairs of the prompt that names the locale's country and the prompt that names another country."""
    return items.other_country_pairs(locale, country)


CONTRASTS = {contrast.name: contrast for contrast in (EN, LOC)}
"""The built-in contrasts by name."""


def builtin_aim(name: str) -> str:
    """Returns the score that the built-in contrast with a name is meant to raise; ``""`` for any other name."""
    return CONTRASTS[name].score if name in CONTRASTS else ""


def aim_of(given: Intervention | Contrast) -> str:
    """Returns the score that a vector, or a contrast's vectors, are meant to raise.

    Raises:
        SettingsError: no score was given, and there is no built-in contrast with this name.
    """
    if aim := given.score or builtin_aim(given.name):
        return aim
    raise SettingsError(
        f"contrast {given.name!r} was given without a score: expected the score that its vectors are meant to raise. Name the "
        "score with Contrast(name, pairs, score='localization') or dataclasses.replace(vector, score='localization')."
    )


def contrasts_of(given: Contrast | Iterable[Contrast]) -> tuple[Contrast, ...]:
    """Returns the contrasts that a user gives: one or several.

    Raises:
        SettingsError: there are no contrasts, two have the same name, or something is not a contrast.
    """
    several = (given,) if isinstance(given, Contrast) else tuple(given)
    wrong = [one for one in several if not isinstance(one, Contrast)]
    if wrong:
        known = ", ".join(f"sl.steering.{name}" for name in CONTRASTS)
        raise SettingsError(
            f"{wrong[0]!r:.60} given as a contrast: expected {known}, or your own contrast, made with Contrast.of."
        )
    names = [contrast.name for contrast in several]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not names or twice:
        what = f"two contrasts called {twice[0]!r}" if twice else "no contrasts"
        raise SettingsError(f"{what} given: expected at least one contrast, and a different name for each.")
    return several


def locales_of_items(items: Items | None) -> tuple[str, ...]:
    """Returns the locales of items except English, in which the EN pairs begin. If there is no other locale, English is
    returned."""
    found = items.locales if items is not None else ()
    return tuple(code for code in found if code != ENGLISH) or tuple(found)


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str | Prompt) for text in pair)
