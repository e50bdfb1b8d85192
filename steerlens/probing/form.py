"""How well the two kinds of prompts are told apart by form alone: what a probe must lie above."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from steerlens.data import Items
from steerlens.probing.folds import Folds
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
        labels = [int(item.kind == "factual") for item in part]
        folds = Folds.by_concept(labels, [item.concept for item in part], n_folds, seed)
        auroc, accuracy = folds.score(surface_predict([item.prompt().text for item in part], folds.labels))
        lengths = {f"length_{kind}": _length(part.of(kind=kind)) for kind in ("factual", "cultural")}
        rows.append(
            {
                "locale": code,
                "auroc": auroc[0],
                "accuracy": accuracy[0],
                **lengths,
                "n": len(part),
                "concepts": len(part.concepts),
            }
        )
    return FormSeparability(pd.DataFrame(rows, columns=list(FormSeparability.columns)))


def _length(items: Items) -> float:
    """Mean characters of a question."""
    return float(np.mean([len(item.question) for item in items]))
