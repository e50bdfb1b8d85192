"""How well factual and cultural prompts are told apart at each layer, above what their form gives away."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from steerlens.activations import ResidualStack
from steerlens.data import english_pairs, localized_pairs
from steerlens.errors import DataError, PairsError, UnknownNameError
from steerlens.probing.folds import Folds, Probe
from steerlens.probing.probes import difference_of_means_probe, logistic_probe, surface_probe
from steerlens.progress import progress
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PROBES: dict[str, Probe] = {"difference of means": difference_of_means_probe, "logistic": logistic_probe}
SURFACE = "surface form"
COSINE = "EN-LOC cosine"
ALL = "all"
"""The row of all locales together: one probe for all of them, not the mean of theirs."""


@dataclass(frozen=True, eq=False)
class Separability(ResultTable):
    """Held-out scores of probes by layer and locale.

    Columns: locale (``all``: one probe over all locales), layer (-1: no layer, the text itself), probe, auroc,
    accuracy, cosine (of EN and LOC vectors, for the probe ``EN-LOC cosine``), n prompts, concepts.
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "layer", "probe", "auroc", "accuracy", "cosine", "n", "concepts")

    def heatmap(self, score: str = "auroc", probe: str = "difference of means") -> "Figure":
        """Layers by locales, coloured by ``auroc`` or ``accuracy`` of a probe, or by the ``cosine`` of EN and LOC.

        Raises:
            UnknownNameError: no such score or probe.
        """
        from steerlens.plotting import separability_heatmap

        scores = ("auroc", "accuracy", "cosine")
        if score not in scores:
            raise UnknownNameError("score", score, scores)
        if probe not in PROBES:
            raise UnknownNameError("probe", probe, PROBES)
        return separability_heatmap(self.frame, score, COSINE if score == "cosine" else probe)

    def plot(self, locale: str = ALL) -> "Figure":
        """AUROC of every probe by layer for one locale, with what surface form alone reaches."""
        from steerlens.plotting import separability_lines

        known = tuple(dict.fromkeys(self.frame["locale"]))
        if locale not in known:
            raise UnknownNameError("locale", locale, known)
        return separability_lines(self.frame, locale)


def separability(stack: ResidualStack, *, n_folds: int = 5, seed: int = 0) -> Separability:
    """Cross-validated AUROC and accuracy of telling factual from cultural prompts, by layer and locale.

    Only implicit prompts are told apart: an explicit one names a country, which gives it away. Folds are grouped by
    concept, so a concept is never learnt in one locale and tested in another. Beside the probes stand, per locale, a
    classifier of character n-grams (what the form of the text alone gives away) and, per layer, the cosine of the EN
    and LOC vectors taken from the same stack.

    Args:
        stack: residuals of factual and cultural prompts; for the cosine also of English and explicit ones.
        n_folds: fewer where there are fewer concepts of a kind.
        seed: of the folds.

    Raises:
        DataError: fewer than two factual or two cultural concepts.
    """
    import pandas as pd

    implicit = stack.where(lambda prompt: prompt.form != "explicit" and prompt.kind in ("factual", "cultural"))
    locales = tuple(dict.fromkeys(prompt.locale for prompt in implicit.prompts))
    groups = {name: implicit.of([p for p in implicit.prompts if p.locale == name]) for name in locales}
    if len(locales) > 1:
        groups[ALL] = implicit
    rows: list[dict[str, Any]] = []
    with progress(len(groups) * len(stack.layers), "Separability", "layer") as bar:
        for name, group in groups.items():
            for row in _probe(group, n_folds, seed):
                rows.append({"locale": name, "cosine": np.nan, **row})
                bar.update(row["probe"] == "logistic")
    rows.extend(_cosines(stack, locales))
    return Separability(pd.DataFrame(rows, columns=list(Separability.columns)))


def _probe(stack: ResidualStack, n_folds: int, seed: int) -> Iterator[dict[str, Any]]:
    labels = [int(prompt.kind == "factual") for prompt in stack.prompts]
    concepts = [prompt.concept or prompt.text for prompt in stack.prompts]
    try:
        folds = Folds.by_concept(labels, concepts, n_folds, seed)
    except DataError as error:
        raise DataError(f"locale {stack.prompts[0].locale}: {error}") from error
    counts = {"n": len(labels), "concepts": len(set(concepts))}

    def scored(layer: int, name: str, features: Any, probe: Probe) -> dict[str, Any]:
        auroc, accuracy = folds.score(features, probe)
        return {"layer": layer, "probe": name, "auroc": auroc, "accuracy": accuracy, **counts}

    yield scored(-1, SURFACE, np.array([prompt.text for prompt in stack.prompts], dtype=object), surface_probe)
    for layer in stack.layers:
        features = stack.at(layer).numpy()
        for name, probe in PROBES.items():
            yield scored(layer, name, features, probe)


def _cosines(stack: ResidualStack, locales: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Cosine of the EN and LOC vectors of each locale that the stack holds both for."""
    for locale in locales:
        try:
            pairs = english_pairs(stack.prompts, locale), localized_pairs(stack.prompts, locale)
        except PairsError:  # English itself, or a stack without English or explicit prompts
            continue
        en, loc = (stack.mean_difference(side) for side in pairs)
        for layer, cosine in zip(stack.layers, torch.cosine_similarity(en, loc, dim=1).tolist(), strict=True):
            yield {"locale": locale, "layer": layer, "probe": COSINE, "cosine": cosine, "n": sum(map(len, pairs))}
