"""The search finds what is planted and claims nothing where nothing is; no concept is scored under vectors of its own."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from steerlens.evaluation.searching.ledger import HIT, MARGIN, Ledger, Part, Predictor, gains_of
from steerlens.evaluation.searching.specs import neighbours, single

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import DataError, FileError, SettingsError, UnknownNameError
from steerlens.evaluation import ALL, BEST, Cell, Gains, Limits, PlanSpec, Scorer, Search, SearchSettings, search
from steerlens.evaluation.searching.objectives import objective_of
from steerlens.evaluation.searching.steps import Aim, combined, expected, spaced
from steerlens.evaluation.searching.vectors import CrossFit
from steerlens.steering import difference_of_means
from steerlens.testbed import Planted, planted

QUICK = SearchSettings(n_folds=2, strengths=(1.0, 2.0), dev_concepts=16, singles=2, combinations=6)


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
        assert {cell.vector: cell.layer for cell in chosen.cells} == {name: own.layer for name, own in truth.items()}
        assert min(chosen.transfer, chosen.localization) > 0.3
        assert tested.loc[("own", "EN", locale, "transfer"), "low"] > 0
        assert tested.loc[("own", "LOC", locale, "localization"), "low"] > 0
        for score in ("transfer", "localization"):
            assert tested.loc[("own", BEST, locale, score), "low"] > 0
        for name, own in found.vectors[locale].items():
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
    fitted = CrossFit(llama, items, ["es-ES"], [1, 3], every)
    parts, folds = fitted.parts(), items.folds(3, seed=1)
    assert len(parts) == 3
    for part, fold in zip(parts, folds, strict=True):
        others = items.only(set(items.concepts) - set(fold.concepts))
        assert {q.item.concept for q in part.exam.questions} == set(fold.of(locale="es-ES").concepts)
        for pairs in (others.english_pairs("es-ES"), others.localized_pairs("es-ES")):
            expected = difference_of_means(llama, pairs, [1, 3])
            torch.testing.assert_close(part.vectors[pairs.name].directions, expected.directions, atol=1e-5, rtol=1e-4)
            assert part.vectors[pairs.name].n == len(pairs)
    whole, pairs = fitted.vectors("es-ES"), items.english_pairs("es-ES")
    torch.testing.assert_close(whole["EN"].directions, difference_of_means(llama, pairs, [1, 3]).directions, atol=1e-5, rtol=1e-4)
    few = CrossFit(llama, items, ["es-ES"], [1], SearchSettings(vector_concepts=3, dev_concepts=6))
    assert few.vectors("es-ES")["LOC"].n == 3
    assert [len(part.exam) for part in few.parts()] == [4, 4, 4]
    assert (whole["EN"].n, whole["EN"].locale, whole["LOC"].name) == (len(pairs), "es-ES", "LOC")


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


def _ledger(model: sl.LensModel, items: Items) -> tuple[Ledger, dict]:
    own = {
        pairs.name: difference_of_means(model, pairs) for pairs in (items.english_pairs("es-ES"), items.localized_pairs("es-ES"))
    }
    return Ledger([Part("es-ES", Scorer(model, items.of(locale="es-ES")), own)]), own


def test_a_ledger_holds_what_full_passes_give_and_runs_nothing_twice(llama: sl.LensModel, items: Items) -> None:
    ledger, own = _ledger(llama, items)
    both = single("EN", 1, 2.0, "all") + single("LOC", 2, 1.0, "last_onward")
    for _ in range(2):
        ledger.run([both, single("EN", 1, 2.0, "all")], ["es-ES"], "")
    exam = Scorer(llama, items.of(locale="es-ES"))
    outcomes = exam.score(own["EN"].at(1, 2.0) + own["LOC"].at(2, 1.0, "last_onward"))
    np.testing.assert_allclose(ledger.marks("es-ES", both)[MARGIN], [o.margin for o in outcomes], atol=1e-4)
    gains = ledger.gains(both, ["es-ES"])
    factual = [(o.hit - b.hit) for o, b in zip(outcomes, exam.base, strict=True) if o.item.kind == "factual"]
    right = [o.scores[o.item.answer] - b.scores[b.item.answer] for o, b in zip(outcomes, exam.base, strict=True)]
    assert gains.transfer == pytest.approx(np.mean(factual))
    assert gains.perplexity == pytest.approx(np.exp(-np.mean(right)), rel=1e-4)
    assert ledger.passes == 2 * len(exam)


def test_predictions_meet_what_was_run(llama: sl.LensModel, items: Items) -> None:
    ledger, _ = _ledger(llama, items)
    anchors = [single(name, layer, 2.0, "all") for name in ("EN", "LOC") for layer in (1, 3)]
    ledger.run(anchors, ["es-ES"], "")
    predictor = Predictor(ledger, anchors)
    for spec in anchors:
        predicted, run = predictor.gains(spec, ["es-ES"]), ledger.gains(spec, ["es-ES"])
        assert predicted.transfer_margin == pytest.approx(run.transfer_margin, abs=1e-4)
        assert (predicted.transfer, predicted.localization) == (run.transfer, run.localization)
    still = predictor.gains(single("EN", 1, 1e-6, "all"), ["es-ES"])
    assert (still.transfer, still.localization) == (0, 0)


def test_gains_of_a_hand_computed_case() -> None:
    changes = np.zeros((4, 5))
    changes[HIT] = [1, 0, 1, -1, 0]
    changes[1] = [0, 0, 0, 1, 1]
    changes[MARGIN] = [2, 0, 1, 1, 3]
    changes[3] = np.log(0.5)
    gains = gains_of(changes, np.array([True, True, False, False, False]))
    assert gains == Gains(0.5, 0.0, pytest.approx(2 / 3), 1.0, pytest.approx(5 / 3), pytest.approx(2.0))
    assert gains.margin == pytest.approx(8 / 3)


def test_limits_and_objectives() -> None:
    gains = Gains(0.3, 0.1, 0.06, 0.0, 0.0, 1.3)
    assert not Limits().allow(gains)
    assert not Limits(0.1, 1.2).allow(gains)
    assert Limits(0.06, 1.3).allow(gains)
    assert Limits(None, None).allow(gains)
    assert not Limits(0.0, None).of_text.english_centric
    assert objective_of("lesser gain")[1](gains) == 0.1
    assert objective_of("sum of gains")[1](gains) == pytest.approx(0.4)
    assert objective_of(lambda g: g.transfer - g.english_centric)[1](gains) == pytest.approx(0.24)
    with pytest.raises(UnknownNameError, match="Did you mean lesser gain"):
        objective_of("least gain")
    for bad in ((-0.1, 1.2), (0.1, 0.9), (float("nan"), 1.2)):
        with pytest.raises(SettingsError, match="rise of 0 or more"):
            Limits(*bad)


def test_pairs_are_tried_by_the_sum_of_their_gains(llama: sl.LensModel, items: Items) -> None:
    ledger, _ = _ledger(llama, items)
    cells = [single(name, layer, 2.0, "all") for name in ("EN", "LOC") for layer in (1, 3)]
    ledger.run(cells, ["es-ES"], "")
    aim = Aim(ledger, ("es-ES",), lambda gains: (gains.transfer + gains.localization, gains.margin))
    pairs = combined(cells[:2], cells[2:], [])
    sums = [aim.rank(ledger.gains(a, ["es-ES"]).plus(ledger.gains(b, ["es-ES"]))) for a, b in (pair.apart() for pair in pairs)]
    assert expected(aim, pairs, 1) == [pairs[sums.index(max(sums))]]
    assert len(expected(aim, pairs, 9)) == 2


def test_gains_that_do_not_touch_add_up() -> None:
    both = Gains(0.1, -0.2, 0.0, 1.0, 2.0, 1.2).plus(Gains(0.2, 0.3, 0.1, 0.5, 0.0, 0.5))
    assert both == Gains(pytest.approx(0.3), pytest.approx(0.1), 0.1, 1.5, 2.0, pytest.approx(0.6))
    assert both.plus(Gains(0, 0, 0, 0, 0)).perplexity is None


def test_layers_are_spaced_with_the_last() -> None:
    assert spaced(range(18), 6) == [2, 5, 8, 11, 14, 17]
    assert spaced(range(18), 9) == list(range(1, 18, 2))
    assert spaced([1, 4], 9) == [1, 4]


def test_neighbours_are_one_step_away_at_different_layers() -> None:
    spec = single("EN", 1, 1.0, "all") + single("LOC", 2, 2.0, "all")
    near = list(neighbours(spec, [0, 1, 2, 3], [0.5, 1.0, 2.0], ["all", "prompt"]))
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
    tight = SearchSettings(**{**vars(QUICK), "limits": Limits(0.0, 1.0)}, )  # fmt: skip
    found = search(bed.model, split.dev, ["es-ES"], lambda gains: gains.english_centric, settings=tight)
    assert found.chosen().spec == PlanSpec()
    assert found.plan("es-ES").layers == ()
    frame = found.tried.frame
    assert not frame["allowed"].all()
    assert not (frame["front"] & ~frame["allowed"]).any()


def test_saved_and_loaded(found: Search, tmp_path: Path) -> None:
    back = Search.load(found.save(tmp_path / "search"))
    assert back.choices == found.choices
    assert back.manifest == json.loads(json.dumps(found.manifest))
    for name in ("tried", "tested", "regret"):
        pd.testing.assert_frame_equal(getattr(back, name).frame, getattr(found, name).frame)
    for x, own in found.methods().items():
        for locale, plan in own.items():
            same = back.methods()[x][locale]
            assert str(same) == str(plan)
            assert all(torch.equal(a.direction, b.direction) for a, b in zip(same.steps, plan.steps, strict=True))
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
    with pytest.raises(UnknownNameError, match="unknown locale 'all'"):
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
    with pytest.raises(DataError, match="both searched on and tested"):
        search(bed.model, bed.items, ["es-ES"], test=split.test)
    for locales in ([], ["en-US"]):
        with pytest.raises(SettingsError, match="at least one"):
            search(bed.model, split, locales)
    with pytest.raises(UnknownNameError, match="Did you mean es-ES"):
        search(bed.model, split, ["es-EX"])
    with pytest.raises(SettingsError, match="two or more"):
        search(bed.model, split, ["es-ES"], settings=SearchSettings(layers=(2,)))
    for bad in ({"strengths": (0.0, 1.0)}, {"tokens": ()}, {"n_folds": 1}, {"dev_concepts": 0}, {"singles": 0}):
        with pytest.raises(SettingsError, match="two first layers and folds"):
            SearchSettings(**bad)
    assert Cell("EN", 1, 1.0) == single("EN", 1, 1.0, "all").cells[0]
