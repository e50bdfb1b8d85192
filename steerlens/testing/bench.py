"""The objects that the checks of one architecture share: the loaded model, the reference, items, vectors and texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

import steerlens as sl
from steerlens.data import Item, atlas, locale
from steerlens.evaluation import Scorer, Scoring
from steerlens.steering import Add, SteeredTokens, SteeringPlan, Step, no_steering
from steerlens.testing.byhand import ByHand
from steerlens.testing.family import Family

_CONCEPTS = ("largest-ocean", "river-london", "river-brazil")
_SOLVED = ("eiffel-tower-city", "colosseum-city")
_CHOICES = 3
_LOCALE = "es-ES"
TEXTS = (
    "¿Cuál es el océano más grande del mundo? El mar, el mar, el mar",
    "Un río",
    "¿Qué gran río atraviesa la selva de Brasil?",
)
"""Texts of different lengths. The first text repeats words, so that generation with ``prompt_lookup_num_tokens`` finds earlier
words."""
_SHARE = 0.5
"""The norm of a vector, as a multiple of the mean residual norm of its layer."""


@dataclass(frozen=True)
class Recipe:
    """A plan for the engine, and the vectors by layer that steer the reference model in the same way."""

    plan: SteeringPlan
    directions: dict[int, Tensor]


@dataclass(frozen=True)
class Case:
    """The tokens of a prompt and of one choice after the prompt."""

    ids: tuple[int, ...]
    prompt: int
    """The number of tokens in ``ids`` that belong to the prompt."""


@dataclass(frozen=True, eq=False)
class Bench:
    """One architecture with all objects that its checks need."""

    model: sl.LensModel
    hand: ByHand
    items: tuple[Item, ...]
    examples: tuple[Item, ...]
    vectors: Tensor
    """A random vector for each layer, ``[layer, d_model]``."""

    @classmethod
    def of(cls, family: Family, folder: Path, model: sl.LensModel) -> "Bench":
        """Returns the objects for the checks of a tiny model that was loaded from a folder."""
        hand = ByHand(family, folder)
        norms = hand.residuals(model.tokens(TEXTS[0]).ids).norm(dim=-1).mean(dim=-1)
        drawn = torch.randn(len(hand.layers), model.d_model, generator=torch.Generator().manual_seed(2))
        vectors = _SHARE * norms[:, None] * torch.nn.functional.normalize(drawn, dim=1)
        return cls(model, hand, _items(_CONCEPTS), _items(_SOLVED), vectors)

    def scorer(self, *, solved: bool) -> Scorer:
        """Returns a scorer of the items. With ``solved``, solved examples are put in front of each prompt."""
        return Scorer(self.model, self.items, Scoring("none", examples=self.examples if solved else ()))

    def recipes(self, tokens: SteeredTokens) -> list[Recipe]:
        """Returns ten plans: each layer with two strengths, two layers at once, and no steering."""
        last = len(self.vectors) - 1
        each = [self.recipe({layer: strength}, tokens) for strength in (1.0, -0.7) for layer in range(last + 1)]
        nothing = Recipe(no_steering(self.model.fingerprint), {})
        return [*each, self.recipe({0: 0.6, last - 1: -0.8}, tokens), nothing]

    def recipe(self, strengths: dict[int, float], tokens: SteeredTokens) -> Recipe:
        """Returns the plan that adds the vectors of some layers with the given strengths."""
        steps = tuple(Step(Add(self.vectors[layer]), layer, strength, tokens) for layer, strength in strengths.items())
        directions = {layer: strength * self.vectors[layer] for layer, strength in strengths.items()}
        return Recipe(SteeringPlan(steps, self.model.fingerprint), directions)

    def cases(self, *, solved: bool) -> list[list[Case]]:
        """Returns the tokens of every choice of every item. The prompt ends where the tokens of any choice first differ from the
        tokens of the prompt alone."""
        return [list(self._cases(item, self.examples if solved else ())) for item in self.items]

    def scores(self, cases: Sequence[Case], directions: dict[int, Tensor], tokens: SteeredTokens) -> Tensor:
        """Returns the summed log probabilities of an item's choices from the reference model, ``[copy, choice]``. Several
        copies of each text are run in one batch, and each copy has its own added vectors.

        Args:
            directions: the vectors that are added after each layer in each copy of the text, ``[copy, d_model]``.
        """
        found = []
        for case in cases:
            mask = self.hand.steered(case.ids, case.prompt, tokens)[None, :, None]
            logits = self.hand.logits(case.ids, {layer: mask * vectors[:, None] for layer, vectors in directions.items()})
            behind = torch.tensor(case.ids[case.prompt :]).expand(len(logits), -1)
            found.append(logits[:, case.prompt - 1 : -1].log_softmax(-1).gather(2, behind[..., None]).sum(dim=(1, 2)))
        return torch.stack(found, dim=1)

    def scores_of(self, recipes: Sequence[Recipe], cases: Sequence[Case], tokens: SteeredTokens) -> Tensor:
        """Returns the summed log probabilities of an item's choices under each of some plans, ``[plan, choice]``."""
        nothing = torch.zeros(self.model.d_model)
        layers = range(len(self.vectors))
        directions = {layer: torch.stack([recipe.directions.get(layer, nothing) for recipe in recipes]) for layer in layers}
        return self.scores(cases, directions, tokens)

    def _cases(self, item: Item, examples: Sequence[Item]) -> Iterator[Case]:
        space = locale(item.locale).space
        shown = "".join(f"{e.prompt('implicit').text}{space}{e.choices[e.answer]}\n\n" for e in examples)
        text = shown + item.prompt("implicit").text
        prompt = self.model.tokens(text).ids
        wholes = [self.model.tokens(f"{text}{space}{choice}").ids for choice in item.choices]
        cut = min(_shared(prompt, whole) for whole in wholes)
        yield from (Case(whole, cut) for whole in wholes)


def _shared(a: Sequence[int], b: Sequence[int]) -> int:
    """Returns the length of the beginning that two sequences share."""
    return next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@cache
def _items(concepts: tuple[str, ...]) -> tuple[Item, ...]:
    """Returns items of the atlas in one language. Only the first choices are kept, and each choice has one name."""
    known = {item.concept: item for item in atlas([_LOCALE]) if item.locale == _LOCALE}
    return tuple(replace(known[concept], choices=known[concept].choices[:_CHOICES], aliases=()) for concept in concepts)
