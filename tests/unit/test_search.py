"""The search finds what is planted and claims nothing where nothing is; no concept is scored under vectors of its own."""

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import DataError, FileError, SettingsError, UnknownNameError
from steerlens.evaluation import ALL, BEST, SCORES, Gains, Limits, Scorer, Search, SearchSettings, TextLimits, search
from steerlens.evaluation.running import Running
from steerlens.evaluation.searching.expected import Changes
from steerlens.evaluation.searching.measured import Measured, Part, ScoreCache, mean_gains
from steerlens.evaluation.searching.objectives import objective_of
from steerlens.evaluation.searching.predicted import Predictor
from steerlens.evaluation.searching.steps import Aim, additive, combined
from steerlens.evaluation.searching.vectors import CrossFit
from steerlens.scores import score_of
from steerlens.settings import Scoring, spaced
from steerlens.steering import EN, LOC, Contrast, PlanSpec, StepSpec, difference_of_means, take
from steerlens.testbed import Planted, planted

AIMS = ("transfer", "localization")
QUICK = SearchSettings(n_folds=2, strengths=(1.0, 2.0), dev_concepts=16, singles=2, combinations=6, limits=Limits(text=None))
"""Planted models do not model texts."""


@pytest.fixture(scope="module")
def bed() -> Planted:
    """Two locales whose cultural directions lie at different layers."""
    return planted(1, concepts=50, n_layers=6, layers={"es-ES": (1, 3), "ko-KR": (1, 4)})


@pytest.fixture(scope="module")
def found(bed: Planted) -> Search:
    return search(bed.model, bed.items.split(seed=0), ["es-ES", "ko-KR"], settings=QUICK)


def test_it_finds_what_is_planted(bed: Planted, found: Search) -> None:
    tested = found.tested.frame.set_index(["choice", "method", "locale", "score"])
    for locale, truth in bed.truth.items():
        chosen = found.chosen(locale)
        assert {step.vector: step.layer for step in chosen.steps} == {name: own.layer for name, own in truth.items()}
        assert chosen.gains.worst == min(chosen.gains["transfer"], chosen.gains["localization"]) > 0.3
        assert tested.loc[("own", "EN", locale, "transfer"), "low"] > 0
        assert tested.loc[("own", "LOC", locale, "localization"), "low"] > 0
        for score in ("transfer", "localization"):
            assert tested.loc[("own", BEST, locale, score), "low"] > 0
        for name, own in found.vectors.of(locale).items():
            assert torch.cosine_similarity(own.direction(truth[name].layer), truth[name].direction, dim=0) > 0.8


def test_regret_of_another_locales_layer(found: Search) -> None:
    """The other locale's LOC layer does nothing here: the gain in localization is lost, and the lesser gain with it."""
    regret = found.regret.frame.set_index(["locale", "choice_of", "score"])
    for own, other in (("es-ES", "ko-KR"), ("ko-KR", "es-ES")):
        assert regret.loc[(own, own, "objective"), ["regret", "low", "high"]].tolist() == [0, 0, 0]
        assert regret.loc[(own, other, "objective"), "low"] > 0
        assert regret.loc[(own, other, "localization"), "low"] > 0
    assert set(regret["part"]) == {"test"}


def test_nothing_is_claimed_where_nothing_is() -> None:
    bed = planted(0, nothing=True, locales=("es-ES",), concepts=40, n_layers=6)
    found = search(bed.model, bed.items.split(seed=0), ["es-ES"], settings=QUICK)
    frame = found.tested.frame
    assert not (frame[frame["score"] != "english_centric"]["low"] > 0).any()
    assert set(frame["choice"]) == {"own"}


def test_what_does_not_help_is_left_out() -> None:
    """A vector that does nothing is not chosen by itself, and not beside the other one, which does as much alone."""
    bed = planted(1, locales=("es-ES",), concepts=50, n_layers=6)
    nothing = Contrast("LOC", Items.localized_pairs, "localization", made=lambda vector: 0 * vector)
    settings = SearchSettings(**{**vars(QUICK), "limits": Limits(None, None, None)})
    for loc, wanted in ((nothing, {"EN"}), (LOC, {"EN", "LOC"})):
        found = search(bed.model, bed.items.split(seed=0), ["es-ES"], "sum of gains", contrasts=[EN, loc], settings=settings)
        chosen = found.choices["es-ES"]
        assert {step.vector for step in chosen["surgical"].steps} == {step.vector for step in chosen["best"].steps} == wanted
        assert {step.vector for step in chosen["LOC"].steps} == wanted - {"EN"}


def test_choices_do_not_see_test_and_a_seed_repeats(bed: Planted, found: Search) -> None:
    split = bed.items.split(seed=0)
    seen = Items((*split.train, *split.dev), split.train.name)
    again = search(bed.model, seen, ["es-ES", "ko-KR"], settings=QUICK)
    assert again.choices == found.choices
    assert again.tested is None
    pd.testing.assert_frame_equal(again.tried.frame, found.tried.frame)
    own = again.regret.frame.query("part == 'dev' and score == 'objective'")
    assert len(own) == 6
    assert (own["regret"] >= 0).all()  # no plan that was run does better on dev than a locale's own choice


def test_no_concept_is_scored_under_vectors_of_its_own(llama: sl.LensModel, items: Items) -> None:
    every = SearchSettings(vector_concepts=None, dev_concepts=None, seed=1)
    fitted = CrossFit(llama, items, ["es-ES"], [EN, LOC], [1, 3], every)
    parts, folds = fitted.parts(), items.folds(3, seed=1)
    assert len(parts) == 3
    for part, fold in zip(parts, folds, strict=True):
        others = items.only(set(items.concepts) - set(fold.concepts))
        assert set(part.items.concepts) == set(fold.of(locale="es-ES").concepts)
        for pairs in (others.english_pairs("es-ES"), others.localized_pairs("es-ES")):
            expected = difference_of_means(llama, pairs, [1, 3])
            torch.testing.assert_close(part.vectors[pairs.name].directions, expected.directions, atol=1e-5, rtol=1e-4)
            assert part.vectors[pairs.name].n == len(pairs)
    whole, pairs = fitted.vectors().of("es-ES"), items.english_pairs("es-ES")
    torch.testing.assert_close(whole["EN"].directions, difference_of_means(llama, pairs, [1, 3]).directions, atol=1e-5, rtol=1e-4)
    few = CrossFit(llama, items, ["es-ES"], [EN, LOC], [1], SearchSettings(vector_concepts=3, dev_concepts=6))
    assert few.vectors()["LOC", "es-ES"].n == 3
    assert [len(part.items) for part in few.parts()] == [4, 4, 4]
    assert (whole["EN"].n, whole["EN"].locale, whole["LOC"].name) == (len(pairs), "es-ES", "LOC")
    by_fold = Items(tuple(item for fold in folds for item in fold)).english_pairs("es-ES")
    assert (whole["EN"].score, whole["EN"].prompts_sha256) == ("transfer", by_fold.digest())


def test_folds_deal_concepts_evenly(items: Items) -> None:
    folds = items.folds(3, seed=0)
    concepts = [concept for fold in folds for concept in fold.concepts]
    assert sorted(concepts) == sorted(items.concepts)
    for kind in sl.data.KINDS:
        sizes = [len(fold.of(kind=kind).concepts) for fold in folds]
        assert max(sizes) - min(sizes) <= 1
    assert items.folds(3, seed=0) == folds != items.folds(3, seed=1)
    with pytest.raises(DataError, match="8 factual concepts given for 9 folds"):
        items.folds(9)


def _cache(model: sl.LensModel, items: Items) -> tuple[ScoreCache, dict]:
    own = take(model, items, locales=["es-ES"]).of("es-ES")
    parts = [Part("es-ES", items.of(locale="es-ES"), own)]
    return ScoreCache(model, parts, AIMS, Scoring(), None, Running()), own


def test_the_cache_holds_what_full_passes_give_and_runs_nothing_twice(llama: sl.LensModel, items: Items) -> None:
    cache, own = _cache(llama, items)
    both = PlanSpec.of("EN", 1, 2.0, "all") + PlanSpec.of("LOC", 2)
    for _ in range(2):
        cache.run([both, PlanSpec.of("EN", 1, 2.0, "all")], ["es-ES"], "")
    scorer = Scorer(llama, items.of(locale="es-ES"))
    outcomes = scorer.score(own["EN"].at(1, 2.0, "all") + own["LOC"].at(2))
    np.testing.assert_allclose(cache.values("es-ES", both)[cache.line("margin")], [o.margin for o in outcomes], atol=1e-4)
    gains = cache.gains(both, ["es-ES"])
    factual = [(o.correct - b.correct) for o, b in zip(outcomes, scorer.base, strict=True) if o.item.kind == "factual"]
    right = [o.scores[o.item.answer] - b.scores[b.item.answer] for o, b in zip(outcomes, scorer.base, strict=True)]
    assert gains["transfer"] == pytest.approx(np.mean(factual))
    assert gains.perplexity == pytest.approx(np.exp(-np.mean(right)), rel=1e-4)
    assert cache.passes == 2 * len(scorer)


def test_predictions_meet_what_was_run(llama: sl.LensModel, items: Items) -> None:
    cache, _ = _cache(llama, items)
    anchors = [PlanSpec.of(name, layer, 2.0, "all") for name in ("EN", "LOC") for layer in (1, 3)]
    cache.run(anchors, ["es-ES"], "")
    predictor = Predictor(cache, anchors)
    for spec in anchors:
        predicted, run = predictor.gains(spec, ["es-ES"]), cache.gains(spec, ["es-ES"])
        assert predicted["transfer_margin"] == pytest.approx(run["transfer_margin"], abs=1e-4)
        assert [predicted[aim] for aim in AIMS] == [run[aim] for aim in AIMS]
    still = predictor.gains(PlanSpec.of("EN", 1, 1e-6, "all"), ["es-ES"])
    assert [still[aim] for aim in AIMS] == [0, 0]


def _gains(*values: float) -> Gains:
    """Transfer, localization, the English-centric rate, both margins, and the ratio of perplexity, if it was measured."""
    *changes, ratio = values if len(values) == 6 else (*values, None)
    names = (*AIMS, "english_centric", "transfer_margin", "localization_margin")
    text = {} if ratio is None else {"answer_log_probability": -np.log(ratio)}
    return Gains({**dict(zip(names, changes, strict=True)), **text}, AIMS)


def test_gains_of_a_hand_computed_case() -> None:
    """Two factual items and three cultural ones; the last margin cannot be told unsteered, consistency was not measured."""
    names = (*AIMS, "english_centric", "transfer_margin", "localization_margin", "answer_log_probability", "consistency")
    scores, kinds = [SCORES[name] for name in names], np.array(["factual"] * 2 + ["cultural"] * 3)
    none = [np.nan] * 5
    correct = [1, 0, 1, -1, 0]
    after = np.array([correct, correct, [0, 0, 0, 1, 1], [2, 0, 1, 1, 3], [2, 0, 1, 1, 3], [np.log(0.5)] * 5, none])
    before = np.zeros((7, 5))
    before[4, 4], before[6] = np.nan, np.nan
    valid = np.array([True] * 5)
    gains = mean_gains(scores, AIMS, before, Measured(after, valid), kinds)
    expected = {
        "transfer": 0.5,
        "localization": 0.0,
        "english_centric": 2 / 3,
        "transfer_margin": 1.0,
        "localization_margin": 1.0,
    }
    assert dict(gains) == pytest.approx({**expected, "answer_log_probability": np.log(0.5)})
    assert gains.perplexity == pytest.approx(2.0)
    assert (gains.margins, gains.worst, gains.total) == pytest.approx((2.0, 0.0, 0.5))
    assert gains.valid
    after[0, 1] = np.nan  # which cannot be told steered
    told = mean_gains(scores, AIMS, before, Measured(after, valid), kinds)
    assert told.valid
    assert told["transfer"] == 1.0
    valid[1] = False  # steering takes the item out of the model's numbers
    assert not mean_gains(scores, AIMS, before, Measured(after, valid), kinds).valid
    assert not mean_gains(scores, AIMS, before, Measured(np.full((7, 5), np.nan), ~valid), kinds).valid
    factual = mean_gains(scores, AIMS, before[:, :1], Measured(after[:, :1], valid[:1]), kinds[:1])
    assert "localization" not in factual  # of which there are no items
    assert factual.get("localization") is None
    for unknown in (lambda: factual["localization"], lambda: factual.worst, lambda: factual["transfr"]):
        with pytest.raises(UnknownNameError, match="score of these gains"):
            unknown()


def test_limits_and_objectives() -> None:
    gains = _gains(0.3, 0.1, 0.06, 0.0, 0.0, 1.3)
    assert not Limits().allow(gains)
    assert not Limits(0.1, 1.2).allow(gains)
    assert Limits(0.06, 1.3).allow(gains)
    assert Limits(None, None).allow(gains)
    assert not Limits(0.0, None).of_text.english_centric
    assert objective_of("lesser gain")[1](gains) == 0.1
    assert objective_of("sum of gains")[1](gains) == pytest.approx(0.4)
    assert objective_of(lambda g: g["transfer"] - g["english_centric"])[1](gains) == pytest.approx(0.24)
    assert objective_of("english_centric")[1](gains) == -0.06  # less of it is better
    with pytest.raises(UnknownNameError, match="Did you mean lesser gain"):
        objective_of("least gain")
    for bad in ((-0.1, 1.2), (0.1, 0.9), (float("nan"), 1.2)):
        with pytest.raises(SettingsError, match="english_centric of 0 or more"):
            Limits(*bad)


def test_pairs_are_tried_by_the_sum_of_their_gains(llama: sl.LensModel, items: Items) -> None:
    cache, _ = _cache(llama, items)
    cells = [PlanSpec.of(name, layer, 2.0, "all") for name in ("EN", "LOC") for layer in (1, 3)]
    cache.run(cells, ["es-ES"], "")
    aim = Aim(cache, ("es-ES",), lambda gains: (gains.total, gains.margins))
    pairs = combined([cells[:2], cells[2:]], [cells[:2], cells[2:]])
    sums = [aim.rank(cache.gains(a, ["es-ES"]).plus(cache.gains(b, ["es-ES"]))) for a, b in (pair.apart() for pair in pairs)]
    assert additive(aim, pairs, 1) == [pairs[sums.index(max(sums))]]
    assert len(additive(aim, pairs, 9)) == 2


def test_gains_that_do_not_touch_add_up() -> None:
    both = _gains(0.1, -0.2, 0.0, 1.0, 2.0, 1.2).plus(_gains(0.2, 0.3, 0.1, 0.5, 0.0, 0.5))
    assert dict(both) == pytest.approx(dict(_gains(0.3, 0.1, 0.1, 1.5, 2.0, 0.6)))
    assert both.plus(_gains(0, 0, 0, 0, 0)).perplexity is None


def test_layers_are_spaced_with_the_last() -> None:
    assert spaced(range(18), 6) == [2, 5, 8, 11, 14, 17]
    assert spaced(range(18), 9) == list(range(1, 18, 2))
    assert spaced([1, 4], 9) == [1, 4]


def test_neighbours_are_one_step_away_at_different_layers() -> None:
    spec = PlanSpec.of("EN", 1) + PlanSpec.of("LOC", 2, 2.0)
    near = list(spec.neighbours([0, 1, 2, 3], [0.5, 1.0, 2.0], ["last_onward", "prompt"]))
    assert {str(other) for other in near} == {
        "0.5 × EN at layer 1 + 2 × LOC at layer 2",
        "2 × EN at layer 1 + 2 × LOC at layer 2",
        "1 × EN at layer 0 + 2 × LOC at layer 2",
        "1 × EN at layer 1 at prompt tokens + 2 × LOC at layer 2",
        "1 × EN at layer 1 + 1 × LOC at layer 2",
        "1 × EN at layer 1 + 2 × LOC at layer 3",
        "1 × EN at layer 1 + 2 × LOC at layer 2 at prompt tokens",
    }


def test_the_side_effect_limit_binds(bed: Planted) -> None:
    """A limit that no plan keeps leaves the model as it is, and the table says why."""
    split = bed.items.split(seed=0)
    tight = SearchSettings(**{**vars(QUICK), "limits": Limits(0.0, 1.0, None)}, )  # fmt: skip
    found = search(bed.model, split.dev, ["es-ES"], lambda gains: gains["english_centric"], settings=tight)
    assert found.chosen().spec == PlanSpec()
    assert found.plan("es-ES").layers == ()
    frame = found.tried.frame
    assert not frame["allowed"].all()
    assert not (frame["front"] & ~frame["allowed"]).any()


def test_a_plan_that_breaks_texts_is_not_found(bed: Planted, found: Search) -> None:
    """Planted directions are strong, and planted models are no models of text: with limits on text, they are passed over."""
    settings = SearchSettings(**{**vars(QUICK), "limits": Limits(None, None, TextLimits())})
    tight = search(bed.model, bed.items.split(seed=0), ["es-ES"], settings=settings)
    for name, truth in bed.truth["es-ES"].items():
        own, free = tight.choices["es-ES"][name], found.choices["es-ES"][name]
        assert [step.layer for step in free.steps] == [truth.layer]  # the control
        assert truth.layer not in [step.layer for step in own.steps]
        assert f"Skipped, because texts become worse: {free} (perplexity ×" in own.explained()


def test_saved_and_loaded(found: Search, tmp_path: Path) -> None:
    back = Search.load(found.save(tmp_path / "search"))
    assert back.choices == found.choices
    assert back.manifest["vectors"] == found.vectors.digest()
    assert back.manifest == json.loads(json.dumps(found.manifest))
    for name in ("tried", "tested", "regret"):
        pd.testing.assert_frame_equal(getattr(back, name).frame, getattr(found, name).frame)
    for x, own in found.methods().items():
        for locale, plan in own.items():
            same = back.methods()[x][locale]
            assert str(same) == str(plan)
            assert all(torch.equal(a.edit.direction, b.edit.direction) for a, b in zip(same.steps, plan.steps, strict=True))
    plan = sl.steering.SteeringPlan.load(tmp_path / "search" / "plans" / "best-ko-KR.safetensors")
    assert str(plan) == str(found.plan("ko-KR"))
    (tmp_path / "search" / "choices.json").write_text("{")
    with pytest.raises(FileError, match="damaged JSON"):
        Search.load(tmp_path / "search")


def test_names_that_do_not_exist(found: Search) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean es-ES"):
        found.chosen("es-EX")
    with pytest.raises(UnknownNameError, match="Did you mean surgical"):
        found.chosen("es-ES", "surgica")
    with pytest.raises(UnknownNameError, match="unknown locale of a vector 'all'"):
        found.plan(ALL)
    with pytest.raises(UnknownNameError, match="unknown score"):
        found.regret.heatmap("accuracy")
    assert found.plan("ko-KR", choice_of="es-ES").layers == found.plan("es-ES").layers


def test_figures(found: Search) -> None:
    figure = found.regret.heatmap()
    assert list(figure.data[0].x) == ["es-ES", "ko-KR", "all"]
    assert figure.data[0].zmid == 0
    assert figure.data[0].z[0][1] > 0
    assert figure.data[0].reversescale  # a loss is red, as everywhere
    plot = found.plot("es-ES")
    names = [trace.name for trace in plot.data]
    assert names[:4] == ["unsteered", "EN", "LOC", "surgical"]
    assert any(str(name).startswith("best: ") for name in names)
    front = found.tried.front("es-ES").frame
    assert front["localization"].is_monotonic_decreasing
    assert [trace.name for trace in found.tried.scatter().data][:4] == names[:4]
    tested = found.tested.plot("ko-KR", choice="all")
    assert "one choice for all" in tested.layout.title.text.replace("<br>", " ")
    assert len(tested.data) == 3 * found.tested.frame.query("choice == 'all'")["method"].nunique()  # a panel per score
    with pytest.raises(UnknownNameError, match="unknown choice"):
        found.tested.plot(choice="each")


def test_what_cannot_be_searched(bed: Planted) -> None:
    split = bed.items.split(seed=0)
    with pytest.raises(DataError, match="used both for the search and for the test"):
        search(bed.model, bed.items, ["es-ES"], test=split.test)
    for locales in ([], ["en-US"]):
        with pytest.raises(SettingsError, match="at least one"):
            search(bed.model, split, locales)
    with pytest.raises(UnknownNameError, match="Did you mean es-ES"):
        search(bed.model, split, ["es-EX"])
    with pytest.raises(SettingsError, match="two or more"):
        search(bed.model, split, ["es-ES"], settings=SearchSettings(layers=(2,)))
    for bad in ({"strengths": (0.0, 1.0)}, {"tokens": ()}, {"n_folds": 1}, {"dev_concepts": 0}, {"singles": 0}):
        with pytest.raises(SettingsError, match="numbers of at least 2 for first_layers and n_folds"):
            SearchSettings(**bad)
    assert StepSpec("EN", 1) == PlanSpec.of("EN", 1, 1.0, "last_onward").steps[0]
    with pytest.raises(SettingsError, match="without a score"):
        search(bed.model, split, ["es-ES"], contrasts=[EN, Contrast("mine", Items.english_pairs)])
    for bad in ([], [EN, EN], ["EN"]):
        with pytest.raises(SettingsError, match="contrast"):
            search(bed.model, split, ["es-ES"], contrasts=bad)


def _changes(*by_spec: tuple[PlanSpec, list[float]]) -> Changes:
    """The changes of the preference by concept under some plans; every right answer changes with the strongest."""
    found = Changes.__new__(Changes)
    found.specs = [spec for spec, _ in by_spec]
    found.cache = SimpleNamespace(scores=[score_of("localization"), score_of(score_of("localization").graded)])
    finer = np.array([values for _, values in by_spec]).T
    found.sums = np.stack([np.tile(np.arange(len(by_spec), dtype=float), (len(finer), 1)), finer])
    found.counts = np.ones_like(found.sums)
    return found


def test_the_weakest_strength_that_is_as_good_is_taken() -> None:
    """Compared by degrees, paired by concept, at the best cell's layer and tokens alone."""
    best, rng = [0.3 + 0.02 * (at % 5) for at in range(20)], np.random.default_rng(0)
    cell = partial(PlanSpec.of, "LOC", 13)
    as_good = [own - float(rng.normal(0.01, 0.1)) for own in best]
    worse = [own - 0.05 - float(rng.normal(0, 0.01)) for own in best]
    every = np.arange(20)
    strong = cell(4.0)
    assert _changes((strong, best), (cell(2.0), as_good), (cell(1.0), worse)).as_good(0, every, "localization") == 1
    assert _changes((strong, best), (cell(2.0), worse), (cell(1.0), as_good)).as_good(0, every, "localization") == 2
    assert _changes((strong, best), (cell(2.0), worse)).as_good(0, every, "localization") == 0
    elsewhere = PlanSpec.of("LOC", 12, 2.0), PlanSpec.of("LOC", 13, 2.0, "all"), PlanSpec.of("EN", 13, 2.0), cell(-2.0), cell(8.0)
    assert _changes((strong, best), *((spec, best) for spec in elsewhere)).as_good(0, every, "localization") == 0
