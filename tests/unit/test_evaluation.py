"""The choice of plans and the plane, on hand-made cases."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import FileError, SettingsError, UnknownNameError
from steerlens.evaluation import Cell, Plane, Sweep, choose, plane, sweep
from steerlens.steering import SteeringVector, difference_of_means


def _sweep_frame(gains: dict[tuple[str, int, float], tuple[int, int]]) -> pd.DataFrame:
    """Ten items of each kind per cell, of which so many more are answered right than the none unsteered."""
    still = {"english_centric": False, "margin": 0.0, "base_hit": False, "base_english_centric": False, "base_margin": 0.0}
    rows = []
    for (vector, layer, strength), both in gains.items():
        cell = {"vector": vector, "layer": layer, "strength": strength, "exact": True, "locale": "es-ES"}
        for kind, gained in zip(("factual", "cultural"), both, strict=True):
            rows += [{**cell, **still, "kind": kind, "concept": f"{kind}{i}", "hit": i < gained} for i in range(10)]
    return pd.DataFrame(rows)


def test_the_best_cell_wins_and_ties_go_to_the_smaller_strength(llama: sl.LensModel, items: Items, vectors: dict) -> None:
    dev = _ten_each(items)
    gains = {
        ("EN", 1, 4.0): (3, 0),
        ("EN", 1, 2.0): (3, 0),
        ("EN", 2, 1.0): (1, 9),
        ("LOC", 1, 1.0): (0, 2),
        ("LOC", 3, 1.0): (5, 1),
    }
    (en, loc, surgical), _ = choose(llama, dev, Sweep(_sweep_frame(gains)), {"es-ES": vectors["es-ES"]})
    assert (en.cells, en.transfer, en.localization) == ((Cell("EN", 1, 2.0),), 0.3, 0.0)
    assert loc.cells == (Cell("LOC", 1, 1.0),)
    assert loc.localization == 0.2
    assert [cell.vector for cell in surgical.cells] == ["EN", "LOC"]


def test_choosing_needs_the_items_that_were_swept(llama: sl.LensModel, items: Items, vectors: dict) -> None:
    swept = Sweep(_sweep_frame({("EN", 1, 1.0): (1, 1), ("LOC", 2, 1.0): (1, 1)}))
    with pytest.raises(SettingsError, match="different items in es-ES"):
        choose(llama, items, swept, {"es-ES": vectors["es-ES"]})


def _ten_each(items: Items) -> Items:
    """Ten factual and ten cultural items in Spanish, named as in ``_sweep_frame``."""
    some = {kind: items.of(kind=kind, locale="es-ES")[0] for kind in ("factual", "cultural")}
    return Items(tuple(replace(item, concept=f"{kind}{i}") for kind, item in some.items() for i in range(10)))


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> dict[str, dict[str, SteeringVector]]:
    pairs = {"EN": items.english_pairs, "LOC": items.localized_pairs}
    return {x: {name: difference_of_means(llama, make(x)) for name, make in pairs.items()} for x in ("es-ES", "ko-KR")}


def test_choice_and_plane_on_a_model(llama: sl.LensModel, items: Items, vectors: dict, tmp_path) -> None:  # type: ignore[no-untyped-def]
    swept = sweep(llama, items, [v for own in vectors.values() for v in own.values()], [0, 1, 3], [2.0])
    chosen, tried = choose(llama, items, swept, vectors)
    en, loc, surgical = chosen
    best = swept.cells("transfer").query("vector == 'EN'")["change"].max()
    assert en.transfer == pytest.approx(best)
    assert [cell.vector for cell in surgical.cells] == ["EN", "LOC"]
    assert surgical.cells[0].layer != surgical.cells[1].layer
    lesser = [
        min(t, c)
        for t, c in zip(*(tried.cells(s)["change"] for s in ("transfer", "localization")), strict=True)
    ]  # fmt: skip
    assert len(lesser) <= 9
    plans = {c.method: {x: c.plan(own) for x, own in vectors.items()} for c in (en, loc, surgical)}
    table = plane(llama, items, plans, seed=1)
    frame = table.frame.set_index(["method", "locale", "score"]).sort_index()
    assert (frame.loc["unsteered", "change"] == 0).all()
    assert frame.loc[("surgical", "mean", "transfer"), "change"] == pytest.approx(surgical.transfer)
    means = frame.loc["EN"].loc[["es-ES", "ko-KR"]].groupby("score")["value"].mean()
    assert frame.loc[("EN", "mean", "transfer"), "value"] == pytest.approx(means["transfer"])
    assert ((frame["low"] <= frame["change"] + 1e-9) & (frame["change"] <= frame["high"] + 1e-9)).all()
    assert list(table.summary()["method"]) == ["unsteered", "explicit prompt", "EN", "LOC", "surgical"]
    back = Plane.load(table.save(tmp_path / "plane.parquet"))
    pd.testing.assert_frame_equal(back.frame, table.frame)
    with pytest.raises(UnknownNameError, match="Did you mean es-ES"):
        table.summary("es-EX")


def test_explicit_prompt_is_scored_on_the_explicit_question(llama: sl.LensModel, items: Items, vectors: dict) -> None:
    still = {"still": {"es-ES": vectors["es-ES"]["EN"].at(1, 0.0)}}
    table = plane(llama, items, still).frame
    assert (table[table["method"] == "still"]["change"] == 0).all()
    assert set(table[table["method"] == "explicit prompt"]["score"]) == {"localization", "english_centric"}


def test_methods_for_different_locales(llama: sl.LensModel, items: Items, vectors: dict) -> None:
    plan = vectors["es-ES"]["EN"].at(1)
    for bad in ({}, {"a": {"es-ES": plan}, "b": {"ko-KR": plan}}):
        with pytest.raises(SettingsError, match="same locales"):
            plane(llama, items, bad)


def test_choosing_needs_both_vectors(llama: sl.LensModel, items: Items, vectors: dict) -> None:
    only = Sweep(_sweep_frame({("EN", 1, 1.0): (1, 1), ("EN", 2, 1.0): (1, 1)}))
    with pytest.raises(SettingsError, match="2 EN and 0 LOC"):
        choose(llama, items, only, vectors)


def test_truncated_table(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = Sweep(_sweep_frame({("EN", 1, 1.0): (1, 1)})).save(tmp_path / "sweep.parquet")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileError, match="truncated"):
        Sweep.load(path)
    torch.manual_seed(0)
    with pytest.raises(FileError, match="lacks columns"):
        Plane.load(Sweep(_sweep_frame({("EN", 1, 1.0): (1, 1)})).save(tmp_path / "other.parquet"))


def test_the_explicit_prompt_is_paired_item_by_item(llama: sl.LensModel, items: Items, vectors: dict) -> None:
    """A locale that lacks an explicit question is compared on those that it has, not with items that were never asked."""
    missing = next(item for item in items if item.kind == "cultural" and item.locale == "ko-KR")
    fewer = Items(tuple(replace(item, explicit="") if item is missing else item for item in items))
    plans = {"EN": {x: own["EN"].at(1, 1.0) for x, own in vectors.items()}}
    frame = plane(llama, fewer, plans).frame.query("method == 'explicit prompt' and score == 'localization'").set_index("locale")
    assert frame.loc["ko-KR", "n"] == frame.loc["es-ES", "n"] - 1
    assert frame["change"].notna().all()
    assert frame.loc["mean", "change"] == pytest.approx(frame.loc[["es-ES", "ko-KR"], "change"].mean(), abs=0.08)
