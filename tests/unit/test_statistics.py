"""Statistics: theorems on data whose truth is known, each with a positive control, and equality to the formulas written out."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from steerlens.errors import SettingsError
from steerlens.statistics import (
    bootstrap_interval,
    bootstrap_means,
    cluster_counts,
    draws_interval,
    max_statistic_p,
    monte_carlo_p,
    paired_difference,
    pareto_front,
    percentile_interval,
    sign_flip_p,
)


def _normal(*size: int, mean: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1.0, size=size)


def _binomial_range(n: int, share: float) -> tuple[float, float]:
    """What the share of n trials lies within but once in ten thousand times."""
    low, high = stats.binom.interval(0.9999, n, share)
    return low / n, high / n


def test_interval_of_a_hand_computed_case() -> None:
    """Two concepts, changes 0 and 1: the mean is 0, 0.5 or 1 with chance 1/4, 1/2, 1/4."""
    interval = bootstrap_interval(np.array([0.0, 1.0]), level=0.4)
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.5, 0.5, 0.5, 2)
    wide = bootstrap_interval(np.array([0.0, 1.0]))
    assert (wide.low, wide.high) == (0.0, 1.0)
    assert str(wide) == "+0.500 [+0.000, +1.000], n=2"
    single = bootstrap_interval(np.array([0.25]))
    assert (single.low, single.high, single.n) == (0.25, 0.25, 1)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """The truth 0.3 is covered in 95 of 100 samples, and 0, which is not the truth, is not."""
    found = [bootstrap_interval(changes, draws=500) for changes in _normal(400, 80, mean=0.3)]
    low, high = _binomial_range(400, 0.94)  # with 80 concepts, percentiles cover 94%
    assert low <= np.mean([i.low <= 0.3 <= i.high for i in found]) <= high
    assert np.mean([i.low <= 0.0 <= i.high for i in found]) < low / 2


def test_intervals_are_the_formulas_of_before() -> None:
    changes = _normal(40, 3)
    picks = np.random.default_rng(3).integers(40, size=(5000, 40))
    own = bootstrap_interval(changes[:, 0], seed=3)
    expected = np.quantile(changes[:, 0][picks].mean(axis=1), [0.025, 0.975])
    assert (own.low, own.high) == pytest.approx(tuple(expected), abs=1e-12)
    counts = np.random.default_rng(3).multinomial(40, np.full(40, 1 / 40), size=2000)
    low, high = percentile_interval(bootstrap_means(changes, draws=2000, seed=3), 0.9)
    assert np.stack([low, high]) == pytest.approx(np.quantile(counts @ changes / 40, [0.05, 0.95], axis=0), abs=1e-12)
    cells = bootstrap_means(changes.reshape(40, 3, 1), draws=2000, seed=3)
    assert cells == pytest.approx((counts @ changes / 40)[:, :, None], abs=1e-12)


def test_interval_is_that_of_scipy() -> None:
    changes = _normal(30)
    own = bootstrap_interval(changes, seed=5)
    drawn = {"n_resamples": 5000, "method": "percentile", "rng": np.random.default_rng(5)}
    other = stats.bootstrap((changes,), np.mean, **drawn).confidence_interval
    assert (own.low, own.high) == pytest.approx((other.low, other.high), abs=1e-12)


def test_intervals_of_many_cells_are_those_of_each() -> None:
    changes = _normal(40, 2) + np.array([0.0, 1.0])
    low, high = percentile_interval(bootstrap_means(changes, draws=20_000))
    for at in (0, 1):
        one = bootstrap_interval(changes[:, at], draws=20_000)
        assert (low[at], high[at]) == pytest.approx((one.low, one.high), abs=0.02)


def test_resamples_are_of_concepts_and_shared() -> None:
    concepts = ["b", "a", "b", "c"]
    counts = cluster_counts(concepts, draws=50, seed=1)
    assert (counts[:, 0] == counts[:, 2]).all()
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    own = np.random.default_rng(1).multinomial(3, np.full(3, 1 / 3), size=50)
    assert (counts[:, [1, 0, 3]] == own).all()  # concepts by name
    twice = bootstrap_means(np.tile(_normal(10)[:, None], 2))
    assert (twice[:, 0] == twice[:, 1]).all()


def test_ignoring_clusters_is_too_sure() -> None:
    """Five equal items of a concept tell as much as one: intervals over items are shorter by the square root of 5."""
    by_concept = _normal(50)
    items = np.repeat(by_concept, 5)
    concepts = [f"c{at}" for at in range(50) for _ in range(5)]
    weights = cluster_counts(concepts, draws=4000)
    low, high = percentile_interval(weights @ items / weights.sum(axis=1))
    over, too_sure = bootstrap_interval(by_concept), bootstrap_interval(items)
    assert high - low == pytest.approx(over.high - over.low, rel=0.08)
    assert too_sure.high - too_sure.low == pytest.approx((over.high - over.low) / math.sqrt(5), rel=0.08)


def test_draws_of_a_control_by_hand() -> None:
    interval = draws_interval(np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]), level=0.5)
    assert (interval.mean, interval.low, interval.high, interval.n) == (2.0, 1.5, 2.5, 2)


def test_draws_that_are_nan() -> None:
    drawn = np.array([0.0, 1.0, math.nan])
    assert np.isnan(percentile_interval(drawn)).all()
    assert tuple(map(float, percentile_interval(drawn, 0.5, nan_policy="omit"))) == (0.25, 0.75)
    assert math.isnan(bootstrap_interval(drawn).low)


def test_nothing_to_take_an_interval_of() -> None:
    none = np.array([])
    for of in (bootstrap_interval, bootstrap_means, sign_flip_p):
        with pytest.raises(SettingsError, match="0 concepts"):
            of(none)
        with pytest.raises(SettingsError, match="0 draws"):
            of(np.ones(3), draws=0)
    with pytest.raises(SettingsError, match=r"level 1\.0"):
        bootstrap_interval(np.ones(3), level=1.0)
    with pytest.raises(SettingsError, match="0 draws"):
        percentile_interval(none)
    with pytest.raises(SettingsError, match="0 concepts"):
        cluster_counts([], draws=3)
    with pytest.raises(SettingsError, match="shape"):
        draws_interval(np.zeros((0, 3)))
    with pytest.raises(SettingsError, match="1 rows"):
        max_statistic_p(np.zeros((1, 3)))
    with pytest.raises(SettingsError, match="2 first scores, 2 second scores and 1 concepts"):
        paired_difference(np.zeros(2), np.zeros(2), ["a"])


def test_p_of_the_sign_test() -> None:
    """Seven up, one down and many unchanged: the binomial's 2 * (1 + 8) / 256."""
    changes = np.array([1.0] * 7 + [-1.0] + [0.0] * 40)
    assert sign_flip_p(changes) == pytest.approx(18 / 256, abs=0.01)
    assert sign_flip_p(-changes) == pytest.approx(18 / 256, abs=0.01)
    assert sign_flip_p(np.zeros(5)) == 1.0
    assert sign_flip_p(np.ones(60)) == 1 / 10000
    assert math.isnan(sign_flip_p(np.array([1.0, math.nan, 1.0])))


def test_p_is_that_of_all_flips() -> None:
    """scipy runs through all 1,024 combinations of signs."""
    changes = _normal(10, mean=0.5)
    exact = stats.permutation_test((changes,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    low, high = _binomial_range(9999, exact)
    assert low <= sign_flip_p(changes) <= high + 1e-4


def test_p_is_uniform_if_nothing_changes_and_small_if_something_does() -> None:
    null = [sign_flip_p(changes, draws=499) for changes in _normal(400, 14)]
    assert stats.kstest(null, "uniform").pvalue > 1e-3
    low, high = _binomial_range(400, 0.05)
    assert low <= np.mean(np.array(null) <= 0.05) <= high
    planted = [sign_flip_p(changes, draws=499) for changes in _normal(100, 14, mean=1.0)]
    assert np.mean(np.array(planted) <= 0.05) > 0.8


def test_p_among_draws_by_hand() -> None:
    assert monte_carlo_p(2.0, np.array([1.0, -2.0, 3.0, 0.0])) == pytest.approx((1 + 2) / 5)
    assert monte_carlo_p(-0.3, np.array([0.1 + 0.2])) == 1.0  # a tie but for rounding


def _labellings(seed: int, tests: int = 8, effect: float = 0.0) -> np.ndarray:
    """One observed row and 199 draws of tests that depend on each other and have different spreads; an effect in the first."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(200, 1))
    values = (0.6 * shared + 0.8 * generator.normal(size=(200, tests))) * np.linspace(0.1, 2, tests) + np.arange(tests)
    values[0, 0] += 0.1 * effect
    return values


def test_the_max_statistic_controls_the_family_wise_error() -> None:
    """Of eight tests without an effect, some is below 0.05 in 5 of 100 families if corrected, and in many more if not."""
    plain, corrected = zip(*(max_statistic_p(_labellings(seed)) for seed in range(400)), strict=True)
    low, high = _binomial_range(400, 0.05)
    assert low <= np.mean([p.min() <= 0.05 for p in corrected]) <= high
    assert np.mean([p.min() <= 0.05 for p in plain]) > high
    planted = [max_statistic_p(_labellings(seed, effect=5.0))[1] for seed in range(100)]
    assert np.mean([p[0] <= 0.05 for p in planted]) > 0.9
    assert np.mean([p[1:].min() <= 0.05 for p in planted]) < 0.15


def test_the_max_statistic_is_the_formula_of_before() -> None:
    given = _labellings(0).astype(np.float32)
    given[:, 3] = 0.5  # the same in every draw
    values = torch.from_numpy(given)
    spread = values.std(dim=0)
    standard = torch.where(spread > 1e-6, (values - values.mean(dim=0)) / spread, 0.0)
    best = standard.amax(dim=1, keepdim=True) >= standard[0] - 1e-4
    p, corrected = max_statistic_p(given.astype(float))
    assert p.tolist() == (values >= values[0] - 1e-6).double().mean(0).tolist()
    assert corrected.tolist() == best.double().mean(0).tolist()
    assert p[3] == 1
    assert (corrected >= p).all()


def test_p_is_not_rounded() -> None:
    """One in twenty is 0.05 and no more, so that it is at most 0.05."""
    values = np.arange(20.0)[::-1, None]
    assert [p.item() for p in max_statistic_p(values)] == [0.05, 0.05]


def test_a_method_does_not_differ_from_itself() -> None:
    scores = _normal(12)
    found = paired_difference(scores, scores, [f"c{at // 2}" for at in range(12)])
    assert (found.change.mean, found.change.low, found.change.high, found.change.n, found.p) == (0.0, 0.0, 0.0, 6, 1.0)
    assert found.first == found.second == pytest.approx(scores.mean())


def test_exchanging_the_methods_changes_the_sign() -> None:
    first, second = _normal(60, mean=0.4), _normal(60, seed=1)
    concepts = [f"c{at // 3}" for at in range(60)]
    one, other = paired_difference(first, second, concepts), paired_difference(second, first, concepts)
    assert one.change.mean == pytest.approx(-other.change.mean)
    assert (one.change.low, one.change.high) == pytest.approx((-other.change.high, -other.change.low))
    assert one.p == other.p
    assert (one.first, one.second) == (other.second, other.first)


def test_a_difference_is_paired_and_counts_a_concept_once() -> None:
    """Concept a: 0.75 more, asked twice; b: 0.5 less."""
    found = paired_difference(np.array([1.0, 1.0, 0.0]), np.array([0.5, 0.0, 0.5]), ["a", "a", "b"])
    assert found.change.mean == pytest.approx((0.75 - 0.5) / 2)
    assert (found.change.low, found.change.high, found.change.n) == (-0.5, 0.75, 2)
    assert (found.first, found.second) == (0.5, 0.375)
    noise = _normal(200) * 10  # shared by both methods: it drops out
    paired = paired_difference(noise + 0.1, noise, list(map(str, range(200))))
    assert (paired.change.low, paired.change.high) == pytest.approx((0.1, 0.1))
    assert math.isnan(paired_difference(np.array([1.0, math.nan]), np.zeros(2), ["a", "b"]).p)


def test_the_front_is_what_nothing_dominates_and_ties_stay() -> None:
    points = np.array([(0, 0), (0.2, 0.1), (0.1, 0.2), (0.2, 0.05), (0.2, 0.1), (math.nan, 9)])
    assert pareto_front(points).tolist() == [False, True, True, False, True, False]
    assert pareto_front(np.zeros((3, 2))).all()
    assert pareto_front(np.empty((0, 2))).tolist() == []


def test_the_front_is_that_of_the_definition() -> None:
    points = np.random.default_rng(0).integers(5, size=(60, 3)).astype(float)
    expected = [not any((other >= own).all() and (other > own).any() for other in points) for own in points]
    assert pareto_front(points).tolist() == expected
    assert 0 < sum(expected) < 60
