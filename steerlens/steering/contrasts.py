"""Contrasts: the pairs from which a vector is taken, and the score that the vector is meant to raise."""

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
    """Returns the vector unchanged. Steering then adds the vector to the residual."""
    return vector


@dataclass(frozen=True)
class Contrast:
    """A contrast: a name, a way to make pairs of prompts from items, and the score that the difference is meant to raise."""

    name: str
    """The name of the contrast's vectors."""
    pairs: Callable[[Items, str], PromptPairs] | PromptPairs
    """A function of items and a locale that returns the locale's pairs, or one set of pairs for all locales."""
    score: str = ""
    """The name of the score that the contrast's vectors are meant to raise. ``""`` means no score. A score must then be given
    to ``choose``. If you give your own ``Score`` object, the score is registered and its name is stored."""
    made: Callable[[SteeringVector], Intervention] = as_it_is
    """A function that turns the difference of means into the intervention, for example ``SteeringVector.ablation``."""

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
        """Returns a contrast from given pairs of prompts, without items and without a locale.

        Args:
            name: the name of the vector.
            pairs: the pairs of prompts, each a positive and a negative prompt. The vector points from the negative to the
                positive prompts.
            score: the score that the vector is meant to raise, or the name of the score.

        Raises:
            PairsError: there are no pairs, or an element is not a pair of texts.
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
        """Whether the pairs are made from items. If ``False``, all locales have the same pairs."""
        return not isinstance(self.pairs, PromptPairs)

    def pairs_of(self, items: Items | None, locales: Sequence[str]) -> list[PromptPairs]:
        """Returns the pairs of each locale. If the contrast has one set of pairs for all locales, this set is returned
        without a locale.

        Args:
            items: the items from which pairs are made.
            locales: the requested locales.

        Raises:
            PairsError: no pairs can be made from a locale's items, or the function does not return pairs or returns pairs of
                another locale.
            SettingsError: no items are given, but the contrast makes its pairs from items.
        """
        if isinstance(self.pairs, PromptPairs):
            return [self.pairs]
        if items is None:
            raise SettingsError(
                f"no items given: contrast {self.name!r} makes its pairs from items. Give items, for example split.train."
            )
        return [self._made_of(items, locale) for locale in locales]

    def _made_of(self, items: Items, locale: str) -> PromptPairs:
        """Returns the pairs that the function makes from one locale's items. Pairs without a locale get the given locale."""
        found: Any = self.pairs(items, locale)  # type: ignore[operator]
        if not isinstance(found, PromptPairs) or found.locale not in ("", locale):
            kind = f"pairs of {found.locale}" if isinstance(found, PromptPairs) else type(found).__name__
            raise PairsError(
                f"contrast {self.name!r} made {kind} from the items of {locale}: expected PromptPairs of this locale, such as "
                f"PromptPairs(positive, negative, {self.name!r}, locale)."
            )
        return replace(found, locale=locale)


EN = Contrast("EN", Items.english_pairs, "transfer")
"""The contrast of the English prompt with the locale's prompt, over factual concepts (Han, Agrawal and Briakou, arXiv
2510.26024)."""
LOC = Contrast("LOC", Items.localized_pairs, "localization")
"""The contrast of the explicit prompt with the implicit prompt, over cultural concepts (Han, Agrawal and Briakou, arXiv
2510.26024)."""


def loc_against(country: str = ENGLISH, name: str = LOC.name) -> Contrast:
    """Returns the contrast LOC with another negative prompt. The negative prompt names another country in the same language,
    instead of no country.

    The vector of this contrast represents which country is named, but not that a country is named. The page docs/variants.md
    compares this contrast with LOC.

    Args:
        country: the code of the locale whose country the negative prompts name. The items must contain the answers of the
            locale ``country``. The default is the English locale, whose answers are the English-centric answers.
        name: the name of the contrast's vectors. Give a name other than ``LOC`` if you use the contrast together with LOC.
    """
    return Contrast(name, partial(_against, country), LOC.score)


def _against(country: str, items: Items, locale: str) -> PromptPairs:
    """Returns pairs of the prompt that names the locale's country and the prompt that names another country."""
    return items.other_country_pairs(locale, country)


CONTRASTS = {contrast.name: contrast for contrast in (EN, LOC)}
"""The built-in contrasts by name."""


def builtin_aim(name: str) -> str:
    """Returns the score that a built-in contrast is meant to raise, or ``""`` if the name is not a built-in contrast."""
    return CONTRASTS[name].score if name in CONTRASTS else ""


def aim_of(given: Intervention | Contrast) -> str:
    """Returns the score that a vector, or the vectors of a contrast, are meant to raise.

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
    """Returns the given contrast, or the several given contrasts, as a tuple.

    Raises:
        SettingsError: there are no contrasts, two contrasts have the same name, or an element is not a contrast.
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
        raise SettingsError(f"{what} given: expected at least one contrast, and a different name for each contrast.")
    return several


def locales_of_items(items: Items | None) -> tuple[str, ...]:
    """Returns the locales of items except English, because every EN pair already contains an English prompt. If there is no
    other locale, English is returned."""
    found = items.locales if items is not None else ()
    return tuple(code for code in found if code != ENGLISH) or tuple(found)


def _is_pair(pair: object) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(text, str | Prompt) for text in pair)
