"""What recipes did to items: each is run once in a locale and remembered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from steerlens.data import Item
from steerlens.evaluation.attribution import Attribution, attributions
from steerlens.evaluation.finite import finite
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.scorer import Scorer
from steerlens.evaluation.searching.objectives import Gains
from steerlens.evaluation.searching.recipes import Recipe
from steerlens.progress import SHOW_FROM, advance, progress
from steerlens.steering import SteeringVector

if TYPE_CHECKING:
    import pandas as pd

HIT, ENGLISH_CENTRIC, MARGIN, TEXT = range(4)
"""Rows of marks; the last is the score of the right (or local) answer's text."""
Marks = Float[ndarray, "4 item"]


@dataclass(frozen=True, eq=False)
class Part:
    """Items of one locale, and the vectors that they are steered with: taken from other concepts."""

    locale: str
    exam: Scorer
    vectors: Mapping[str, SteeringVector]
    """By name."""


class Ledger:
    """What each item got, by locale and recipe. A locale's items stand in the order of its parts."""

    def __init__(self, parts: Sequence[Part]) -> None:
        """Runs nothing yet."""
        self.locales = tuple(dict.fromkeys(part.locale for part in parts))
        self.parts = {locale: [part for part in parts if part.locale == locale] for locale in self.locales}
        self.items: dict[str, tuple[Item, ...]] = {
            locale: tuple(question.item for part in own for question in part.exam.questions) for locale, own in self.parts.items()
        }
        self.passes = 0
        """Items that were run, over all recipes."""
        self._marks: dict[tuple[str, Recipe], Marks] = {}

    def run(self, recipes: Iterable[Recipe], locales: Sequence[str], title: str) -> None:
        """Runs those of the recipes that were not run before, and unsteered.

        Raises:
            ModelError: scores of the unsteered model that are not finite.
        """
        todo = {x: [r for r in dict.fromkeys(recipes) if (x, r) not in self._marks and r.cells] for x in locales}
        total = sum(len(recipes) * len(self.items[x]) for x, recipes in todo.items())
        self.passes += total
        with progress(total, title, "item", show=total >= SHOW_FROM) as bar:
            for locale, wanted in todo.items():
                bar.set_postfix_str(locale)
                found: dict[int, list[Marks]] = {}
                for part in self.parts[locale]:
                    for index, outcomes in part.exam.sweep([recipe.plan(part.vectors) for recipe in wanted]):
                        advance(bar, len(part.exam) / part.exam.n_batches)
                        if outcomes is not None:
                            found.setdefault(index, []).append(marks_of(outcomes))
                # Unsteered comes after: the pass that the recipes go on from has scored it on its way.
                self.note(locale, Recipe(), np.hstack([_unsteered(part.exam) for part in self.parts[locale]]))
                for index, recipe in enumerate(wanted):
                    self.note(locale, recipe, np.hstack(found[index]))

    def note(self, locale: str, recipe: Recipe, marks: Marks) -> None:
        """Remembers what was run, here or elsewhere."""
        self._marks[locale, recipe] = marks

    def tried(self, locales: Sequence[str]) -> list[Recipe]:
        """Recipes that were run in all of these locales, in the order in which they were, unsteered among them."""
        first, *others = locales
        return [recipe for x, recipe in self._marks if x == first and all((other, recipe) in self._marks for other in others)]

    def marks(self, locale: str, recipe: Recipe) -> Marks:
        """What a recipe that was run made of a locale's items."""
        return self._marks[locale, recipe]

    def gains(self, recipe: Recipe, locales: Sequence[str]) -> Gains:
        """Mean changes over the items of some locales, in all of which it was run."""
        return self.gains_of([self.marks(x, recipe) for x in locales], locales)

    def gains_of(self, marks: Sequence[Marks], locales: Sequence[str]) -> Gains:
        """The same of marks that come from elsewhere: one array a locale."""
        changes = np.hstack([own - self.marks(x, Recipe()) for x, own in zip(locales, marks, strict=True)])
        return gains_of(changes, np.concatenate([self.factual(x) for x in locales]))

    def factual(self, locale: str) -> Bool[ndarray, " item"]:
        """Which of a locale's items are factual."""
        return np.array([item.kind == "factual" for item in self.items[locale]])

    def rows(self, recipes: Sequence[Recipe]) -> "pd.DataFrame":
        """A row per recipe and item in the columns of a sweep, behind the recipe itself."""
        import pandas as pd

        rows = []
        for locale in self.locales:
            base = self.marks(locale, Recipe())
            for recipe in recipes:
                for item, after, before in zip(self.items[locale], self.marks(locale, recipe).T, base.T, strict=True):
                    place = {"recipe": recipe, "exact": True, "locale": locale, "kind": item.kind, "concept": item.concept}
                    rows.append({**place, **_named(after), **{f"base_{name}": value for name, value in _named(before).items()}})
        return pd.DataFrame(rows)


class Predictor:
    """Predicts what a vector does at strengths that were not run, from one that was at the same layer, and the derivative."""

    def __init__(self, ledger: Ledger, anchors: Sequence[Recipe]) -> None:
        """Runs a pass forward and one backward for each part.

        Args:
            anchors: recipes of one cell, run in every locale, all at the same tokens.
        """
        self.ledger, self._known = ledger, {}
        layers: dict[str, list[int]] = {}
        for recipe in anchors:
            layers.setdefault(recipe.cells[0].vector, []).append(recipe.cells[0].layer)
        n = sum(map(len, ledger.parts.values()))
        with progress(n, "Derivatives", "part") as bar:
            for locale, parts in ledger.parts.items():
                pieces = []
                for part in parts:
                    wanted = [(part.vectors[name], sorted(own)) for name, own in layers.items()]
                    pieces.append(attributions(part.exam, wanted, anchors[0].tokens[0]))
                    bar.update()
                for name in layers:
                    slopes = {layer: np.concatenate([p[name].slopes[layer] for p in pieces]) for layer in layers[name]}
                    self._known[locale, name] = Attribution(slopes)
                for recipe in anchors:
                    cell = recipe.cells[0]
                    change = ledger.marks(locale, recipe)[MARGIN] - ledger.marks(locale, Recipe())[MARGIN]
                    known = self._known[locale, cell.vector]
                    self._known[locale, cell.vector] = known.anchored(cell.layer, cell.strength, change)

    def gains(self, recipe: Recipe, locales: Sequence[str]) -> Gains:
        """Predicted gains of one cell; side effects are not predicted."""
        return self.ledger.gains_of([self._predicted(locale, recipe) for locale in locales], locales)

    def _predicted(self, locale: str, recipe: Recipe) -> Marks:
        (cell,) = recipe.cells
        marks = self.ledger.marks(locale, Recipe()).copy()
        marks[MARGIN] += self._known[locale, cell.vector].predict(cell.layer, cell.strength)
        marks[HIT] = marks[MARGIN] > 0
        return marks


def marks_of(outcomes: Sequence[Outcome]) -> Marks:
    """Outcomes as numbers; NaN where scores are not finite."""
    marks = [(o.hit, o.english_centric, o.margin, o.scores[o.item.answer]) if o.valid else (np.nan,) * 4 for o in outcomes]
    return np.array(marks, dtype=float).T


def _unsteered(exam: Scorer) -> Marks:
    return marks_of(finite(exam.base, exam.model))


def gains_of(changes: Marks, factual: Bool[ndarray, " item"]) -> Gains:
    """Means of changes, each over the kind of item that it is measured on; 0 where there is none of it, NaN where one is NaN."""
    means = [changes[:, kind].mean(axis=1) if kind.any() else np.zeros(len(changes)) for kind in (factual, ~factual)]
    (transfer, _, transfer_margin, _), (localization, english, localization_margin, _) = (map(float, kind) for kind in means)
    text = float(changes[TEXT].mean())
    gains = Gains(transfer, localization, english, transfer_margin, localization_margin)
    return gains if np.isnan(text) else replace(gains, perplexity=float(np.exp(-text)))


def _named(marks: Float[ndarray, " 4"]) -> dict[str, bool | float]:
    return {
        "hit": marks[HIT] == 1, "english_centric": marks[ENGLISH_CENTRIC] == 1, "margin": float(marks[MARGIN]),
    }  # fmt: skip
