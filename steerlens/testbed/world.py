"""The toy world of a planted model: its words, concepts and answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steerlens.data import ENGLISH, Item, Items, Kind, locale
from steerlens.errors import SettingsError

N_ANSWERS = 12
"""The number of words that serve as answers. The answer words are the same in every language."""
N_CHOICES = 4
SPECIAL = ("<bos>", "<pad>", "<unk>")
_SYLLABLES = [c + v for c in "bdfgklmnprstz" for v in "aeiou"]


@dataclass(frozen=True)
class WorldConcept:
    """A concept of the toy world. Each locale has its own word for the concept, and the words do not show whether the concept
    is factual or cultural."""

    id: str
    kind: Kind
    words: Mapping[str, str]
    """The word for the concept in each locale."""
    choices: tuple[int, ...]
    """The numbers of the answer words. For a factual concept, the right answer is first. For a cultural concept, there is one
    answer for each locale, in the order of the locales."""


@dataclass(frozen=True)
class World:
    """A toy world: locales (English first), concepts and words, drawn at random from a seed."""

    locales: tuple[str, ...]
    concepts: tuple[WorldConcept, ...]
    answers: tuple[str, ...]
    fillers: Mapping[str, str]
    """The filler word of each locale, which takes the place of the country's name in questions without a country."""
    countries: Mapping[str, str]

    def vocabulary(self) -> list[str]:
        """Returns all words. Special tokens and cue words come first."""
        cues = [word for code in self.locales for word in (locale(code).question, locale(code).answer)]
        words = [word for concept in self.concepts for word in concept.words.values()]
        return list(dict.fromkeys([*SPECIAL, *cues, *self.fillers.values(), *self.countries.values(), *self.answers, *words]))

    def items(self) -> Items:
        """Returns an item for every concept and locale. Items of cultural concepts have a question without the country and a
        question with the country."""
        return Items(tuple(self._item(concept, code) for concept in self.concepts for code in self.locales), "planted")

    def _item(self, concept: WorldConcept, code: str) -> Item:
        word, choices = concept.words[code], tuple(self.answers[number] for number in concept.choices)
        implicit = f"{word} {self.fillers[code]}"
        topic = f"topic {int(concept.id[1:]) % 5}"
        if concept.kind == "factual":
            return Item(concept.id, concept.kind, code, implicit, choices, 0, topic=topic, source="planted")
        explicit, owners = f"{word} {self.countries[code]}", tuple((owner,) for owner in self.locales)
        own = self.locales.index(code)
        return Item(concept.id, concept.kind, code, implicit, choices, own, explicit, owners, topic=topic, source="planted")


def world(locales: Sequence[str], n: int, rng: np.random.Generator) -> World:
    """Returns a toy world with ``n`` concepts of each kind.

    Raises:
        SettingsError: the toy words cannot be written in a locale, or there are fewer than six concepts of a kind.
    """
    every = tuple(dict.fromkeys((ENGLISH, *locales)))
    odd = [code for code in every if " " in locale(code).question or locale(code).space != " "]
    if odd or not 2 <= len(every) <= N_ANSWERS or n < 6:
        raise SettingsError(
            f"locales {tuple(locales)} and {n} concepts of each kind given: expected at least six concepts, and 1 to "
            f"{N_ANSWERS - 1} locales other than {ENGLISH}. The word for 'Question' in these locales must be one word with a "
            "space after it, as in es-ES or ko-KR."
        )
    words = iter(_words(2 * n * len(every) + 2 * len(every) + N_ANSWERS, rng))
    answers = tuple(next(words) for _ in range(N_ANSWERS))
    fillers, countries = ({code: next(words) for code in every} for _ in range(2))
    kinds: list[Kind] = ["factual", "cultural"]
    concepts = tuple(
        WorldConcept(
            f"{kind[0]}{number}",
            kind,
            {code: next(words) for code in every},
            tuple(rng.permutation(N_ANSWERS)[: N_CHOICES if kind == "factual" else len(every)].tolist()),
        )
        for kind in kinds
        for number in range(n)
    )
    return World(every, concepts, answers, fillers, countries)


def _words(n: int, rng: np.random.Generator) -> list[str]:
    """Returns ``n`` different words of three syllables."""
    found: dict[str, None] = {}
    while len(found) < n:
        found["".join(rng.choice(_SYLLABLES, size=3))] = None
    return list(found)
