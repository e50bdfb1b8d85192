"""The choice of plans and the plane, on hand-made cases."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import FileError, SettingsError, UnknownNameError
from steerlens.evaluation import Plane, Sweep, plane, sweep
from steerlens.steering import Contrast, StepSpec, VectorSet, take
from steerlens.testbed import planted
from tests.unit.longform import noisy_sweep, sweep_frame, ten_each


def test_the_best_cell_wins_and_ties_go_to_the_smaller_strength(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    dev = ten_each(items)
    gains = {
        ("EN", 1, 4.0): (3, 0),
        ("EN", 1, 2.0): (3, 0),
        ("EN", 2, 1.0): (1, 9),
        ("LOC", 1, 1.0): (0, 2),
        ("LOC", 3, 1.0): (5, 1),
    }
    chosen = Sweep(sweep_frame(gains)).choose(llama, dev, _spanish(vectors))
    assert chosen["EN"].steps == (StepSpec("EN", 1, 2.0),)
    assert (chosen["EN"].gains["transfer"], chosen["EN"].gains["localization"]) == (0.3, 0.0)
    assert chosen["LOC"].steps == (StepSpec("LOC", 1, 1.0),)
    assert chosen["LOC"].gains["localization"] == 0.2
    assert set(chosen.tried.frame["vector_1"]) == {"EN"}
    assert set(chosen.tried.frame["vector_2"]) == {"LOC"}


def test_what_helps_nowhere_is_left_out(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    gains = {("EN", 1, 1.0): (0, 3), ("EN", 2, 1.0): (0, 0), ("LOC", 1, 1.0): (0, 1), ("LOC", 2, 1.0): (0, 0)}
    chosen = Sweep(sweep_frame(gains)).choose(llama, ten_each(items), _spanish(vectors))
    assert (str(chosen["EN"]), chosen["EN"].plan("es-ES").steps) == ("unsteered", ())
    assert chosen["LOC"].steps == (StepSpec("LOC", 1, 1.0),)  # the control: what helps is taken


@pytest.mark.parametrize("strength", [0.5, 4.0])
def test_all_together_is_the_largest_lesser_gain_or_unsteered(
    llama: sl.LensModel, items: Items, vectors: VectorSet, strength: float
) -> None:
    """Of the combinations and the cells that they are made of, the one whose lesser gain of the margins is largest is told, and
    it is taken where something of that is left on concepts that it was not chosen on."""
    chosen = sweep(llama, items, vectors, [1, 3], [strength]).choose(limits=None)
    told = chosen.surgical.expected
    assert told is not None
    margins = [chosen.tried.means(f"{score}_margin").set_index("plan")["change"] for score in ("transfer", "localization")]
    combined = pd.concat(margins, axis=1).min(axis=1)
    assert told.tried == len(combined) + 4  # the four cells of two layers and two contrasts
    if len(told.best.steps) == 2:
        assert str(told.best) == combined.idxmax()
    assert bool(chosen.surgical.steps) == told.helps
    assert set(told.gains) == {"transfer", "localization"}
    assert ("no plan is shown to help" in chosen.surgical.explained()) == (not told.helps)


def test_what_is_expected_has_no_winners_curse(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    """Of cells that are all noise, the best looks good on dev, and nothing is expected of it elsewhere: unsteered is taken."""
    seen, expected, taken = [], [], 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        cells = {("LOC", layer, float(strength)): rng.normal(size=10) for layer in range(1, 5) for strength in (1, 2, 3)}
        chosen = noisy_sweep(cells).choose(llama, ten_each(items), vectors["LOC", "es-ES"], limits=None)["LOC"]
        assert chosen.expected is not None
        seen.append(chosen.expected.on_dev["localization"])
        expected.append(chosen.expected.gains["localization"][0])
        taken += bool(chosen.steps)
    assert np.mean(seen) > 0.1
    assert abs(np.mean(expected)) < 0.1
    assert taken < 9
    works = {**cells, ("LOC", 4, 1.0): 1 + rng.normal(size=10)}
    assert noisy_sweep(works).choose(llama, ten_each(items), vectors["LOC", "es-ES"], limits=None)["LOC"].steps == (
        StepSpec("LOC", 4, 1.0),
    )


def test_a_contrast_is_chosen_by_its_margin_and_not_by_lucky_hits(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    lucky, steady = np.array([1.5] * 4 + [-2.0] * 6), np.full(10, 0.4)
    frame = noisy_sweep({("LOC", 1, 1.0): lucky, ("LOC", 2, 1.0): steady}).frame
    hits = (frame["score"] == "localization") & (frame["layer"] == 1) & (frame["concept"] < "cultural8")
    frame.loc[hits, "value"] = 1.0
    chosen = Sweep(frame).choose(llama, ten_each(items), vectors["LOC", "es-ES"])["LOC"]
    assert chosen.steps == (StepSpec("LOC", 2, 1.0),)


def test_both_are_taken_where_both_help() -> None:
    bed = planted(1, concepts=50, n_layers=6)
    split = bed.items.split(seed=0)
    found = take(bed.model, split.train, locales=bed.truth)
    chosen = sweep(bed.model, split.dev.where(lambda item: item.locale in bed.truth), found, strengths=[2.0]).choose(limits=None)
    assert {step.vector for step in chosen.surgical.steps} == {"EN", "LOC"}
    assert chosen.surgical.gains.worst > 0.3


def test_every_subset_of_three_contrasts_is_considered(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    again = [vector.called("again") for vector in vectors.named("EN").values()]
    chosen = sweep(llama, items, [*vectors.values(), *again], [0, 1, 3], [0.5]).choose()
    steps = chosen.tried.frame[["vector_1", "vector_2", "vector_3"]].drop_duplicates()
    subsets = {frozenset(row.dropna()) for _, row in steps.iterrows()}
    assert subsets == {frozenset(names) for names in (("EN", "LOC"), ("EN", "again"), ("LOC", "again"), ("EN", "LOC", "again"))}
    assert set(chosen) == {"EN", "LOC", "again", "surgical"}


def test_vectors_of_different_locales_are_chosen_where_each_has_them(
    llama: sl.LensModel, items: Items, vectors: VectorSet, caplog: pytest.LogCaptureFixture
) -> None:
    """A contrast is chosen by the items of its own vectors; all together by those that all of them have, which is said."""
    formal = take(llama, contrasts=Contrast.of("formal", [("Would you kindly?", "gimme")], score="transfer"))["formal"]
    spanish, korean = vectors["LOC", "es-ES"], vectors["EN", "ko-KR"]
    swept = sweep(llama, items, [formal, spanish], [1, 2], [0.5, 1.0])
    chosen = swept.choose()
    assert set(chosen) == {"formal", "LOC", "surgical"}
    assert set(chosen.tried.frame["locale"]) == {"es-ES"}
    for name, aim, codes in (("formal", "transfer", {"es-ES", "ko-KR"}), ("LOC", "localization", {"es-ES"})):
        own = items.where(lambda item, codes=codes: item.locale in codes)
        alone = sweep(llama, own, swept.source.vectors.named(name), [1, 2], [0.5, 1.0]).choose()[name]
        assert alone.spec == chosen[name].spec
        assert alone.gains[aim] == pytest.approx(chosen[name].gains[aim])
    assert "swept in different locales" not in caplog.text  # a vector without a locale goes with any
    assert plane(llama, items, {"formal": chosen["formal"], "LOC": chosen["LOC"]}).frame["locale"].unique().tolist() == [
        "es-ES",
        "mean",
    ]
    assert chosen["formal"].locales == ()
    assert chosen["formal"].plan("ko-KR").fingerprint == formal.fingerprint
    with pytest.raises(UnknownNameError, match="unknown locale of a vector 'ko-KR': expected one of es-ES"):
        chosen["LOC"].plan("ko-KR")
    apart = sweep(llama, items, [korean, spanish], [1, 2], [0.5]).choose()
    assert set(apart) == {"EN", "LOC"}
    assert "EN: ko-KR; LOC: es-ES" in caplog.text
    assert "no combination is chosen" in caplog.text
    with pytest.raises(SettingsError, match="have a locale in common"):
        _ = apart.surgical
    some = sweep(llama, items, [*vectors.named("EN").values(), spanish], [1, 2], [0.5]).choose()
    assert "combinations are chosen in es-ES, because all contrasts were swept there" in caplog.text
    assert set(some.tried.frame["locale"]) == {"es-ES"}
    assert some["EN"].locales == ("es-ES", "ko-KR")


def test_choices_are_named(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    swept = sweep(llama, items, vectors, [1, 2], [0.5])
    chosen = swept.choose(llama, items, list(vectors.values()))
    assert dict(chosen) == dict(swept.choose())
    assert "nobody" not in chosen
    assert chosen.get("nobody") is None
    assert chosen.get("EN") is chosen["EN"]
    with pytest.raises(UnknownNameError, match="unknown choice 'nobody': expected one of EN, LOC, surgical"):
        chosen["nobody"]


def test_choosing_needs_the_items_that_were_swept(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    swept = Sweep(sweep_frame({("EN", 1, 1.0): (1, 1), ("LOC", 2, 1.0): (1, 1)}))
    with pytest.raises(SettingsError, match="the sweep and the given items differ in es-ES"):
        swept.choose(llama, items, _spanish(vectors))
    with pytest.raises(SettingsError, match="the sweep and the given items differ in ko-KR"):
        swept.choose(llama, Items((*ten_each(items), *items.of(locale="ko-KR"))), vectors)
    with pytest.raises(SettingsError, match="which does not contain the model, the items and the vectors"):
        swept.choose(llama, items)


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items)


def _spanish(vectors: VectorSet) -> VectorSet:
    return VectorSet(vectors.of("es-ES").values())


def test_choice_and_plane_on_a_model(llama: sl.LensModel, items: Items, vectors: VectorSet, tmp_path) -> None:  # type: ignore[no-untyped-def]
    swept = sweep(llama, items, vectors, [0, 1, 3], [2.0])
    chosen = swept.choose()
    surgical = chosen.surgical
    best = swept.cells("transfer").query("vector == 'EN'")["margin"].max()
    assert chosen["EN"].gains.get("transfer_margin", 0) in (pytest.approx(best), 0)
    assert (chosen.tried.frame["layer_1"] != chosen.tried.frame["layer_2"]).all()
    assert chosen.tried.frame["plan"].nunique() <= 9
    table = plane(llama, items, chosen, seed=1)
    frame = table.frame.set_index(["method", "locale", "score"]).sort_index()
    assert (frame.loc["unsteered", "change"] == 0).all()
    assert frame.loc[("surgical", "mean", "transfer"), "change"] == pytest.approx(surgical.gains["transfer"])
    means = frame.loc["EN"].loc[["es-ES", "ko-KR"]].groupby("score")["value"].mean()
    assert frame.loc[("EN", "mean", "transfer"), "value"] == pytest.approx(means["transfer"])
    assert ((frame["low"] <= frame["change"] + 1e-9) & (frame["change"] <= frame["high"] + 1e-9)).all()
    assert list(table.summary()["method"]) == ["unsteered", "explicit prompt", "EN", "LOC", "surgical"]
    back = Plane.load(table.save(tmp_path / "plane.parquet"))
    pd.testing.assert_frame_equal(back.frame, table.frame)
    with pytest.raises(UnknownNameError, match="Did you mean es-ES"):
        table.summary("es-EX")


def test_explicit_prompt_is_scored_on_the_explicit_question(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    still = {"still": {"es-ES": vectors["EN", "es-ES"].at(1, 0.0)}}
    table = plane(llama, items, still).frame
    assert (table[table["method"] == "still"]["change"] == 0).all()
    assert set(table[table["method"] == "explicit prompt"]["score"]) == {"localization", "english_centric"}


def test_methods_for_different_locales(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    plan = vectors["EN", "es-ES"].at(1)
    with pytest.raises(SettingsError, match="no methods given"):
        plane(llama, items, {})
    with pytest.raises(SettingsError, match="same locales"):
        plane(llama, items, {"a": {"es-ES": plan}, "b": {"ko-KR": plan}})


def test_choosing_needs_both_vectors(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    only = Sweep(sweep_frame({("EN", 1, 1.0): (1, 1), ("EN", 2, 1.0): (1, 1)}))
    with pytest.raises(SettingsError, match="2 EN and 0 LOC"):
        only.choose(llama, ten_each(items), _spanish(vectors))
    alone = only.choose(llama, ten_each(items), _spanish(vectors).named("EN"))
    assert list(alone) == ["EN"]
    with pytest.raises(SettingsError, match=r"together: EN\. Surgical steering combines two or more"):
        _ = alone.surgical


def test_truncated_table(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = Sweep(sweep_frame({("EN", 1, 1.0): (1, 1)})).save(tmp_path / "sweep.parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="truncated"):
        Sweep.load(path)
    torch.manual_seed(0)
    with pytest.raises(FileError, match="lacks the columns"):
        Plane.load(Sweep(sweep_frame({("EN", 1, 1.0): (1, 1)})).save(tmp_path / "other.parquet"))


def test_the_explicit_prompt_is_paired_item_by_item(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    """A locale that lacks an explicit question is compared on those that it has, not with items that were never asked."""
    missing = next(item for item in items if item.kind == "cultural" and item.locale == "ko-KR")
    fewer = Items(tuple(replace(item, explicit="") if item is missing else item for item in items))
    plans = {"EN": {code: vectors["EN", code].at(1, 1.0) for code in vectors.locales}}
    frame = plane(llama, fewer, plans).frame.query("method == 'explicit prompt' and score == 'localization'").set_index("locale")
    assert frame.loc["ko-KR", "n"] == frame.loc["es-ES", "n"] - 1
    assert frame["change"].notna().all()
    assert frame.loc["mean", "change"] == pytest.approx(frame.loc[["es-ES", "ko-KR"], "change"].mean(), abs=0.08)


def test_a_sweep_of_the_concepts_that_a_vector_was_taken_from_warns(
    llama: sl.LensModel, items: Items, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    split = items.split(seed=0)
    taken = take(llama, split.train, locales=["es-ES"])
    sweep(llama, split.test.of(locale="es-ES"), taken, [1], 1.0)
    assert "was taken from" not in caplog.text
    sweep(llama, items.of(locale="es-ES"), taken, [1], 1.0)
    n = len(set(split.train.of(kind="factual").concepts))
    assert f"EN was taken from {n} of the {len(items.of(locale='es-ES').concepts)} concepts that are swept" in caplog.text
    again = VectorSet.load(taken.save(tmp_path / "vectors.safetensors"))
    assert again["EN", "es-ES"].notes == taken["EN", "es-ES"].notes
    odd = VectorSet(replace(vector, notes={"concepts": 5}) for vector in taken.values())
    assert len(sweep(llama, split.test.of(locale="es-ES"), odd, [1], 1.0).frame)  # a note of a user's own


def test_weaker_strengths_that_were_only_predicted_are_run_before_a_plan_is_chosen(
    llama: sl.LensModel, items: Items, vectors: VectorSet
) -> None:
    """On the items that the other cells of their vector were run on: the cells of a contrast are compared on the same items."""
    swept = sweep(llama, items, vectors, [1, 3], [1.0, 2.0, 4.0])
    kept = swept.frame.assign(exact=swept.frame["strength"] == 4.0)
    chosen = Sweep(kept, swept.meta, swept.source).choose(limits=None)
    for name in ("EN", "LOC"):
        found = chosen[name].expected
        assert found.tried == 4  # both layers at 4, and the better one's at 1 and 2
        assert found.best.steps[0].strength in (1.0, 2.0, 4.0)
