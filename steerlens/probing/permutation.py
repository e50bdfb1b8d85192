"""Compares the difference-of-means probe with the same probe on random labels, in a permutation test."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.errors import SettingsError
from steerlens.probing.auroc import auroc
from steerlens.probing.folds import Folds
from steerlens.probing.holding import Group, labelled
from steerlens.probing.holding import groups as parts_of
from steerlens.probing.logistic import centred
from steerlens.progress import progress
from steerlens.statistics import max_statistic_p
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from steerlens.plotting import Figure


@dataclass(frozen=True, eq=False)
class PermutationTest(ResultTable):
    """The difference-of-means probe, compared with labels permuted by concept.

    Columns: locale, layer, auroc, null_mean and null_high (mean and 95th percentile over the permutations), p (share of
    permutations, including the true labels, that reach the AUROC), p_corrected (share of permutations whose best layer,
    standardised, reaches the AUROC), draws (permutations), n (prompts), concepts.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("locale", "layer", "auroc", "null_mean", "null_high", "p", "p_corrected", "draws", "n", "concepts"),
    )

    def plot(self, locale: str | None = None) -> "Figure":
        """Draws the AUROC by layer over the range of the null distribution. Layers with a corrected p below 0.05 are filled.

        Args:
            locale: the locale that is drawn; ``None`` takes the last locale of the table, which is ``all`` if there are several
                locales.

        Raises:
            UnknownNameError: the table does not have the locale.
        """
        from steerlens.plotting import permutation_lines

        return permutation_lines(self.frame, self.having("locale", locale or self.frame["locale"].iloc[-1]))


def permutation_test(
    stack: ResidualStack,
    *,
    labels: Sequence[Any] | None = None,
    groups: Sequence[str] | None = None,
    draws: int = 1000,
    n_folds: int = 5,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> PermutationTest:
    """Tests by layer whether the difference-of-means probe separates the kinds better than it separates random labels.

    Labels are permuted between the concepts of a fold. So all locales of a concept have the same permuted label, and the number
    of rows with each label in a fold does not change. If a concept or group has both labels, as in pairs of one sentence, the
    labels are permuted within the concept or group. Each permutation is cross-validated in the same way as the true labels. The p
    value counts the true labels as one permutation (Phipson and Smyth 2010), so the p value is never 0. The corrected p value
    compares each layer with each permutation's best layer (Westfall and Young 1993). For this comparison, layers are standardised
    by their mean and spread over the permutations. If no layer separates the kinds, the chance that any layer has a corrected p
    below 0.05 is 5%. There is no correction over locales.

    Args:
        stack: residuals of factual and cultural prompts, or of any prompts.
        labels: a label for each prompt of the stack, 1 or 0. With ``None``, factual prompts have the label 1 and cultural prompts
            the label 0. If each locale has only one label, the labels are tested over all locales together.
        groups: a group name for each prompt. All prompts of a group are held out together. ``None`` takes the concept as the
            group.
        draws: the number of permutations.
        n_folds: the number of folds. If a kind has fewer concepts, there are fewer folds.
        seed: the seed of the folds and the permutations.
        device: the device of the computation; ``None`` takes a CUDA GPU if there is one, and the CPU if not.

    Raises:
        DataError: a kind has fewer than two concepts, or the number of labels or groups differs from the number of prompts.
        SettingsError: ``draws`` is below 1.
    """
    import pandas as pd

    if draws < 1:
        raise SettingsError(
            f"{draws} draws were given: expected at least 1. For a p value that can be published, use at least 1,000."
        )
    told, rows = labelled(stack, labels, groups), []
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    parts = parts_of(told, "concept", n_folds, seed)
    with progress(len(parts), "Permutations", "locale") as bar:
        for group in parts:
            rows.extend(_tested(group, draws, seed, place))
            bar.update()
    return PermutationTest(pd.DataFrame(rows, columns=list(PermutationTest.columns)))


def _tested(group: Group, draws: int, seed: int, device: torch.device) -> list[dict[str, Any]]:
    folds, (locale,) = group.folds, group.parts
    labels = permuted(folds, group.concepts, draws, seed)
    values = torch.stack([_auroc_of(layer.to(device), labels.to(device), folds) for layer in group.stack.residuals], dim=1).cpu()
    observed, null = values[0], values[1:]
    p, corrected = max_statistic_p(values.double().numpy())
    columns = {
        "layer": list(group.stack.layers),
        "auroc": observed.tolist(),
        "null_mean": null.mean(0).tolist(),
        "null_high": null.quantile(0.95, dim=0).tolist(),
        "p": p.tolist(),
        "p_corrected": corrected.tolist(),
    }
    common = {"locale": locale, "draws": draws, "n": len(group.concepts), "concepts": len(set(group.concepts))}
    return [{**common, **dict(zip(columns, row, strict=True))} for row in zip(*columns.values(), strict=True)]


def permuted(folds: Folds, concepts: list[str], draws: int, seed: int) -> Bool[Tensor, "draw row"]:
    """Returns the true labels, followed by permutations of the true labels.

    If every concept has one label, labels are permuted between the concepts that a fold holds out. Concepts that no fold holds
    out keep their labels. If a concept has both labels, as in pairs, labels are permuted within each concept.

    Args:
        folds: the folds, with the true labels.
        concepts: the concept of each row.
        draws: the number of permutations.
        seed: the seed of the permutations.
    """
    names, first, of_row = np.unique(np.asarray(concepts), return_index=True, return_inverse=True)
    true, generator = folds.labels == 1, np.random.default_rng(seed)
    if (true != true[first][of_row]).any():
        rows = np.tile(true, (draws + 1, 1))
        for concept in range(len(names)):
            own = np.flatnonzero(of_row == concept)
            rows[1:, own] = generator.permuted(rows[1:, own], axis=1)
        return torch.from_numpy(rows)
    labels = np.tile(true[first], (draws + 1, 1))
    for held in folds.test.numpy():
        own = np.flatnonzero(np.isin(np.arange(len(names)), of_row[held]))
        labels[1:, own] = generator.permuted(labels[1:, own], axis=1)
    return torch.from_numpy(labels[:, of_row])


def _auroc_of(features: Float[Tensor, "row d"], labels: Bool[Tensor, "draw row"], folds: Folds) -> Float[Tensor, " draw"]:
    """Returns the held-out AUROC of the difference of means for every labelling, as the mean over folds. The AUROC is computed
    from the rows' inner products."""
    (rows,) = centred(features[None])
    inner, found = rows @ rows.T, []
    for train, test in zip(folds.train.to(rows.device), folds.test.to(rows.device), strict=True):
        ones, zeros = (labels & train).float(), (~labels & train).float()
        contrast = ones / ones.sum(1, keepdim=True) - zeros / zeros.sum(1, keepdim=True)
        found.append(auroc(contrast @ inner[:, test], labels[:, test]))
    return torch.stack(found).nanmean(0)
