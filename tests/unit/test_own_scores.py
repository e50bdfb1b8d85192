"""Scores of one's own, of outcomes and of what is written, work in everything that measures, chooses or draws."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import SettingsError
from steerlens.evaluation import (
    SCORES,
    Score,
    SearchSettings,
    Sweep,
    answered,
    effects,
    placed,
    plane,
    response,
    search,
    side_effects,
    sweep,
)
from steerlens.steering import EN, LOC, PlanSpec, VectorSet, take

LIKELY = Score("likely", lambda o: float(np.exp(o.scores[o.item.answer])), "factual", unit="probability", label="P(answer)")
VOWELS = Score("vowels in it", lambda w: sum(letter in "aeiou" for letter in w.text), None, "writing", "letters")
QUICK = SearchSettings(
    layers=(1, 3), strengths=(1.0, 2.0), tokens=("last_onward",), n_folds=2, singles=2, combinations=2, dev_concepts=None
)


@pytest.fixture(autouse=True)
def _as_they_were() -> Iterator[None]:
    """The registry as it was, after every test."""
    kept = dict(SCORES)
    sl.evaluation.register(LIKELY)
    sl.evaluation.register(VOWELS)
    yield
    SCORES.clear()
    SCORES.update(kept)


def _vectors(llama: sl.LensModel, items: Items, aim: str) -> VectorSet:
    return take(llama, items, [replace(EN, score=aim), LOC])


@pytest.mark.parametrize("aim", ["likely", "vowels in it", "exact_match", "consistency", "right_language"])
def test_a_score_of_any_kind_is_swept_and_chosen_by(llama: sl.LensModel, items: Items, aim: str) -> None:
    vectors = _vectors(llama, items, aim)
    swept = sweep(llama, items, vectors, [1, 3], [1.0, 4.0], scores=[aim, "localization"], max_new_tokens=3)
    chosen = swept.choose()
    cells = swept.cells(aim).query("vector == 'EN'")
    told = chosen["EN"].expected
    assert told is not None
    assert told.on_dev[aim] == pytest.approx(cells["change"].max())
    assert set(told.gains) == {aim}
    assert chosen["EN"].gains[aim] in (pytest.approx(cells["change"].max()), 0)
    tried = chosen.tried.means(aim).set_index("plan")
    assert len(tried) > 0
    spec = chosen.surgical.spec
    methods = {"surgical": chosen.surgical, "EN": chosen["EN"]}
    given = answered(llama, items, methods, scores=[aim], max_new_tokens=3)  # the same items by another way
    rows = given.frame.pivot_table(index=["locale", "concept"], columns="method", values="value")
    changes = (rows["surgical"] - rows["unsteered"]).dropna()
    assert chosen.surgical.gains[aim] == pytest.approx(changes.mean(), abs=1e-6)
    if len(spec.steps) > 1:
        assert tried.loc[str(spec), "change"] == pytest.approx(changes.mean(), abs=1e-6)


@pytest.mark.parametrize("aim", ["likely", "vowels in it", "consistency"])
def test_a_score_of_any_kind_is_searched_by(llama: sl.LensModel, items: Items, aim: str) -> None:
    contrasts = [replace(EN, score=aim), LOC]
    found = search(llama, items, ["es-ES"], contrasts=contrasts, settings=QUICK, test=None, max_new_tokens=3)
    tried = found.tried.frame.query("locale == 'es-ES'").set_index("plan")
    assert tried[aim].notna().all()
    alone = found.chosen("es-ES", "EN")
    assert alone.gains[aim] == pytest.approx(tried.loc[str(alone), aim])
    assert (tried["objective"] == tried[[aim, "localization"]].min(axis=1)).all()
    for figure in (found.plot(), found.regret.heatmap(aim), found.regret.heatmap()):
        assert figure.data


def test_text_under_a_search_is_that_of_the_model(llama: sl.LensModel, items: Items) -> None:
    """What the cache says of a spec is what its text scores by hand, with the fold's own vectors."""
    from steerlens.evaluation.running import Running
    from steerlens.evaluation.searching.measured import Part, ScoreCache
    from steerlens.settings import Scoring

    some, own = items.of(locale="es-ES").sample(2), take(llama, items).of("es-ES")
    parts = [Part("es-ES", half, own) for half in (some.of(kind="factual"), some.of(kind="cultural"))]
    cache = ScoreCache(llama, parts, ("vowels in it",), Scoring(), None, Running(), max_new_tokens=3)
    spec = PlanSpec.of("EN", 1, 4.0)
    cache.run([spec], ["es-ES"], "")
    values = cache.values("es-ES", spec)[cache.line("vowels in it")]
    with spec.plan(own).applied(llama):
        texts = [llama.generate(item.prompt().text, 3) for item in cache.items["es-ES"]]
    assert values.tolist() == [sum(letter in "aeiou" for letter in text) for text in texts]


def test_an_objective_that_is_no_aim_is_measured(llama: sl.LensModel, items: Items) -> None:
    by_name = search(llama, items, ["es-ES"], "likely", settings=QUICK)
    by_score = search(llama, items, ["es-ES"], LIKELY, settings=QUICK)
    by_function = search(llama, items, ["es-ES"], lambda gains: gains["likely"], scores=["likely"], settings=QUICK)
    tried = by_name.tried.frame
    assert (tried["objective"] == tried["likely"]).all()
    assert tried["objective"].nunique() > 1
    for other in (by_score, by_function):
        assert other.tried.frame["objective"].tolist() == tried["objective"].tolist()
        assert str(other.chosen()) == str(by_name.chosen())


def test_what_cannot_be_measured_is_refused(llama: sl.LensModel, items: Items) -> None:
    vectors = take(llama, items)
    for scores in (["log_perplexity"], ["transfer", "log_perplexity"]):
        with pytest.raises(SettingsError, match=r"\['log_perplexity'\] are scores of held-out text"):
            sweep(llama, items, vectors, [1], [1.0], scores=scores)
    with pytest.raises(SettingsError, match=r"'attribution': .* does not run any cell"):
        sweep(llama, items, vectors, [1], [1.0], scores=["transfer", "exact_match"], mode="attribution")
    with pytest.raises(SettingsError, match=r"a search needs scores of items, but .* held-out text"):
        search(llama, items, ["es-ES"], contrasts=[replace(EN, score="log_perplexity")], settings=QUICK)
    spanish = items.of(locale="es-ES")  # no English to be consistent with
    swept = sweep(llama, spanish, _vectors(llama, items, "consistency").of("es-ES").values(), [1, 3], [1.0],
                  scores=["consistency", "localization"])  # fmt: skip
    with pytest.raises(SettingsError, match=r"'consistency', which a contrast .* cannot be measured on any item in es-ES"):
        swept.choose()
    narrow = Score("all_right", lambda o: o.correct, None, companion="transfer_margin")
    with pytest.raises(
        SettingsError, match="companion 'transfer_margin', which is measured on factual items: expected a companion"
    ):
        sweep(llama, items, vectors, [1], [1.0], scores=[narrow])


def test_screened_sweeps_of_texts_choose_from_what_was_run(llama: sl.LensModel, items: Items) -> None:
    vectors = _vectors(llama, items, "vowels in it")
    scores = ["vowels in it", "localization"]
    swept = sweep(llama, items, vectors, [1, 3], [1.0, 2.0, 4.0], scores=scores, mode="screened", max_new_tokens=2)
    assert isinstance(swept, Sweep)
    assert swept.frame[swept.frame["score"] == "vowels in it"]["exact"].all()
    assert set(swept.choose()) == {"EN", "LOC", "surgical"}


def test_a_plane_of_any_two_scores(llama: sl.LensModel, items: Items) -> None:
    vectors = take(llama, items)
    methods = {name: {code: vectors[name, code].at(1, 4.0) for code in vectors.locales} for name in ("EN", "LOC")}
    own = ["likely", "vowels in it", "repetition"]
    table = plane(llama, items, methods, scores=own, side_effects=True, batch_size=8)
    assert table.frame.groupby(["method", "locale", "score"]).size().max() == 1  # repetition is measured once
    for wrong in (table.plot, table.front):
        with pytest.raises(
            SettingsError, match=r"axes \('transfer', 'localization'\) given for a plane with the scores likely, vowels in it"
        ):
            wrong()
    with pytest.raises(SettingsError, match="expected two of these scores"):
        table.plot(axes=("likely", "likely"))
    axes = ("likely", "vowels in it")
    means = table.frame.query("locale == 'mean'").pivot_table(index="method", columns="score", values="change")
    figure = table.plot(axes=axes)
    drawn = {trace.name: (trace.x[0], trace.y[0]) for trace in figure.data if trace.showlegend and trace.name in methods}
    assert drawn == {name: pytest.approx(tuple(means.loc[name, list(axes)])) for name in methods}
    assert figure.layout.xaxis.title.text == "change of P(answer) (probability)"
    assert not any("erasure" in note.text for note in figure.layout.annotations)
    assert set(table.front(axes=axes)) <= {"unsteered", "EN", "LOC"}
    less = table.front(axes=("likely", "repetition"))  # less repetition is better
    gains = means.loc[["unsteered", "EN", "LOC"]]
    assert gains["likely"].idxmax() in less
    assert gains["repetition"].idxmin() in less
    with pytest.raises(SettingsError, match="are in both the plane and the side effects"):
        table.beside(side_effects(llama, items, methods, scores=["repetition"], concepts=1, max_new_tokens=2))


@pytest.mark.parametrize("score", ["likely", "vowels in it", "english_centric", "transfer_margin", "right_language"])
def test_a_response_to_strength_of_any_score(llama: sl.LensModel, items: Items, score: str) -> None:
    own = take(llama, items).named("EN").values()
    found = response(llama, items, own, 1, (-4.0, 4.0), scores=[score, "transfer"], max_new_tokens=3)
    assert set(found.scores) == {score, "transfer"}
    curve = found.curve().query("locale == 'mean'").set_index(["score", "kind", "strength"])
    rows = found.frame[found.frame["score"] == score].dropna(subset=["value", "base"])
    for (kind, strength), part in rows.groupby(["kind", "strength"]):
        change = (part["value"] - part["base"]).groupby(part["concept"]).mean().mean()
        row = curve.loc[(score, kind, strength)]
        assert (row["finer"], row["margin"]) == (score, pytest.approx(change))
        assert row["change"] == pytest.approx(change)
    slopes = found.slopes().query(f"score == '{score}'")
    every = rows.groupby(["locale", "kind", "concept"]).size() == 2
    assert len(slopes) == every.sum()
    summary = found.summary().query(f"score == '{score}' and locale == 'mean'").set_index("kind")
    sign = -1 if score == "english_centric" else 1  # of which less is better
    for kind, part in slopes.groupby("kind"):
        below = (sign * part["slope"] < 0).groupby(part["concept"]).mean().mean()
        assert summary.loc[kind, "against"] == pytest.approx(below)
    figure = found.plot()
    assert len([note for note in figure.layout.annotations if "slope" in note.text]) == 1 + slopes["kind"].nunique()


def test_effects_and_locales_of_any_score(llama: sl.LensModel, items: Items) -> None:
    vectors = take(llama, items)
    plans = {code: vectors["EN", code].at(1, 4.0) for code in vectors.locales}
    scores = ("transfer", "likely", "vowels in it", "english_centric")
    given = answered(llama, items, {"EN": plans}, scores=scores, max_new_tokens=3)
    assert given.scores == scores
    table = effects(given)
    wide = given.frame.pivot_table(index=["score", "kind", "locale", "concept"], columns="method", values="value")
    for row in table.frame.query("method == 'EN' and locale == 'mean'").itertuples():
        own = wide.loc[row.score, row.kind][["EN", "unsteered"]].dropna()
        change = own["EN"] - own["unsteered"]
        sign = -1 if row.score == "english_centric" else 1
        assert (row.n, row.gained, row.lost) == (len(own), (sign * change > 0).sum(), (sign * change < 0).sum())
        if row.score != "transfer":  # which has a margin
            assert row.margin == pytest.approx(change.mean())
    assert set(table.frame["score"]) == set(given.scores)
    assert len([note for note in table.plot().layout.annotations if "items" in note.text]) == 5  # of texts, two kinds
    assert set(effects(given, scores=["likely"]).frame["score"]) == {"likely"}
    for figure in (given.heatmap("likely"), given.heatmap("vowels in it"), placed(given).plot(axes=("likely", "transfer"))):
        assert figure.data
    assert set(given.compare("EN", "unsteered").frame["score"]) == set(given.scores)


def test_figures_of_a_sweep_of_any_score(llama: sl.LensModel, items: Items) -> None:
    """Of what cannot be told, with which no mean is lost."""
    sometimes = Score("sometimes", lambda o: o.margin if o.correct else None)
    scores = ["likely", "vowels in it", sometimes]
    swept = sweep(llama, items, take(llama, items), [1, 3], [1.0, 4.0], scores=scores, max_new_tokens=3)
    for score in swept.scores:
        assert swept.heatmap("EN", score).data
        figure = swept.by_locale("EN", score, 4.0)
        rows = swept.frame.query(f"vector == 'EN' and score == '{score}' and strength == 4.0").dropna(subset=["value", "base"])
        changes = SCORES[score].factor * (rows["value"] - rows["base"])
        means = changes.groupby([rows["layer"], rows["locale"]]).mean()
        drawn = dict(zip(figure.data[0].x, np.array(figure.data[0].z, dtype=float).T, strict=True))
        for locale, column in drawn.items():
            expected = sorted(means[means.index.get_level_values("locale") == locale])
            assert sorted(value for value in column if not np.isnan(value)) == pytest.approx(expected)
    for score in ("likely", "vowels in it"):
        assert len(swept.depth({"EN": score}).frame) == 2
    never = sweep(llama, items, take(llama, items), [1, 3], [1.0], scores=[Score("never", lambda _: None)])
    for draw in (never.by_locale, never.heatmap):
        with pytest.raises(SettingsError, match="never could not be measured on any of the swept items"):
            draw("EN", "never")


def test_companions_that_are_asked_for_are_kept(llama: sl.LensModel, items: Items) -> None:
    vectors = take(llama, items)
    methods = {"EN": {code: vectors["EN", code].at(1) for code in vectors.locales}}
    asked = ("transfer", "transfer_margin")
    assert set(plane(llama, items, methods, scores=asked).frame["score"]) == set(asked)
    assert set(plane(llama, items, methods, scores=["transfer"]).frame["score"]) == {"transfer"}
    swept = sweep(llama, items, vectors, [1, 3], [1.0], scores=asked)
    assert set(swept.scores) == set(asked)
    assert set(answered(llama, items, methods, scores=asked).compare("EN", "unsteered").frame["score"]) == set(asked)


def test_a_companion_of_more_items_is_paired_item_by_item(llama: sl.LensModel, items: Items) -> None:
    """Whose rows stand in another number and order than those of its score."""
    vectors = take(llama, items)
    wide = Score("wide", lambda o: o.correct, "cultural", companion="margin")
    swept = sweep(llama, items, vectors, [1, 3], [1.0, 2.0], scores=[wide])
    same = sweep(llama, items, vectors, [1, 3], [1.0, 2.0], scores=["localization"])
    pd.testing.assert_frame_equal(
        swept.depth({"LOC": "wide"}).frame.drop(columns="score"), same.depth({"LOC": "localization"}).frame.drop(columns="score")
    )
    own = vectors.named("LOC").values()
    curves = [response(llama, items, own, 1, (1.0, 2.0), scores=[score]).curve() for score in (wide, "localization")]
    pd.testing.assert_frame_equal(*(curve.drop(columns=["score", "finer"]) for curve in curves))
