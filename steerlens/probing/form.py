"""Measures how well the form of prompts alone distinguishes factual prompts from cultural prompts. A probe of residuals must
distinguish the kinds better than the form does."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from steerlens.data import KINDS, Items
from steerlens.data.splits import concept_of, group_of
from steerlens.errors import DataError
from steerlens.probing.folds import Folds
from steerlens.probing.surface import surface_scores
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure


_FAR = 2.0
"""The value that each pair within the caliper adds to the objective of the matching, before the pair's distance is subtracted.
The value is larger than any distance. So the matching first maximises the number of pairs, and then minimises the distances."""


@dataclass(frozen=True, eq=False)
class FormSeparability(ResultTable):
    """How well the form of prompts alone distinguishes their kinds, in each locale.

    Columns: locale, auroc and accuracy of character n-grams, length_factual and length_cultural (mean number of characters of
    the questions of each kind), n (prompts), concepts.
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "auroc", "accuracy", "length_factual", "length_cultural", "n", "concepts")

    def plot(self) -> "Figure":
        """Draws the AUROC by locale, as bars that start at chance level."""
        from steerlens.plotting import form_bars

        return form_bars(self.frame)


def form_separability(items: Items, *, n_folds: int = 5, seed: int = 0) -> FormSeparability:
    """Measures how well character n-grams distinguish factual from implicit cultural prompts: the cross-validated AUROC per
    locale.

    Args:
        items: factual and cultural items.
        n_folds: the number of folds of concepts. If a kind has fewer concepts, there are fewer folds.
        seed: the seed of the folds.

    Raises:
        DataError: a kind has fewer than two concepts.
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
    """Makes pairs of a factual and a cultural concept with similar form, and returns the items of these concepts. Measure probes
    on these items.

    Every wording gets a score for how factual its form looks. The score comes from character n-grams of other concepts, and is
    averaged over locales. The pairs are chosen so that the sum of the score differences is smallest (optimal matching). Each
    difference must be within the caliper. The method is propensity score matching without replacement (Rosenbaum and Rubin 1983),
    with Austin's caliper (2011, doi 10.1002/pst.433). A concept's own kind is not used for its score, so labels without any
    relation to form stay at chance. Only the text is used, and no model. Form may still distinguish the kinds a little:
    ``form_separability`` measures how well.

    If the items contain several wordings of a concept (``atlas(wordings=3, cloze=True)``), the two most similar wordings make the
    pair. With several wordings, many more pairs are found. A concept is in only one pair, with only one wording.

    Args:
        items: factual and cultural items, preferably with the same concepts in every locale.
        caliper: the largest difference between the two scores in a pair, in standard deviations of all scores.
        n_folds: the number of folds of concepts for the scores. If a kind has fewer concepts, there are fewer folds.
        seed: the seed of the folds.

    Raises:
        DataError: a kind has fewer than two concepts.
    """
    from scipy.optimize import linear_sum_assignment

    scores = _factual_looking(items, n_folds, seed)
    limit = caliper * float(np.std(list(scores.values())))
    cultural, factual = (_wordings(items.of(kind=kind).concepts) for kind in ("cultural", "factual"))
    own, others = _scores_of(cultural, scores, math.inf), _scores_of(factual, scores, -math.inf)
    distances = np.abs(own[:, None, :, None] - others[None, :, None, :])
    nearest = distances.min(axis=(2, 3))  # [cultural concept, factual concept]
    cost = np.where(nearest <= limit, nearest / limit - _FAR, 0) if limit else np.zeros_like(nearest)
    kept: list[str] = []
    for one, other in zip(*linear_sum_assignment(cost), strict=True):
        if cost[one, other] < 0:
            first, second = np.unravel_index(distances[one, other].argmin(), distances.shape[2:])
            kept += [cultural[one][first], factual[other][second]]
    return items.only(kept)


def _wordings(ids: Sequence[str]) -> list[list[str]]:
    """Returns the ids of the wordings of each concept."""
    found: dict[str, list[str]] = {}
    for one in ids:
        found.setdefault(concept_of(one), []).append(one)
    return list(found.values())


def _scores_of(concepts: list[list[str]], scores: dict[str, float], none: float) -> Float[ndarray, "concept wording"]:
    """Returns the score of each wording. For the missing wordings of a concept, the score is ``none``, which is infinite."""
    most = max(map(len, concepts), default=0)
    return np.array([[*(scores[one] for one in ids), *[none] * (most - len(ids))] for ids in concepts])


def _factual_looking(items: Items, n_folds: int, seed: int) -> dict[str, float]:
    """Returns the held-out score of each concept's form, standardised within its locale and averaged over locales."""
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
