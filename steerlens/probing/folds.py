"""Makes the folds for the cross-validation of a binary probe: the training rows and the test rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from steerlens.errors import DataError, SettingsError
from steerlens.probing.assigning import fold_of_rows
from steerlens.probing.auroc import auroc

_NUMBERS = 1 << 25
"""The largest number of values in memory at once while AUROCs are resampled."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The training rows and the held-out rows of each fold, as one pair of masks per fold."""

    labels: NDArray
    """The label of each row, ``[row]``: 1 for factual, 0 for cultural, or other labels."""
    train: Bool[Tensor, "fold row"]
    """A mask ``[fold, row]`` of the rows that each fold trains on."""
    test: Bool[Tensor, "fold row"]
    """A mask ``[fold, row]`` of the rows that each fold holds out."""
    names: tuple[str, ...]
    """The name of the part that each fold holds out, such as a locale; empty if the parts have no names."""

    @classmethod
    def by_concept(
        cls,
        labels: Sequence[int],
        concepts: Sequence[str],
        n_folds: int = 5,
        seed: int = 0,
        *,
        what: str = "concepts",
        names: tuple[str, str] = ("factual", "cultural"),
    ) -> "Folds":
        """Makes folds that hold out all rows of a concept (or of another group) together. Each fold has rows of both labels.

        Args:
            labels: the label of each row, 1 or 0.
            concepts: the concept, or the group, of each row. All rows of one concept are held out together.
            n_folds: the number of folds. If a label has fewer groups, there are fewer folds.
            seed: the seed of the folds.
            what: the name of the groups in the error message.
            names: the names of labels 1 and 0 in the error message.

        Raises:
            DataError: a label has fewer than two groups.
            SettingsError: there are fewer than two folds.
        """
        held_out = _held_out(labels, concepts, n_folds, seed, what, names)
        return cls(np.asarray(labels), ~held_out, held_out, ("",) * len(held_out))

    @classmethod
    def across(
        cls,
        labels: Sequence[int],
        concepts: Sequence[str],
        places: Sequence[str],
        n_folds: int = 5,
        seed: int = 0,
        *,
        names: tuple[str, str] = ("factual", "cultural"),
    ) -> "Folds":
        """Makes folds that each hold out one place (a locale) and one part of the concepts.

        A probe is tested on rows of a place that was not used for its training. The concepts of these rows were not used for its
        training in any place.

        Args:
            labels: the label of each row, 1 or 0.
            concepts: the concept of each row.
            places: the place of each row, such as its locale.
            n_folds: the number of parts into which the concepts are divided. If a label has fewer concepts, there are fewer
                parts.
            seed: the seed of the division into parts.
            names: the names of labels 1 and 0 in the error message.

        Raises:
            DataError: a label has fewer than two concepts, or there are fewer than two places.
            SettingsError: there are fewer than two parts of the concepts.
        """
        concept_out = _held_out(labels, concepts, n_folds, seed, "concepts", names)
        place_out, codes = _each(places)
        test, train = (place_out[:, None] & concept_out).flatten(0, 1), (~place_out[:, None] & ~concept_out).flatten(0, 1)
        y = torch.as_tensor(np.asarray(labels)) == 1
        both = torch.stack([(part & side).any(1) for part in (train, test) for side in (y, ~y)]).all(0)
        named = tuple(code for code in codes for _ in concept_out)
        kept = [name for name, has_both in zip(named, both.tolist(), strict=True) if has_both]
        return cls(np.asarray(labels), train[both], test[both], tuple(kept))

    @classmethod
    def sharing(cls, labels: Sequence[int], places: Sequence[str]) -> "Folds":
        """Makes folds that each hold out one place. The probe is trained on the same concepts in the other places.

        Args:
            labels: the label of each row, 1 or 0.
            places: the place of each row, such as its locale.

        Raises:
            DataError: there are fewer than two places.
        """
        place_out, names = _each(places)
        return cls(np.asarray(labels), ~place_out, place_out, names)

    def __len__(self) -> int:
        return len(self.train)

    @property
    def held_out(self) -> tuple[NDArray, ...]:
        """The indices of the rows that each fold holds out."""
        return tuple(np.flatnonzero(mask) for mask in self.test.numpy())

    @cached_property
    def positive(self) -> Bool[Tensor, " row"]:
        """Whether each row is labelled 1, ``[row]``."""
        return torch.as_tensor(self.labels) == 1

    def named(self, name: str) -> "Folds":
        """Returns only the folds that hold out the part with this ``name``."""
        chosen = torch.tensor([own == name for own in self.names])
        return Folds(self.labels, self.train[chosen], self.test[chosen], tuple(own for own in self.names if own == name))

    def balanced(self) -> Float[Tensor, "fold row"]:
        """Returns a weight of each row in each fold. In each fold, both labels have the same total weight. The mean weight of a
        training row is 1, and held-out rows have the weight 0."""
        train, y = self.train.float(), self.positive.float()
        ones, zeros = (train * y).sum(1, keepdim=True), (train * (1 - y)).sum(1, keepdim=True)
        return train * (ones + zeros) / 2 * torch.where(self.positive, 1 / ones, 1 / zeros)

    def contrast(self) -> Float[Tensor, "fold row"]:
        """Returns a weight of each training row in each fold. The weighted sum of the rows is the difference between the two
        labels' means."""
        train, y = self.train.float(), self.positive.float()
        return train * y / (train * y).sum(1, keepdim=True) - train * (1 - y) / (train * (1 - y)).sum(1, keepdim=True)

    def relabelled(self, labels: NDArray) -> "Folds":
        """Returns folds with the same rows and with other ``labels``, one label for each row."""
        return Folds(labels, self.train, self.test, self.names)

    def auroc(self, scores: Float[Tensor, "layer fold row"]) -> Float[Tensor, "layer fold"]:
        """Returns the AUROC on each fold's held-out rows.

        Args:
            scores: the score of each row under each fold's probe, ``[layer, fold, row]``; a higher score means label 1.
        """
        each = [auroc(scores[:, fold, rows], self.positive[rows]) for fold, rows in enumerate(self.test)]
        return torch.stack(each, dim=1)

    def resampled_auroc(
        self, scores: Float[Tensor, "layer fold row"], counts: Int[np.ndarray, "draw row"]
    ) -> Float[Tensor, "draw layer"]:
        """Returns the AUROC of every layer in every resample of the concepts. Each AUROC is a mean over folds.

        The probes are not fitted again. If a fold has no rows of one label in a resample, the fold does not count in this
        resample. If no fold has both labels, the AUROC of the resample is NaN.

        Args:
            scores: the score of each row under each fold's probe, ``[layer, fold, row]``.
            counts: the number of times that each row is drawn in each resample, ``[draw, row]``, from
                ``steerlens.statistics.cluster_counts``.
        """
        weights = torch.from_numpy(counts).float()
        sums, counted = torch.zeros(len(weights), len(scores)), torch.zeros(len(weights), 1)
        for fold, held in enumerate(self.test):
            ones, zeros = held & self.positive, held & ~self.positive
            pairs = (weights[:, ones].sum(1) * weights[:, zeros].sum(1))[:, None]
            counted += pairs > 0
            right = _right_pairs(scores[:, fold], weights, ones, zeros)
            sums += torch.where(pairs > 0, right / pairs, 0.0)
        return sums / counted

    def accuracy(self, scores: Float[Tensor, "layer fold row"]) -> Float[Tensor, "layer fold"]:
        """Returns the balanced accuracy on each fold's held-out rows, which is the mean of the two labels' accuracies. Its chance
        level is 0.5.

        Args:
            scores: the score of each row under each fold's probe, ``[layer, fold, row]``; above 0 means label 1.
        """
        right = (scores > 0) == self.positive
        sides = [self.test & side for side in (self.positive, ~self.positive)]
        return torch.stack([(right * side).sum(-1) / side.sum(-1) for side in sides]).mean(0)


def _right_pairs(
    scores: Float[Tensor, "layer row"],
    weights: Float[Tensor, "draw row"],
    ones: Bool[Tensor, " row"],
    zeros: Bool[Tensor, " row"],
) -> Float[Tensor, "draw layer"]:
    """Returns the number of pairs of a positive and a negative row that each layer orders correctly in each draw. A tie counts
    one half."""
    up, down, found = weights[:, ones], weights[:, zeros], []
    size = max(1, _NUMBERS // max(1, down.numel(), up.shape[1] * down.shape[1]))
    for at in range(0, len(scores), size):
        own = scores[at : at + size].cpu()
        higher = own[:, ones, None] - own[:, None, zeros]
        found.append(((up @ ((higher.sign() + 1) / 2)) * down).sum(-1).T)
    return torch.cat(found, dim=1)


def _held_out(
    labels: Sequence[int], groups: Sequence[str], n_folds: int, seed: int, what: str, names: tuple[str, str]
) -> Bool[Tensor, "fold row"]:
    if n_folds < 2:
        raise SettingsError(
            f"n_folds={n_folds} was given: expected at least 2, because each fold is tested with probes that were trained on the "
            "other folds."
        )
    y = np.asarray(labels)
    per_label = [len({group for group, label in zip(groups, labels, strict=True) if label == value}) for value in (0, 1)]
    if min(per_label) < 2:
        raise DataError(
            f"{per_label[1]} {names[0]} and {per_label[0]} {names[1]} {what} were given: expected at least 2 of each, for "
            "cross-validation. Capture more prompts of both kinds."
        )
    n_folds = min(n_folds, *per_label)
    own = np.array(fold_of_rows(tuple(y.tolist()), tuple(groups), n_folds, seed))
    masks = own == np.arange(n_folds)[:, None]
    return torch.from_numpy(masks[[len(set(y[mask])) == 2 for mask in masks]])


def _each(places: Sequence[str]) -> tuple[Bool[Tensor, "place row"], tuple[str, ...]]:
    names = tuple(dict.fromkeys(places))
    if len(names) < 2:
        raise DataError(
            f"prompts of only {len(names)} locale were given: expected prompts of two or more locales, to hold one locale out. "
            "Capture prompts of another locale."
        )
    return torch.tensor([[own == name for own in places] for name in names]), names
