"""How well factual and cultural prompts are told apart at each layer, above what their form gives away."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import english_pairs, localized_pairs
from steerlens.errors import DataError, PairsError, UnknownNameError
from steerlens.probing.folds import Folds, Predict
from steerlens.probing.probes import Probe, difference_of_means_probe, logistic_probe
from steerlens.probing.surface import surface_predict
from steerlens.progress import progress
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PROBES: dict[str, Probe] = {"difference of means": difference_of_means_probe, "logistic": logistic_probe}
SURFACE = "surface form"
COSINE = "EN-LOC cosine"
_NUMBERS = 1 << 25
"""Residual values probed at once, in float64 with a few copies: about 1 GB."""
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


def separability(
    stack: ResidualStack,
    *,
    vectors_from: ResidualStack | None = None,
    n_folds: int = 5,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Separability:
    """Cross-validated AUROC and accuracy of telling factual from cultural prompts, by layer and locale.

    Only implicit prompts are told apart: an explicit one names a country, which gives it away. Folds are grouped by
    concept, so a concept is never learnt in one locale and tested in another. Beside the probes stand, per locale, a
    classifier of character n-grams (what the form of the text alone gives away) and, per layer, the cosine of the EN
    and LOC vectors taken from the same stack.

    Args:
        stack: residuals of factual and cultural prompts; for the cosine also of English and explicit ones.
        vectors_from: residuals that the EN and LOC vectors are taken from for their cosine; ``stack`` for ``None``.
        n_folds: fewer where there are fewer concepts of a kind.
        seed: of the folds.
        device: where the probes are solved, all layers at once; a CUDA GPU where there is one, else the CPU.

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
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    with progress(len(groups), "Separability", "locale") as bar:
        for name, group in groups.items():
            rows.extend({"locale": name, "cosine": np.nan, **row} for row in _probed(group, n_folds, seed, place))
            bar.update()
    rows.extend(_cosines(vectors_from or stack, locales))
    return Separability(pd.DataFrame(rows, columns=list(Separability.columns)))


def _probed(stack: ResidualStack, n_folds: int, seed: int, device: torch.device) -> Iterator[dict[str, Any]]:
    labels = [int(prompt.kind == "factual") for prompt in stack.prompts]
    concepts = [prompt.concept or prompt.text for prompt in stack.prompts]
    try:
        folds = Folds.by_concept(labels, concepts, n_folds, seed)
    except DataError as error:
        raise DataError(f"locale {stack.prompts[0].locale}: {error}") from error
    counts = {"n": len(labels), "concepts": len(set(concepts))}

    def scored(probe: str, layers: Sequence[int], predict: Predict) -> Iterator[dict[str, Any]]:
        for layer, auroc, accuracy in zip(layers, *folds.score(predict), strict=True):
            yield {"layer": layer, "probe": probe, "auroc": auroc, "accuracy": accuracy, **counts}

    yield from scored(SURFACE, [-1], surface_predict([prompt.text for prompt in stack.prompts], folds.labels))
    for at in range(0, len(stack.layers), size := max(1, _NUMBERS // stack.residuals[0].numel())):
        features = stack.residuals[at : at + size].to(device)
        for name, probe in PROBES.items():
            yield from scored(name, stack.layers[at : at + size], _predict(probe, features, folds))


def _predict(probe: Probe, features: Float[Tensor, "layer prompt d_model"], folds: Folds) -> Predict:
    labels = torch.from_numpy(folds.labels).to(features.device)

    def predict(train: NDArray, test: NDArray) -> NDArray:
        rows, held = (torch.from_numpy(index).to(features.device) for index in (train, test))
        scores: NDArray = probe(features[:, rows], labels[rows], features[:, held]).cpu().numpy()
        return scores

    return predict


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
