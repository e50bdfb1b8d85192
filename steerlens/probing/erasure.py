"""Measures how well a new probe works after the direction that separates the kinds has been erased."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.errors import SettingsError, SteerlensError, UnknownNameError
from steerlens.probing.folds import Folds
from steerlens.probing.holding import Group, groups, labelled
from steerlens.probing.probes import Probe, chosen_probes
from steerlens.progress import progress
from steerlens.statistics import cluster_counts, percentile_interval
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure

Erase = Callable[[Float[Tensor, "layer row d"], Bool[Tensor, " row"], Bool[Tensor, " row"]], Float[Tensor, "layer row d"]]
"""A function that erases a direction. Its arguments are the features, a mask of the rows to learn from, and the labels. It
returns all rows without the direction that separates the labels."""


@dataclass(frozen=True, eq=False)
class Erasure(ResultTable):
    """The AUROC of a new probe after a number of directions has been erased.

    Columns: locale, layer, erased (number of directions), auroc with its 95% interval low and high, control (AUROC after
    erasing the same number of directions from labels shuffled between concepts), n (prompts), concepts.
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "layer", "erased", "auroc", "low", "high", "control", "n", "concepts")

    def plot(self, locale: str | None = None) -> "Figure":
        """Draws the AUROC by layer, with one line per number of erased directions.

        Args:
            locale: the locale that is drawn; ``None`` takes the last locale of the table, which is ``all`` if there are several
                locales.

        Raises:
            UnknownNameError: the table does not have the locale.
        """
        from steerlens.plotting import erasure_lines

        return erasure_lines(self.frame, self.having("locale", locale or self.frame["locale"].iloc[-1]))


def erasure(
    stack: ResidualStack,
    *,
    method: str = "means",
    directions: int = 3,
    probe: str = "logistic",
    n_folds: int = 5,
    draws: int = 1000,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Erasure:
    """Measures the AUROC of a new probe by layer, after zero, one and more directions have been erased one after another.

    If a difference of means is erased from the rows on which it was learned, no linear probe can separate the labels of these
    rows (Belrose et al., arXiv 2306.03819). A probe may still separate new rows. So each fold's training concepts are divided
    into random halves. The direction is learned from the first half, the new probe is learned from the second half, and the probe
    is tested on the held-out concepts. If the AUROC falls to 0.5 after one direction, the kinds differ along one line. If the
    AUROC stays high, the kinds differ in many directions.

    Args:
        stack: residuals of factual and cultural prompts.
        method: ``means`` projects out the difference of means (Haghighatkhah et al., arXiv 2212.04273). ``LEACE`` erases the
            direction with the smallest change of the features in the sense of least squares. ``LEACE`` needs the package
            ``concept-erasure``, and is slower than ``means``.
        directions: the largest number of directions that are erased.
        probe: a name from ``PROBES``.
        n_folds: the number of folds. If a kind has fewer concepts, there are fewer folds.
        draws: the number of resamples of concepts, for the intervals.
        seed: the seed of folds, halves, shuffles and resamples.
        device: the device of the computation; ``None`` takes a CUDA GPU if there is one, and the CPU if not.

    Raises:
        DataError: a kind has fewer than two concepts.
        SettingsError: ``directions`` is below 1.
        UnknownNameError: there is no such method or probe.
        SteerlensError: LEACE is requested, but the package ``concept-erasure`` is not installed.
    """
    import pandas as pd

    if directions < 1:
        raise SettingsError(f"directions={directions} was given: expected at least 1 direction to erase.")
    if method not in _METHODS:
        raise UnknownNameError("method of erasure", method, _METHODS)
    (solver,), erase, told = chosen_probes([probe]).values(), _METHODS[method](), labelled(stack)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    rows: list[dict[str, Any]] = []
    parts = groups(told, "concept", n_folds, seed)
    with progress(len(parts), "Erasure", "locale") as bar:
        for group in parts:
            counts = cluster_counts(group.concepts, draws=draws, seed=seed)
            found = [_left(group, solver, erase, directions, seed, place, shuffled=shuffled) for shuffled in (False, True)]
            rows.extend(_rows(group, found[0], found[1], counts))
            bar.update()
    return Erasure(pd.DataFrame(rows, columns=list(Erasure.columns)))


def mean_projection(
    features: Float[Tensor, "layer row d"], rows: Bool[Tensor, " row"], labels: Bool[Tensor, " row"]
) -> Float[Tensor, "layer row d"]:
    """Returns all rows minus their component along the difference between the two labels' means over some of the rows.

    Args:
        features: the features of every row.
        rows: a mask of the rows from which the means are computed.
        labels: the label of each row.
    """
    one, zero = (features[:, rows & side].mean(dim=1, keepdim=True) for side in (labels, ~labels))
    direction = torch.nn.functional.normalize(one - zero, dim=-1)
    return features - (features * direction).sum(-1, keepdim=True) * direction


def _leace() -> Erase:
    try:
        from concept_erasure import LeaceEraser
    except ImportError as error:
        raise SteerlensError(
            "method LEACE needs the package concept-erasure, which is not installed. Install it with: pip install "
            "'steerlens[erasure]'. Or use method='means'."
        ) from error

    def erase(features: Tensor, rows: Tensor, labels: Tensor) -> Tensor:
        fitted = (LeaceEraser.fit(layer[rows].double(), labels[rows].double()) for layer in features)
        return torch.stack([eraser(layer.double()).float() for eraser, layer in zip(fitted, features, strict=True)])

    return erase


_METHODS: dict[str, Callable[[], Erase]] = {"means": lambda: mean_projection, "LEACE": _leace}


def _left(
    group: Group, probe: Probe, erase: Erase, directions: int, seed: int, device: torch.device, *, shuffled: bool
) -> Float[Tensor, "erased layer fold row"]:
    """Returns held-out scores of new probes after each erasure. With ``shuffled``, the erased directions come from random
    labels."""
    folds, generator = group.folds, np.random.default_rng(seed)
    labels = torch.from_numpy(_by_concept(folds.labels == 1, group.concepts, generator)) if shuffled else folds.positive
    generator, scores = np.random.default_rng([seed, 1]), []
    for train, test in zip(folds.train, folds.test, strict=True):
        features, own = group.stack.residuals.to(device), []
        for step in range(directions + 1):
            half = torch.from_numpy(_half(group.concepts, folds.labels, generator))
            own.append(probe(features, Folds(folds.labels, (train & half)[None], test[None], ("",)))[:, 0].cpu())
            if step < directions:
                features = erase(features, (train & ~half).to(device), labels.to(device))
        scores.append(torch.stack(own))
    return torch.stack(scores, dim=2)


def _half(concepts: list[str], labels: NDArray, generator: np.random.Generator) -> NDArray:
    """Draws half of the concepts of each label, and returns a mask that marks the rows of these concepts."""
    names, first, of_row = np.unique(np.asarray(concepts), return_index=True, return_inverse=True)
    chosen = np.zeros(len(names), dtype=bool)
    for label in (0, 1):
        own = generator.permutation(np.flatnonzero(labels[first] == label))
        chosen[own[: (len(own) + 1) // 2]] = True
    return chosen[of_row]


def _by_concept(labels: NDArray, concepts: list[str], generator: np.random.Generator) -> NDArray:
    """Returns the labels, shuffled between concepts."""
    _, first, of_row = np.unique(np.asarray(concepts), return_index=True, return_inverse=True)
    return generator.permutation(labels[first])[of_row]


def _rows(group: Group, scores: Tensor, control: Tensor, counts: NDArray) -> list[dict[str, Any]]:
    folds, (locale,) = group.folds, group.parts
    common = {"locale": locale, "n": len(group.concepts), "concepts": len(set(group.concepts))}
    rows = []
    for erased, (own, other) in enumerate(zip(scores, control, strict=True)):
        low, high = percentile_interval(folds.resampled_auroc(own, counts).numpy(), nan_policy="omit")
        values = zip(group.stack.layers, *(folds.auroc(s).mean(1).tolist() for s in (own, other)), low, high, strict=True)
        for layer, auroc, controlled, down, up in values:
            cell = {"layer": layer, "erased": erased, "auroc": auroc, "control": controlled, "low": down, "high": up}
            rows.append({**common, **cell})
    return rows
