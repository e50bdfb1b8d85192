"""Tables remember how they were made, in their files too, and refuse what they were not made with."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import FileError, FingerprintError, SettingsError, UnknownNameError
from steerlens.evaluation import Answers, Plane, Response, Scoring, Sweep, answered, effects, placed, response, sweep
from steerlens.evaluation.combinations import Combinations
from steerlens.fingerprint import Fingerprint
from steerlens.steering import PlanSpec, StepSpec, VectorSet, take
from steerlens.tables import ResultTable, markdown_table

SCORING = Scoring("none", seed=3)


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items)


@pytest.fixture(scope="module")
def swept(llama: sl.LensModel, items: Items, vectors: VectorSet) -> Sweep:
    return sweep(llama, items, vectors, [1, 3], [1.0, 2.0], scoring=SCORING)


@pytest.fixture
def loaded_again(swept: Sweep, tmp_path: Path) -> Sweep:
    return Sweep.load(swept.save(tmp_path / "sweep.parquet"))


def test_how_a_table_was_made_survives_its_file(
    llama: sl.LensModel, items: Items, vectors: VectorSet, swept: Sweep, loaded_again: Sweep, tmp_path: Path
) -> None:
    assert loaded_again.meta == swept.meta
    pd.testing.assert_frame_equal(loaded_again.frame, swept.frame)
    assert Fingerprint.from_dict(swept.meta["model"]) == llama.fingerprint
    assert (swept.meta["items"], swept.meta["vectors"]) == (items.digest(), vectors.digest())
    assert (swept.meta["tokens"], swept.meta["mode"]) == ("last_onward", "exact")
    assert swept.meta["aims"] == {"EN": "transfer", "LOC": "localization"}
    assert Scoring.from_dict(swept.meta["scoring"]) == SCORING
    assert {"python", "torch", "steerlens"} <= set(swept.meta["versions"])
    assert b"steerlens" in pq.read_schema(tmp_path / "sweep.parquet").metadata
    plain = ResultTable(pd.DataFrame({"a": [1]}))
    assert ResultTable.load(plain.save(tmp_path / "plain.parquet")).meta == {}
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "others.parquet")  # written by other software
    assert ResultTable.load(tmp_path / "others.parquet").meta == {}
    with pytest.raises(FileError, match="lacks the columns"):
        Sweep.load(tmp_path / "plain.parquet")


def test_tables_made_of_tables_remember_too(llama: sl.LensModel, items: Items, vectors: VectorSet, tmp_path: Path) -> None:
    plans = {code: vectors["EN", code].at(1) for code in vectors.locales}
    given = answered(llama, items, {"EN": plans})
    assert {name: list(own) for name, own in given.meta["methods"].items()} == {"EN": list(plans)}
    assert all(plan.digest()[:12] in given.meta["methods"]["EN"][code] for code, plan in plans.items())
    assert placed(given, seed=3).meta == effects(given, seed=3).meta == {**given.meta, "seed": 3}
    assert given.compare("EN", "unsteered", seed=3).meta == {**given.meta, "seed": 3}
    assert Answers.load(given.save(tmp_path / "a.parquet")).meta == given.meta
    table = placed(given)
    assert table.meta["seed"] == 0
    assert Plane.load(table.save(tmp_path / "p.parquet")).meta == table.meta
    answer = response(llama, items, vectors.named("EN"), 1, (1.0, 2.0))
    assert Response.load(answer.save(tmp_path / "r.parquet")).meta["items"] == items.digest()


def test_check_names_what_differs(
    loaded: dict[str, sl.LensModel], llama: sl.LensModel, items: Items, vectors: VectorSet, swept: Sweep
) -> None:
    right = {"model": llama.fingerprint.to_dict(), "items": items.digest(), "vectors": vectors.digest(), "tokens": "last_onward"}
    swept.check(**right)  # the control
    swept.check(**dict.fromkeys(right), colour="red")  # what is not given and not remembered is not compared
    wrong = {
        "model": loaded["qwen2"].fingerprint.to_dict(),
        "items": items.of(locale="es-ES").digest(),
        "vectors": vectors.named("EN").digest(),
        "tokens": "all",
    }
    for name, value in wrong.items():
        with pytest.raises(SettingsError, match=f"this Sweep was made with other parts than the given ones \\({name}: "):
            swept.check(**{**right, name: value})
    with pytest.raises(SettingsError, match=r"items: .* in the table, .* given; tokens: 'last_onward' in the table, 'all' given"):
        swept.check(items=wrong["items"], tokens="all")
    Sweep(swept.frame).check(**wrong)  # a table that remembers nothing


def test_a_sweep_from_a_file_chooses_as_before_and_with_nothing_else(
    loaded: dict[str, sl.LensModel], llama: sl.LensModel, items: Items, vectors: VectorSet, swept: Sweep, loaded_again: Sweep
) -> None:
    expected = {name: one.spec for name, one in swept.choose().items()}
    again = loaded_again.choose(llama, items, vectors)
    assert {name: one.spec for name, one in again.items()} == expected
    tried = [choices.tried.frame for choices in (again, swept.choose())]
    pd.testing.assert_frame_equal(*tried)  # scored as the sweep was
    with pytest.raises(SettingsError, match="loaded from a file, which does not contain the model"):
        loaded_again.choose()
    with pytest.raises(SettingsError, match="which does not contain the model"):
        loaded_again.choose(llama, items)
    with pytest.raises(SettingsError, match=r"other parts than the given ones \(items: "):
        loaded_again.choose(llama, items.of(locale="es-ES"), vectors)
    changed = VectorSet(replace(vector, directions=1.01 * vector.directions) for vector in vectors.values())
    with pytest.raises(SettingsError, match=r"other parts than the given ones \(vectors: "):
        loaded_again.choose(llama, items, changed)
    with pytest.raises((SettingsError, FingerprintError), match="model"):
        loaded_again.choose(loaded["qwen2"], items, vectors)
    with pytest.raises(SettingsError, match=r"other parts than the given ones \(items: "):
        swept.choose(items=items.of(locale="es-ES"))  # which knows what it was made from


def test_combinations_hold_every_step(
    llama: sl.LensModel, swept: Sweep, vectors: VectorSet, items: Items, tmp_path: Path
) -> None:
    chosen = swept.choose()
    frame = chosen.tried.frame
    steps = [f"{name}_{at}" for at in (1, 2) for name in ("vector", "layer", "strength", "tokens")]
    assert list(frame.columns) == ["plan", *steps, "locale", "kind", "concept", "score", "value", "base", "valid"]
    assert set(frame["vector_1"]) == {"EN"}
    assert set(frame["vector_2"]) == {"LOC"}
    assert (frame["layer_1"] != frame["layer_2"]).all()
    row = frame.iloc[0]
    steps = [StepSpec(*(row[f"{name}_{at}"] for name in ("vector", "layer", "strength", "tokens"))) for at in (1, 2)]
    spec = PlanSpec(tuple(steps))
    assert str(spec) == row["plan"]
    both = {code: spec.plan(vectors.of(code)) for code in vectors.locales}
    given = answered(llama, items, {"both": both}, scores=["transfer_margin"], scoring=SCORING).frame
    own = given[given["method"] == "both"].set_index(["locale", "concept"])["value"]
    tried = frame[(frame["plan"] == row["plan"]) & (frame["score"] == "transfer_margin")]
    assert tried.set_index(["locale", "concept"])["value"].to_dict() == pytest.approx(own.to_dict(), abs=1e-4)
    means = chosen.tried.means("transfer_margin").set_index("plan")
    assert means.loc[row["plan"], "value"] == pytest.approx(own.mean(), abs=1e-4)
    back = Combinations.load(chosen.tried.save(tmp_path / "tried.parquet"))
    pd.testing.assert_frame_equal(back.frame, frame)
    assert back.meta == swept.meta


def test_having_names_what_a_table_holds(swept: Sweep) -> None:
    assert swept.having("vector", "EN") == "EN"
    with pytest.raises(UnknownNameError, match="expected one of EN, LOC"):
        swept.having("vector", "formal")
    copied = swept.to_frame()
    copied["value"] = 0
    assert not swept.frame["value"].eq(0).all()


def test_missing_numbers_are_empty_cells_of_markdown() -> None:
    assert markdown_table(["a", 2], [[1, float("nan")], ["", None]]) == "| a | 2 |\n| --- | --- |\n| 1 |  |\n|  |  |"


@pytest.mark.parametrize(
    ("column", "values", "named"),
    [
        ("value", ["a", "b"], "value"),
        ("layer", [[1], [2]], "layer"),
        ("locale", [1, 2], "locale"),
        ("score", [b"x", b"y"], "score"),
    ],
)
def test_a_column_of_another_type_is_refused(column: str, values: list[object], named: str, tmp_path: Path) -> None:
    row = {"vector": "EN", "layer": 1, "strength": 1.0, "tokens": "all", "exact": True, "locale": "es-ES", "kind": "factual"}
    good = pd.DataFrame([row | {"concept": c, "score": "transfer", "value": 1.0, "base": None, "valid": True} for c in "ab"])
    assert len(Sweep.load(Sweep(good).save(tmp_path / "good.parquet")).frame) == 2  # a column of nothing has no type
    Sweep(good.assign(**{column: values})).save(tmp_path / "bad.parquet")
    with pytest.raises(
        FileError, match=rf"bad\.parquet has values of the wrong type for a table of Sweep in the columns {named} \("
    ):
        Sweep.load(tmp_path / "bad.parquet")
