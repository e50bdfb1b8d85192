"""Probes of any two classes: planted labels are found, drawn ones are not, and groups are held out whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import steerlens as sl
from steerlens.errors import DataError
from steerlens.probing import permutation_test, separability

TEXTS = [f"Sentence number {n} about {word}." for n in range(20) for word in ("rain", "bread")]
LABELS = [int("rain" in text) for text in TEXTS]
GROUPS = [f"sentence {n // 2}" for n in range(len(TEXTS))]
BY_FORM = [n // 2 % 2 for n in range(len(TEXTS))]
"""A label of whole groups that the texts do not give away."""


@pytest.fixture(scope="module")
def stack(llama: sl.LensModel) -> sl.ResidualStack:
    return llama.residuals(TEXTS)


def _planted(stack: sl.ResidualStack, labels: list[int], layer: int) -> sl.ResidualStack:
    residuals = torch.randn(stack.residuals.shape, generator=torch.Generator().manual_seed(0))
    residuals[layer, :, 0] += 6 * (2 * torch.tensor(labels) - 1)
    return replace(stack, residuals=residuals)


def test_planted_labels_are_told_apart_at_their_layer_alone(stack: sl.ResidualStack) -> None:
    found = separability(_planted(stack, BY_FORM, 2), labels=BY_FORM, groups=GROUPS, probes=["difference of means"]).frame
    own = found[found["probe"] == "difference of means"].set_index("layer")
    assert set(found["locale"]) == {"all"}
    assert own.loc[2, "auroc"] == 1
    assert own.loc[[0, 1, 3], "auroc"].max() < 0.85
    assert own.loc[2, "concepts"] == 20


def test_labels_that_mean_nothing_are_not_claimed(stack: sl.ResidualStack) -> None:
    planted = permutation_test(_planted(stack, BY_FORM, 2), labels=BY_FORM, groups=GROUPS, draws=99).frame.set_index("layer")
    assert planted.loc[2, "p_corrected"] == pytest.approx(0.01)
    drawn = list(np.random.default_rng(0).permutation(BY_FORM[::2]).repeat(2))
    none = permutation_test(_planted(stack, BY_FORM, 2), labels=drawn, groups=GROUPS, draws=99).frame
    assert none["p_corrected"].min() > 0.05


def test_pairs_are_permuted_within_each_pair(stack: sl.ResidualStack) -> None:
    """A group with both labels: the true ones are those given, and each permutation leaves the pair one of each."""
    planted = permutation_test(_planted(stack, LABELS, 2), labels=LABELS, groups=GROUPS, draws=99).frame.set_index("layer")
    assert planted.loc[2, "auroc"] == 1
    assert planted.loc[2, "p_corrected"] == pytest.approx(0.01)
    assert planted["null_high"].max() < 1
    noise = _planted(stack, list(np.random.default_rng(1).permutation(LABELS)), 2)
    assert permutation_test(noise, labels=LABELS, groups=GROUPS, draws=99).frame["p_corrected"].min() > 0.05


def test_labels_within_a_group_may_differ(stack: sl.ResidualStack) -> None:
    """Without groups a text is its own: the word that both classes have is told apart by a real model too."""
    assert separability(stack, labels=[bool(label) for label in LABELS]).frame["auroc"].max() > 0.95


def test_labels_that_are_the_locales_are_measured_over_all_of_them(llama: sl.LensModel, items: sl.data.Items) -> None:
    every = llama.residuals(items.prompts(explicit=False))
    by_locale = [prompt.locale == "es-ES" for prompt in every.prompts]
    found = separability(_planted(every, by_locale, 2), labels=by_locale).frame
    assert set(found.loc[found["probe"] != "cosine", "locale"]) == {"all"}
    assert found.loc[(found["probe"] == "difference of means") & (found["layer"] == 2), "auroc"].item() == 1


def test_kinds_are_the_labels_if_none_are_given(llama: sl.LensModel, items: sl.data.Items) -> None:
    every = llama.residuals(items.prompts(explicit=False))
    by_hand = separability(every, labels=[prompt.kind == "factual" for prompt in every.prompts], seed=1).frame
    usual = separability(every, seed=1).frame
    both = by_hand.merge(usual, on=["locale", "layer", "probe"], suffixes=("", "_usual"))
    assert len(both) == len(usual)
    np.testing.assert_allclose(both["auroc"], both["auroc_usual"])


def test_labels_that_cannot_be_used(stack: sl.ResidualStack) -> None:
    with pytest.raises(DataError, match="3 labels were given for 40 prompts"):
        separability(stack, labels=[0, 1, 1])
    with pytest.raises(DataError, match="39 groups were given"):
        separability(stack, labels=LABELS, groups=GROUPS[1:])
    with pytest.raises(DataError, match="label 2 was given: expected only 1 and 0"):
        separability(stack, labels=[2, *LABELS[1:]])
    with pytest.raises(DataError, match="0 positive and 20 negative"):
        separability(stack, labels=[0] * 40, groups=GROUPS)
    twice = sl.ResidualStack(stack.residuals[:, [0, 0]], stack.layers, (stack.prompts[0],) * 2, "last", stack.fingerprint)
    with pytest.raises(DataError, match="both 1 and 0"):
        separability(twice, labels=[0, 1])
