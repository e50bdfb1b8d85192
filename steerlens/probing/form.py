"""How well the two kinds of prompts are told apart by form alone: what a probe must lie above."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from steerlens.data import KINDS, Items
from steerlens.probing.folds import Folds, Predict
from steerlens.probing.surface import surface_predict
from steerlens.tables import ResultTable


@dataclass(frozen=True, eq=False)
class FormSeparability(ResultTable):
    """Columns: locale, auroc and accuracy of character n-grams, mean characters of the factual and of the cultural questions,
    n prompts, concepts."""

    columns: ClassVar[tuple[str, ...]] = ("locale", "auroc", "accuracy", "length_factual", "length_cultural", "n", "concepts")


def form_separability(items: Items, *, n_folds: int = 5, seed: int = 0) -> FormSeparability:
    """Cross-validated AUROC of character n-grams telling factual from implicit cultural prompts, per locale, grouped by concept.

    Raises:
        DataError: fewer than two concepts of a kind.
    """
    import pandas as pd

    rows = []
    for code in items.locales:
        part = items.of(locale=code)
        folds, predict = _form(part, n_folds, seed)
        auroc, accuracy = (float(score[0]) for score in folds.score(predict))
        lengths = [float(np.mean([len(item.question) for item in part.of(kind=kind)])) for kind in ("factual", "cultural")]
        rows.append((code, auroc, accuracy, *lengths, len(part), len(part.concepts)))
    return FormSeparability(pd.DataFrame(rows, columns=list(FormSeparability.columns)))


def matched(items: Items, n: int | None = None, *, rounds: int = 5, n_folds: int = 5, seed: int = 0) -> Items:
    """The ``n`` concepts of each kind whose form says least about their kind: what probes are best read on.

    In each round every concept is scored by character n-grams that did not see it, averaged over locales, and those whose form
    gives their kind away the most are left out: trimming by the propensity score (Rosenbaum and Rubin 1983) to where the
    kinds overlap. The text alone decides, no model. What is left can still be told apart: ``form_separability`` says how well;
    it is a little low on concepts chosen by it.

    Args:
        n: concepts of each kind to keep; half of those of the kind that has fewer for ``None``.
        rounds: between the first, all concepts, and the last, ``n`` of each kind.

    Raises:
        DataError: fewer than two concepts of a kind.
    """
    start = {kind: len(items.of(kind=kind).concepts) for kind in KINDS}
    n = n or max(2, min(start.values()) // 2)
    for done in range(1, rounds + 1):
        telling = _telling(items, n_folds, seed)
        for kind in KINDS:
            goal = max(n, round(start[kind] * (n / start[kind]) ** (done / rounds))) if start[kind] > n else n
            ranked = sorted(items.of(kind=kind).concepts, key=telling.__getitem__)
            gone = set(ranked[goal:])
            items = items.where(lambda item, gone=gone: item.concept not in gone)  # type: ignore[misc]
    return items


def _telling(items: Items, n_folds: int, seed: int) -> dict[str, float]:
    """How surely form gives each concept's own kind away: held-out scores, standardised, averaged over locales."""
    scores: dict[str, list[float]] = {}
    for code in items.locales:
        part = items.of(locale=code)
        folds, predict = _form(part, n_folds, seed)
        every, held = np.arange(len(part)), np.zeros(len(part))
        for test in folds.held_out:
            held[test] = predict(np.setdiff1d(every, test), test)[0]
        signed = (held - held.mean()) / held.std() * np.where(folds.labels == 1, 1, -1)
        for item, score in zip(part, signed, strict=True):
            scores.setdefault(item.concept, []).append(float(score))
    return {concept: float(np.mean(values)) for concept, values in scores.items()}


def _form(part: Items, n_folds: int, seed: int) -> tuple[Folds, Predict]:
    folds = Folds.by_concept([int(item.kind == "factual") for item in part], [item.concept for item in part], n_folds, seed)
    return folds, surface_predict([item.prompt().text for item in part], folds.labels)
