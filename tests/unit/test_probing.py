"""Probes find what is planted, and nothing in noise."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.covariance import LedoitWolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import steerlens as sl
from steerlens.data import Prompt
from steerlens.errors import DataError, SettingsError, UnknownNameError
from steerlens.probing import separability
from steerlens.probing.assigning import fold_of_rows
from steerlens.probing.auroc import auroc
from steerlens.probing.folds import Folds
from steerlens.probing.probes import lda_probe, logistic_probe


def _stack(
    model: sl.LensModel, *, planted_at: int | None, n: int = 40, locales: tuple[str, ...] = ("es-ES",)
) -> sl.ResidualStack:
    """Noise of ``n`` concepts of each kind per locale, with a direction added for factual ones at one layer."""
    prompts = tuple(
        Prompt(f"{x} {kind} {i}", f"{kind}-{i}", x, kind, "implicit")
        for x in locales
        for kind in ("factual", "cultural")
        for i in range(n)
    )
    noise = torch.randn(2, len(prompts), model.d_model, generator=torch.Generator().manual_seed(0))
    if planted_at is not None:
        noise[planted_at] += 3.0 * torch.tensor([p.kind == "factual" for p in prompts])[:, None] * torch.eye(model.d_model)[3]
    return sl.ResidualStack(noise, (0, 1), prompts, "last", model.fingerprint)


def test_planted_direction_is_found_at_its_layer_only(llama: sl.LensModel) -> None:
    frame = separability(_stack(llama, planted_at=1)).to_frame().query("layer >= 0").set_index(["probe", "layer"])
    for probe in ("difference of means", "logistic"):
        assert frame.loc[(probe, 1), "auroc"] > 0.9
        assert frame.loc[(probe, 1), "accuracy"] > 0.8
        assert abs(frame.loc[(probe, 0), "auroc"] - 0.5) < 0.15


def test_random_labels_score_at_chance(llama: sl.LensModel) -> None:
    stack = _stack(llama, planted_at=1, n=80)
    kinds = np.random.default_rng(0).permutation([prompt.kind for prompt in stack.prompts])
    shuffled = tuple(
        replace(p, kind=str(kind), text=f"text {i}") for i, (p, kind) in enumerate(zip(stack.prompts, kinds, strict=True))
    )
    frame = separability(replace(stack, prompts=shuffled)).to_frame()
    assert (frame[frame["auroc"].notna()]["auroc"] - 0.5).abs().max() < 0.15


def test_equals_scikit_learn(llama: sl.LensModel) -> None:
    stack = _stack(llama, planted_at=1)
    y = np.array([int(prompt.kind == "factual") for prompt in stack.prompts])
    groups = [prompt.concept for prompt in stack.prompts]
    expected = []
    for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(y, y, groups):
        x = stack.at(1).numpy()
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced")).fit(
            x[train], y[train]
        )
        expected.append(roc_auc_score(y[test], probe.decision_function(x[test])))
    frame = separability(stack).to_frame().query("probe == 'logistic' and layer == 1")
    assert frame["auroc"].item() == pytest.approx(np.mean(expected), abs=1e-3)


@pytest.fixture(params=[(60, 100), (150, 20)], ids=["more features", "more rows"])
def features(request: pytest.FixtureRequest) -> tuple[torch.Tensor, Folds]:
    """Three layers of noise; one feature is constant, one layer separable, and there are more factual rows."""
    (rows, width), generator = request.param, torch.Generator().manual_seed(1)
    x = torch.randn(3, rows, width, generator=generator)
    x[..., 5] = 2.0
    y = (torch.rand(rows, generator=generator) < 0.7).long()
    x[1, :, 0] += 6 * y
    return x, Folds.by_concept(y.tolist(), [str(i) for i in range(rows)])


def _assert_equal(ours: torch.Tensor, x: torch.Tensor, folds: Folds, reference: BaseEstimator) -> None:
    """Scores of all layers, folds and rows from one solve, against scikit-learn's one at a time."""
    for layer, rows in enumerate(x.double().numpy()):
        for fold, train in enumerate(folds.train.numpy()):
            fitted = make_pipeline(StandardScaler(), clone(reference)).fit(rows[train], folds.labels[train])
            np.testing.assert_allclose(ours[layer, fold].numpy(), fitted.decision_function(rows), atol=1e-3)


def test_logistic_of_all_layers_and_folds_equals_scikit_learns(features: tuple[torch.Tensor, Folds]) -> None:
    reference = LogisticRegression(max_iter=5000, tol=1e-9, class_weight="balanced")
    _assert_equal(logistic_probe(*features, tolerance=1e-7), *features, reference)


def test_lda_equals_scikit_learns(features: tuple[torch.Tensor, Folds]) -> None:
    reference = LinearDiscriminantAnalysis(solver="lsqr", covariance_estimator=LedoitWolf(), priors=[0.5, 0.5])
    _assert_equal(lda_probe(*features), *features, reference)


def test_auroc_equals_scikit_learns_with_ties() -> None:
    scores = torch.randint(5, (3, 40), generator=torch.Generator().manual_seed(0)).float()
    y = np.arange(40) % 3 == 0
    expected = [roc_auc_score(y, row) for row in scores.numpy()]
    np.testing.assert_allclose(auroc(scores, torch.from_numpy(y)).numpy(), expected, atol=1e-6)


def test_folds_never_divide_a_concept() -> None:
    concepts = [f"c{i // 3}" for i in range(60)]
    labels = [int(i // 3 % 2) for i in range(60)]
    folds = Folds.by_concept(labels, concepts)
    for test in folds.held_out:
        inside = {concepts[i] for i in test}
        assert all(i in test for i, concept in enumerate(concepts) if concept in inside)


@pytest.mark.parametrize("pure", [True, False], ids=["groups of one label", "groups of mixed labels"])
def test_folds_are_those_of_scikit_learn(*, pure: bool) -> None:
    """Two or three labels, even or rare, and groups of one row or of many."""
    random = np.random.default_rng(0)
    for seed in range(150):
        rows, n_labels, n_folds = random.integers(20, 120), random.integers(2, 4), random.integers(2, 9)
        of_row = random.integers(random.integers(n_folds, rows), size=rows)
        drawn = random.choice(n_labels, size=rows, p=random.dirichlet(np.ones(n_labels)))
        labels, groups = drawn[of_row] if pure else drawn, [f"group {group}" for group in of_row]
        n_folds = min(n_folds, len(set(groups)), np.unique(labels, return_counts=True)[1].min())
        if n_folds < 2 or len(set(labels)) < 2:
            continue
        splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
        found = np.array(fold_of_rows(tuple(labels), tuple(groups), n_folds, seed))
        for fold, (_, test) in enumerate(splitter.split(labels, labels, groups)):
            np.testing.assert_array_equal(np.flatnonzero(found == fold), test)


def test_folds_are_assigned_once_and_each_caller_has_its_own_masks() -> None:
    labels, concepts = [0, 1] * 10, [str(i) for i in range(20)]
    fold_of_rows.cache_clear()
    first = Folds.by_concept(labels, concepts)
    kept = first.test.clone()
    first.test[:] = False
    again = Folds.by_concept(labels, concepts)
    assert fold_of_rows.cache_info().misses == 1
    assert torch.equal(again.test, kept)


def test_one_fold_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected at least 2"):
        Folds.by_concept([0, 1] * 10, [str(i) for i in range(20)], n_folds=1)


def test_surface_form_is_reported(llama: sl.LensModel) -> None:
    """Prompts whose text gives their kind away: the baseline must say so."""
    surface = separability(_stack(llama, planted_at=None)).to_frame().query("probe == 'surface form'")
    assert surface["auroc"].item() > 0.95
    assert surface["layer"].item() == -1


def test_locales_and_all_of_them(llama: sl.LensModel) -> None:
    table = separability(_stack(llama, planted_at=0, locales=("es-ES", "ko-KR")))
    assert set(table.frame["locale"]) == {"es-ES", "ko-KR", "all"}
    assert table.heatmap().data[0].zmin == 0.5
    names = {trace.name for trace in table.plot("ko-KR").data if trace.name}
    assert names >= {"difference of means", "logistic"}
    baselines = {name.rpartition(" ")[0] for name in names if name[-1].isdigit()}
    assert baselines == {"surface form", "prompt length", "layer-0 residual"}
    with pytest.raises(UnknownNameError, match="Did you mean auroc"):
        table.heatmap("auc")


def test_cosine_of_en_and_loc(llama: sl.LensModel, items: sl.data.Items) -> None:
    stack = llama.residuals(items.prompts())
    frame = separability(stack).to_frame().query("probe == 'EN-LOC cosine' and locale == 'ko-KR' and layer == 2")
    en, loc = (
        sl.steering.difference_of_means(stack, p).direction(2)
        for p in (items.english_pairs("ko-KR"), items.localized_pairs("ko-KR"))
    )
    assert frame["cosine"].item() == pytest.approx(torch.cosine_similarity(en, loc, dim=0).item(), abs=1e-5)


def test_one_kind_only(llama: sl.LensModel, items: sl.data.Items) -> None:
    with pytest.raises(DataError, match="0 cultural concepts"):
        separability(llama.residuals(items.of(kind="factual", locale="es-ES").prompts()))


def test_features_that_are_all_alike_score_at_chance(llama: sl.LensModel) -> None:
    """As at the BOS token, which is the same in every prompt."""
    stack = _stack(llama, planted_at=1)
    flat = stack.residuals.clone()
    flat[0] = flat[0, :1]
    frame = separability(replace(stack, residuals=flat)).to_frame().query("layer == 0")
    assert (frame["auroc"] == 0.5).all()
