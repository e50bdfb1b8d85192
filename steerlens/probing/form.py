"""How well the two kinds of prompts are told apart by form alone: what a probe must lie above."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from steerlens.data import KINDS, Items
from steerlens.data.splits import group_of
from steerlens.errors import DataError
from steerlens.probing.folds import Folds
from steerlens.probing.surface import surface_scores
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class FormSeparability(ResultTable):
    """How well the form of prompts alone tells their kinds apart, in each locale.

    Columns: locale, auroc and accuracy of character n-grams, length_factual and length_cultural (mean characters of the questions
    of each kind), n (prompts), concepts.
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "auroc", "accuracy", "length_factual", "length_cultural", "n", "concepts")

    def plot(self) -> "Figure":
        """Draws the AUROC by locale, as bars from chance."""
        from steerlens.plotting import form_bars

        return form_bars(self.frame)


def form_separability(items: Items, *, n_folds: int = 5, seed: int = 0) -> FormSeparability:
    """Measures the cross-validated AUROC of character n-grams that tell factual from implicit cultural prompts, per locale.

    Args:
        items: factual and cultural items.
        n_folds: the number of folds of concepts; fewer where there are fewer concepts of a kind.
        seed: the seed of the folds.

    Raises:
        DataError: there are fewer than two concepts of a kind.
    """
    import pandas as pd

    rows = []
    for code in items.locales:
        part = items.of(locale=code)
        folds, scores = _form(part, n_folds, seed)
        auroc, accuracy = (float(score.mean()) for score in (folds.auroc(scores), folds.accuracy(scores)))
        lengths = [float(np.mean([len(item.question) for item in part.of(kind=kind)])) for kind in KINDS]
        rows.append((code, auroc, accuracy, *lengths, len(part), len(part.concepts)))
    return FormSeparability(pd.DataFrame(rows, columns=list(FormSeparability.columns)))


def matched(items: Items, *, caliper: float = 0.2, n_folds: int = 5, seed: int = 0) -> Items:
    """Pairs factual with cultural concepts whose form is alike, and returns their items: what probes are best read on.

    Every concept gets a score from character n-grams that did not see it, how factual its form looks, averaged over locales; each
    cultural concept is paired with the free factual one whose score is nearest, if it is near enough. This is propensity score
    matching without replacement (Rosenbaum and Rubin 1983), with Austin's caliper (2011, doi 10.1002/pst.433). A concept's own
    kind plays no part in its score, so labels without any relation to form stay at chance. The text alone decides, no model. What
    is left can still be told apart a little: ``form_separability`` says how well.

    Args:
        items: factual and cultural items, best of the same concepts in every locale.
        caliper: the largest difference of two scores in a pair, in standard deviations of all scores.
        n_folds: the number of folds of concepts that scores are taken in; fewer where there are fewer concepts of a kind.
        seed: the seed of the folds.

    Raises:
        DataError: there are fewer than two concepts of a kind.
    """
    scores = _factual_looking(items, n_folds, seed)
    limit = caliper * float(np.std(list(scores.values())))
    free = sorted(items.of(kind="factual").concepts, key=scores.__getitem__)
    kept: list[str] = []
    for concept in sorted(items.of(kind="cultural").concepts, key=scores.__getitem__, reverse=True):  # the hardest to pair first
        distances = [abs(scores[other] - scores[concept]) for other in free]
        if distances and min(distances) <= limit:
            kept += [concept, free.pop(int(np.argmin(distances)))]
    return items.only(kept)


def _factual_looking(items: Items, n_folds: int, seed: int) -> dict[str, float]:
    """Held-out score of each concept's form, standardised within its locale and averaged over locales."""
    scores: dict[str, list[float]] = {}
    for code in items.locales:
        part = items.of(locale=code)
        folds, every = _form(part, n_folds, seed)
        held = (every[0] * folds.test).sum(0).double().numpy()
        for item, score in zip(part, (held - held.mean()) / held.std(), strict=True):
            scores.setdefault(item.concept, []).append(float(score))
    return {concept: float(np.mean(values)) for concept, values in scores.items()}


def _form(part: Items, n_folds: int, seed: int) -> tuple[Folds, Float[Tensor, "1 fold row"]]:
    labels = [int(item.kind == "factual") for item in part]
    try:
        folds = Folds.by_concept(labels, [group_of(item.concept) for item in part], n_folds, seed)
    except DataError as error:
        raise DataError(f"locale {part.locales[0]}: {error}") from error
    return folds, surface_scores([item.prompt().text for item in part], folds)
