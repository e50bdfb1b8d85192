"""Power: the change that is said to be told is told as often as is said."""

import numpy as np
import pytest

import steerlens as sl
from steerlens.errors import SettingsError
from steerlens.evaluation import MEAN, Answers, answered, placed, power
from steerlens.statistics import bootstrap_interval, cross_fitted, detectable, needed, spread_of_change
from steerlens.steering import take
from tests.places import some_items


def test_a_change_of_that_size_is_told_four_times_in_five() -> None:
    rng, n, spread = np.random.default_rng(0), 60, 0.3
    change = detectable(spread, n)
    told = [bootstrap_interval(rng.normal(change, spread, n), draws=500, seed=seed).low > 0 for seed in range(400)]
    assert np.mean(told) == pytest.approx(0.8, abs=0.06)
    none = [bootstrap_interval(rng.normal(0, spread, n), draws=500, seed=seed).low > 0 for seed in range(400)]
    assert np.mean(none) < 0.06
    assert needed(spread, change) in (n, n + 1)
    assert detectable(spread, 4 * n) == pytest.approx(change / 2)


def test_the_spread_of_hits_is_that_of_their_draws() -> None:
    """Two locales whose answers change alike half of the time."""
    rng, n, moved = np.random.default_rng(1), 40_000, 0.2
    first, second = (rng.choice([-1, 0, 1], p=[moved / 2, 1 - moved, moved / 2], size=n) for _ in range(2))
    alike = rng.random(n) < 0.5
    both = (first + np.where(alike, first, second)) / 2
    assert both.std() == pytest.approx(spread_of_change(moved, 2, 0.5), rel=0.02)


@pytest.mark.parametrize("bad", [(-0.1, 3), (0.1, 0)])
def test_what_has_no_power(bad: tuple[float, int]) -> None:
    with pytest.raises(SettingsError, match="expected a spread of 0 or more"):
        detectable(*bad)
    with pytest.raises(SettingsError, match="no number of concepts can detect a change of 0"):
        needed(0.1, 0)
    for share in ((30, 2, 0.1), (0.1, 2, -0.5), (0.1, 0.5, 0.1)):
        with pytest.raises(SettingsError, match="expected moved and correlation between 0 and 1"):
            spread_of_change(*share)


def test_before_a_run_and_after_it(llama: sl.LensModel) -> None:
    items = some_items().of(kind="cultural")
    before = power(items, scores=["localization"], change=0.05)
    mean = before.frame.set_index("locale").loc[MEAN]
    assert mean["n"] == len({item.concept for item in items if item.locale != "en-US"})
    assert before.frame.set_index("locale").loc["es-ES", "detectable"] > mean["detectable"]
    assert mean["needed"] == needed(mean["spread"], 0.05)
    assert "localization: with" in str(before)
    assert "concepts are needed to detect the given change" in str(before)
    vectors = take(llama, some_items(), locales=["es-ES", "ko-KR"])
    given = answered(llama, items, {"LOC": {code: vectors["LOC", code].at(2, 4.0) for code in ("es-ES", "ko-KR")}})
    after, of_plane = (
        power(own, scores=["localization"]).frame.set_index(["method", "locale"]) for own in (given, placed(given))
    )
    changes = _changes(given)
    assert after.loc[("LOC", MEAN), "spread"] == pytest.approx(changes.std(ddof=1))
    assert after.loc[("LOC", MEAN), "n"] == len(changes)
    assert of_plane.loc[("LOC", MEAN), "detectable"] == pytest.approx(after.loc[("LOC", MEAN), "detectable"], rel=0.15)
    with pytest.raises(SettingsError, match="no items on which transfer can be measured"):
        power(items, scores=["transfer"])


def _changes(given: Answers) -> np.ndarray:
    own = given.frame[given.frame["score"] == "localization"]
    table = own.pivot_table(index=["concept", "locale"], columns="method", values="value").dropna(subset=["LOC", "unsteered"])
    return (table["LOC"] - table["unsteered"]).groupby("concept").mean().to_numpy()


def test_cross_fitting_judges_each_concept_by_a_choice_that_did_not_see_it() -> None:
    seen: list[set[int]] = []

    def choose(some: np.ndarray) -> int:
        seen.append(set(some.tolist()))
        return len(seen) - 1

    groups = ["factual"] * 6 + ["cultural"] * 4
    for judged in cross_fitted(groups, choose, folds=3, repeats=2):
        for concept, cell in enumerate(judged):
            assert concept not in seen[cell]
            assert {groups[other] for other in seen[cell]} == set(groups)
    assert len(seen) == 6
    with pytest.raises(SettingsError, match="1 concepts of a kind given"):
        cross_fitted(["a", "a", "b"], choose)


def test_the_mean_of_what_is_left_out_has_no_winners_curse() -> None:
    rng = np.random.default_rng(0)
    best, honest = [], []
    for seed in range(100):
        noise = rng.normal(size=(20, 30))
        best.append(noise.mean(axis=0).max())
        (judged,) = cross_fitted(
            ["all"] * 20, lambda some, noise=noise: int(noise[some].mean(axis=0).argmax()), repeats=1, seed=seed
        )
        honest.append(noise[np.arange(20), judged].mean())
    assert np.mean(best) > 0.35
    assert abs(np.mean(honest)) < 0.08
