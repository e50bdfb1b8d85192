"""Contrasts of any prompts, the vectors that are taken of them, and the arithmetic of vectors and plans."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from places import some_items

import steerlens as sl
from steerlens.data import Items, Prompt, PromptPairs
from steerlens.errors import FileError, FingerprintError, LayerError, PairsError, SettingsError, UnknownNameError, VectorError
from steerlens.evaluation import Score, Scorer, SearchSettings, plane, response, sweep
from steerlens.notebook.specimen import item_specimen
from steerlens.settings import StudySettings
from steerlens.steering import EN, LOC, Contrast, SteeringPlan, SteeringVector, VectorSet, difference_of_means, take

PAIRS = [
    ("Would you kindly tell me the time?", "gimme the time"),
    ("I should be grateful for your advice.", "got any tips?"),
    ("May I ask where you live?", "where d'you live"),
]


@contextmanager
def rows_run(model: sl.LensModel) -> Iterator[list[int]]:
    """Counts the rows of every pass through the first block."""
    rows: list[int] = []
    block = model.tl.original_model.model.layers[0]
    handle = block.register_forward_pre_hook(lambda _, given: rows.append(given[0].shape[0]))
    try:
        yield rows
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def formal() -> Contrast:
    return Contrast.of("formal", PAIRS, score="transfer")


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items)


@pytest.fixture(scope="module")
def mine(llama: sl.LensModel, formal: Contrast) -> VectorSet:
    return take(llama, contrasts=[formal])


def _direction(plan: SteeringPlan, layer: int) -> torch.Tensor:
    """What a plan of additions adds at one layer."""
    return sum((step.strength * step.edit.direction for step in plan.steps if step.layer == layer), torch.zeros(()))


def test_plain_texts_make_a_vector_without_locale_or_culture(llama: sl.LensModel, mine: VectorSet) -> None:
    vector = mine["formal"]
    assert (vector.label, vector.n, vector.score) == ("formal", 3, "transfer")
    sides = [llama.residuals(list(side)).residuals.double().mean(dim=1) for side in zip(*PAIRS, strict=True)]
    torch.testing.assert_close(vector.directions, (sides[0] - sides[1]).float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "bad", [[], ["Hello"], [("a", "b", "c")], [("a",)], [("a", 1)], ["ab"], [*PAIRS, ("a", None)], [{"a": "b", "c": "d"}]]
)
@pytest.mark.usefixtures("as_users_run_it")
def test_wrong_pairs_are_refused_before_any_pass(llama: sl.LensModel, bad: list) -> None:
    with rows_run(llama) as rows, pytest.raises(PairsError, match="expected at least one pair of texts"):
        take(llama, contrasts=[Contrast.of("formal", PAIRS), Contrast.of("bad", bad)])
    assert not rows
    assert len(take(llama, contrasts=[Contrast.of("good", [list(pair) for pair in PAIRS])])) == 1  # the control


def test_what_cannot_be_taken_is_said_before_any_pass(llama: sl.LensModel, items: Items, formal: Contrast) -> None:
    cases: list[tuple[dict, type[Exception], str]] = [
        ({}, SettingsError, "no items given: contrast 'EN'"),
        ({"items": items.of(kind="cultural")}, PairsError, "the same number of positive and negative prompts"),
        ({"contrasts": []}, SettingsError, "no contrasts"),
        ({"contrasts": [formal, formal]}, SettingsError, "two contrasts called 'formal'"),
        ({"items": items, "locales": []}, SettingsError, "no locales"),
    ]
    for given, error, words in cases:
        with rows_run(llama) as rows, pytest.raises(error, match=words):
            take(llama, **given)
        assert not rows, words


def test_take_is_the_difference_of_means_of_each_and_runs_each_prompt_once(llama: sl.LensModel, items: Items) -> None:
    took = take(llama, items, [EN, LOC, Contrast.of("formal", PAIRS)])
    with rows_run(llama) as rows:
        again = take(llama, items, [EN, LOC, Contrast.of("formal", PAIRS)])
    sets = [make(items, code) for make in (Items.english_pairs, Items.localized_pairs) for code in ("es-ES", "ko-KR")]
    texts = {prompt.text for pairs in sets for prompt in (*pairs.positive, *pairs.negative)} | {
        text for two in PAIRS for text in two
    }
    assert sum(rows) == len(texts) < 2 * sum(map(len, sets))
    for pairs in sets:
        alone, found = difference_of_means(llama, pairs), took[pairs.name, pairs.locale]
        torch.testing.assert_close(found.directions, alone.directions, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(found.positive, alone.positive, atol=1e-5, rtol=1e-5)
        assert (found.n, found.prompts_sha256) == (alone.n, alone.prompts_sha256)
    assert took.digest() == again.digest()
    from_stack = take(llama.residuals([*items.prompts(), *map(Prompt, texts)]), items)
    torch.testing.assert_close(from_stack["EN", "es-ES"].directions, took["EN", "es-ES"].directions, atol=1e-4, rtol=1e-4)


def test_a_vector_set_finds_its_vectors(vectors: VectorSet, mine: VectorSet, items: Items) -> None:
    every = VectorSet([*vectors.values(), *mine.values()])
    assert (every.names, every.locales, len(every)) == (("EN", "LOC", "formal"), ("es-ES", "ko-KR"), 5)
    assert every["EN", "ko-KR"] is vectors["EN", "ko-KR"]
    assert every["formal"] is every["formal", ""] is mine["formal"]
    assert set(every.of("es-ES")) == {"EN", "LOC", "formal"}
    assert set(every.of("fr-FR")) == {"formal"}
    assert list(every.named("LOC", "formal")) == [("LOC", "es-ES"), ("LOC", "ko-KR"), ("formal", "")]
    assert list(every) == list(dict(every))
    assert vectors.locales_in(items) == every.locales_in(items) == mine.locales_in(items) == ("es-ES", "ko-KR")
    with pytest.raises(UnknownNameError, match="one vector for each of es-ES, ko-KR: name the locale too"):
        every["EN"]
    for unknown in ("FORMAL", ("EN", "fr-FR"), ("EN", "")):
        with pytest.raises(UnknownNameError, match="unknown vector"):
            every[unknown]
    with pytest.raises(UnknownNameError, match="unknown vector 'en'"):
        every.named("en")
    assert every.get("nobody") is None
    assert every.get("formal") is mine["formal"]
    assert "EN" not in mine
    assert "formal" in mine
    assert "EN" in vectors
    assert ("EN", "fr-FR") not in vectors


@pytest.mark.usefixtures("as_users_run_it")
def test_vectors_that_cannot_be_told_apart(loaded: dict[str, sl.LensModel], vectors: VectorSet, mine: VectorSet) -> None:
    en = vectors["EN", "es-ES"]
    with pytest.raises(SettingsError, match=r"two vectors called 'EN' .* es-ES"):
        VectorSet([en, en])
    with pytest.raises(SettingsError, match="two vectors called 'EN'"):
        VectorSet([en, replace(en, locale="")])
    assert len(VectorSet([en, en.called("mine")])) == 2
    other = take(loaded["qwen2"], contrasts=[Contrast.of("formal", PAIRS)])
    with pytest.raises(FingerprintError, match="weights"):
        VectorSet([en, other["formal"]])
    with pytest.raises(SettingsError, match="str given in a vector set"):
        VectorSet(["EN"])
    with pytest.raises(SettingsError, match="no vectors given"):
        _ = VectorSet().fingerprint
    assert mine.fingerprint == en.fingerprint


def test_a_vector_set_is_saved_with_edits_of_every_kind(vectors: VectorSet, mine: VectorSet, tmp_path: Path) -> None:
    en = vectors["EN", "es-ES"]
    every = VectorSet([*vectors.values(), *mine.values(), en.ablation(), en.projection("negative")])
    back = VectorSet.load(every.save(tmp_path / "vectors.safetensors"))
    assert list(back) == list(every)
    assert back.digest() == every.digest()
    assert str(back["EN ablated"].at(1)) == str(en.ablation().at(1)) == "EN es-ES ablated at layer 1"
    assert back["EN", "ko-KR"].score == "transfer"
    changed = en.directions.clone()
    changed[2, 3] += 1e-3
    assert VectorSet([replace(en, directions=changed)]).digest() != VectorSet([en]).digest()  # the control
    assert VectorSet([replace(en, score="")]).digest() != VectorSet([en]).digest()
    with pytest.raises(FileError, match="contains a steering vector"):
        VectorSet.load(en.save(tmp_path / "en.safetensors"))
    with pytest.raises(FileError, match="contains a vector set"):
        SteeringVector.load(tmp_path / "vectors.safetensors")


def test_plans_scale_negate_subtract_and_sum(llama: sl.LensModel, vectors: VectorSet, mine: VectorSet) -> None:
    en, loc = vectors["EN", "es-ES"], vectors["LOC", "es-ES"]
    assert str(2 * mine["formal"].at([0, 1]) + -1 * loc.at(3)) == (
        "2 × formal at layer 0 + 2 × formal at layer 1 + -1 × LOC es-ES at layer 3"
    )
    assert str(2 * en.at(1, 1.5)) == str(en.at(1, 1.5) * 2) == str(en.at(1, 3.0))
    assert str(-en.at(1)) == str(en.at(1, -1.0))
    assert str(en.at(1) - loc.at(2)) == str(en.at(1) + loc.at(2, -1.0))
    assert str(sum([en.at(1), loc.at(2), en.at(3)])) == str(en.at(1) + loc.at(2) + en.at(3))
    assert (2 * en.at(1, tokens="all")).steps[0].tokens == "all"
    text = "Pregunta: ¿Qué se desayuna?\nRespuesta:"
    for scaled, plain in ((3 * en.at(1), en.at(1, 3.0)), (en.at(1) + en.at(1), en.at(1, 2.0)), (0.5 * en.ablation().at(1), None)):
        with scaled.applied(llama):
            found = llama.residuals([text]).residuals
        with (en.ablation().at(1, 0.5) if plain is None else plain).applied(llama):
            torch.testing.assert_close(llama.residuals([text]).residuals, found, atol=1e-4, rtol=1e-4)
        assert not torch.allclose(llama.residuals([text]).residuals, found)  # the control: the plan does something
    with pytest.raises(TypeError):
        en.at(1) + "plan"
    with pytest.raises(TypeError):
        en.at(1) + 1
    with pytest.raises(VectorError, match="factor inf"):
        float("inf") * en.at(1)


def test_vectors_add_scale_and_compare(loaded: dict[str, sl.LensModel], vectors: VectorSet, mine: VectorSet) -> None:
    en, loc = vectors["EN", "es-ES"], vectors["LOC", "es-ES"]
    assert torch.equal((en + loc).directions, en.directions + loc.directions)
    assert torch.equal((en - loc).directions, en.directions - loc.directions)
    assert torch.equal((2 * en).directions, 2 * en.directions)
    torch.testing.assert_close((en / 2).directions, en.directions / 2)
    assert torch.equal((-en).directions, -en.directions)
    assert ((en + loc).name, (en - loc).name, (2 * en).name, (-en).name) == ("EN + LOC", "EN - LOC", "2 EN", "-EN")
    assert ((en + loc).prompts_sha256, (en + loc).positive) == ("", None)
    torch.testing.assert_close(_direction((2 * en).at(1), 1), _direction(2 * en.at(1), 1))
    torch.testing.assert_close(en.cosine(en), torch.ones(4))
    torch.testing.assert_close(en.cosine(-3 * en), -torch.ones(4))
    assert en.cosine(loc).abs().max() < 0.99
    some = difference_of_means(loaded["llama"], Contrast.of("x", PAIRS).pairs, layers=[3, 1])
    torch.testing.assert_close(some.cosine(mine["formal"]), torch.ones(2))
    torch.testing.assert_close(mine["formal"].cosine(some), torch.ones(2))
    torch.testing.assert_close(loc.rescaled(en).directions.norm(dim=1), en.directions.norm(dim=1))
    torch.testing.assert_close(loc.rescaled(en).cosine(loc), torch.ones(4))
    torch.testing.assert_close(loc.rescaled(2.5).directions.norm(dim=1), torch.full((4,), 2.5))
    with pytest.raises(VectorError, match="expected the same layers"):
        en + some
    with pytest.raises(LayerError):
        en.rescaled(some)
    other = take(loaded["qwen2"], contrasts=[Contrast.of("formal", PAIRS)])["formal"]
    for use in (lambda: en + other, lambda: en - other, lambda: en.cosine(other)):
        with pytest.raises(FingerprintError):
            use()
    for bad in (lambda: en * float("nan"), lambda: en / 0, lambda: en.rescaled(float("inf"))):
        with pytest.raises(VectorError):
            bad()


def test_a_vector_without_a_locale_goes_with_all_items(llama: sl.LensModel, items: Items, mine: VectorSet) -> None:
    formal = mine["formal"]
    axes = ["transfer", "localization"]
    swept = sweep(llama, items, formal, [1, 2], [1.0, 4.0], scores=axes)
    asked = {(item.locale, item.concept) for item in items if item.locale != "en-US"}
    assert set(zip(swept.frame["locale"], swept.frame["concept"], strict=True)) == asked
    own = {
        code: sweep(llama, items, replace(formal, locale=code), [1, 2], [1.0, 4.0], scores=axes).frame
        for code in ("es-ES", "ko-KR")
    }
    for code, frame in own.items():
        assert swept.frame[swept.frame["locale"] == code]["value"].tolist() == pytest.approx(frame["value"].tolist(), abs=1e-5)
    chosen = swept.choose()
    assert list(chosen) == ["formal"]
    best = swept.cells("transfer")["change"].max()
    assert chosen["formal"].expected is not None
    assert chosen["formal"].expected.on_dev["transfer"] <= best + 1e-9
    answer = response(llama, items, formal, 1, (-1.0, 1.0))
    assert set(answer.frame["locale"]) == {"es-ES", "ko-KR"}
    table = plane(llama, items, {"chosen": chosen["formal"], "plan": formal.at(1, 4.0)}).frame
    assert set(table["locale"]) == {"es-ES", "ko-KR", "mean"}
    row = table.query("method == 'plan' and locale == 'mean' and score == 'transfer'").iloc[0]
    cell = swept.cells("transfer").query("layer == 1 and strength == 4.0").iloc[0]
    assert row["change"] == pytest.approx(cell["change"])
    shown = item_specimen(llama, some_items().sample(20), formal, train_concepts=4, concepts=3)
    assert shown.locales == shown.studied.looked.locales == ("es-ES", "ko-KR")
    assert set(shown.vectors.of("ko-KR")) == {"formal"}
    assert set(shown.studied.swept.frame["locale"]) == {"es-ES", "ko-KR"}


def test_a_contrast_knows_what_it_is_meant_to_raise(llama: sl.LensModel, items: Items, mine: VectorSet) -> None:
    silent = take(llama, contrasts=[Contrast.of("silent", PAIRS)])
    with pytest.raises(SettingsError, match=r"contrast 'silent' was given without a score: .* Name the score"):
        sweep(llama, items, silent, [1], [1.0]).choose()
    said = VectorSet(replace(vector, score="localization") for vector in silent.values())
    chosen = sweep(llama, items, said, [1], [1.0]).choose()
    assert chosen["silent"].gains.aims == ("localization",)
    both = VectorSet([*mine.values(), *said.values()])
    together = sweep(llama, items, both, [1, 2], [1.0]).choose()
    assert set(together) == {"formal", "silent", "surgical"}
    assert together.surgical.gains.worst == min(together.surgical.gains["transfer"], together.surgical.gains["localization"])


def test_the_sum_of_vectors_of_several_locales_goes_with_all_items(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    """A vector of one locale alone would be swept on that locale alone, whatever went into it."""
    spanish, korean = vectors["LOC", "es-ES"], vectors["LOC", "ko-KR"]
    formal = take(llama, contrasts=[Contrast.of("formal", PAIRS, score="localization")])["formal"]
    both = (spanish + korean) / 2
    assert (both.locale, both.score, both.n) == ("", "localization", spanish.n + korean.n)
    assert set(sweep(llama, items, both, [1], [1.0]).frame["locale"]) == {"es-ES", "ko-KR"}
    assert (spanish + spanish).locale == (spanish - 2 * spanish).locale == "es-ES"
    assert (formal + formal).locale == (formal + spanish).locale == (both + spanish).locale == ""


def test_what_a_vector_is_meant_to_raise_is_forgotten_where_it_is_turned_round(vectors: VectorSet) -> None:
    en, loc = vectors["EN", "es-ES"], vectors["LOC", "es-ES"]
    assert (2 * en).score == (en / 3).score == (en + en).score == en.score == "transfer"
    for turned in (-en, -1 * en, en * 0, en / -2, en + loc, en - en, en - loc):
        assert turned.score == ""
        assert turned.locale == "es-ES"


def test_sums_and_quotients_work_and_what_does_not_is_said_in_words(
    loaded: dict[str, sl.LensModel], items: Items, vectors: VectorSet
) -> None:
    en, loc = vectors["EN", "es-ES"], vectors["LOC", "es-ES"]
    assert torch.equal(sum([en, loc]).directions, (en + loc).directions)
    assert en + 0 is 0 + en is en
    assert str(en.at(1, 3.0) / 2) == str(en.at(1, 1.5))
    plan = en.at(1)
    for wrong in (lambda: en + plan, lambda: plan + en, lambda: en - plan, lambda: plan - en, lambda: en.cosine(plan)):
        with pytest.raises(VectorError, match=r"SteeringPlan given .* vector -?EN es-ES: .* vector.at\(layer\)"):
            wrong()
    for wrong in (lambda: en + 1, lambda: en + "loc", lambda: en + en.ablation(), lambda: en.ablation() + en):
        with pytest.raises(VectorError, match="expected a steering vector"):
            wrong()
    for wrong in (lambda: plan / 0, lambda: en / 0, lambda: plan / float("nan"), lambda: plan / "2", lambda: plan * plan):
        with pytest.raises(VectorError):
            wrong()
    other = take(loaded["qwen2"], contrasts=[Contrast.of("formal", PAIRS)])["formal"]
    with pytest.raises(FingerprintError, match="vector formal was taken from"):
        en.rescaled(other)
    with pytest.raises(VectorError, match="norm -1 given for EN es-ES: expected 0 or more"):
        en.rescaled(-1)
    with pytest.raises(VectorError, match="norm SteeringPlan"):
        en.rescaled(plan)


def test_one_strength_and_one_layer_are_taken_as_they_are(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    some, en = items.of(locale="es-ES", kind="factual"), vectors["EN", "es-ES"]
    one, several = sweep(llama, some, en, 1, 2.0), sweep(llama, some, en, [1], [2.0])
    assert one.frame.equals(several.frame)
    for bad in ("strong", [1.0, "2"], float("nan"), None):
        with pytest.raises(VectorError, match="given for a sweep: expected a finite number"):
            sweep(llama, some, en, [1], bad)
    with pytest.raises(SettingsError, match="no strengths given"):
        sweep(llama, some, en, [1], [])
    assert SearchSettings(strengths=2.0).strengths == StudySettings(strengths=2.0).strengths == (2.0,)


def test_contrasts_that_are_none_are_refused_before_any_pass(llama: sl.LensModel, items: Items, formal: Contrast) -> None:
    assert take(llama, contrasts=formal).digest() == take(llama, contrasts=[formal]).digest()
    with pytest.raises(SettingsError, match=r"'EN' given as a contrast: expected sl.steering.EN, sl.steering.LOC"):
        take(llama, items, ["EN"])
    with pytest.raises(PairsError, match=r"list given as the pairs of contrast 'mine'.*Contrast\.of"):
        Contrast("mine", PAIRS)

    def other(pairs: object) -> Contrast:
        return Contrast("mine", lambda items, locale: pairs)  # noqa: ARG005 (what contrasts are called with)

    for pairs, words in ((PAIRS, "made list from the items of es-ES"), (items.english_pairs("ko-KR"), "made pairs of ko-KR")):
        with rows_run(llama) as rows, pytest.raises(PairsError, match=words):
            take(llama, items, [EN, other(pairs)], locales=["es-ES"])
        assert not rows


def test_pairs_that_a_function_makes_are_of_the_locale_that_it_was_asked_for(llama: sl.LensModel, items: Items) -> None:
    def silent(items: Items, locale: str) -> PromptPairs:
        both = items.english_pairs(locale)
        return PromptPairs(both.positive, both.negative)

    found, expected = take(llama, items, Contrast("mine", silent)), take(llama, items, EN)
    assert list(found) == [("mine", "es-ES"), ("mine", "ko-KR")]
    assert torch.equal(found["mine", "ko-KR"].directions, expected["EN", "ko-KR"].directions)


def test_a_contrast_may_be_given_a_score_itself(llama: sl.LensModel, items: Items) -> None:
    sure = Score("sure", lambda outcome: outcome.margin > 0.1)
    vectors = take(llama, contrasts=Contrast.of("formal", PAIRS, score=sure))
    assert vectors["formal"].score == "sure"
    chosen = sweep(llama, items, vectors, [1, 3], [1.0], scores=["sure"]).choose()
    assert chosen["formal"].gains.aims == ("sure",)


def test_english_items_are_measured_where_the_score_means_something_for_them(llama: sl.LensModel, items: Items) -> None:
    """A vector without a locale goes with them too; transfer and localization say how other locales do beside English."""
    sure = Score("surer", lambda outcome: outcome.margin > 0.1)
    formal = take(llama, contrasts=Contrast.of("formal", PAIRS, score=sure))["formal"]
    for mode in ("exact", "screened"):
        swept = sweep(llama, items, formal, [1, 3], [1.0, 2.0], scores=["surer", "transfer", "consistency"], mode=mode)
        told = {score: set(rows["locale"]) for score, rows in swept.frame.groupby("score")}
        others = {"es-ES", "ko-KR"}
        assert told == {"surer": {"en-US", *others}, "consistency": others} | dict.fromkeys(
            ("transfer", "transfer_margin", "transfer_preference"), others
        )
    swept = sweep(llama, items, formal, [1, 3], [1.0], scores=["surer", "transfer"])
    own = swept.frame.query("locale == 'en-US' and layer == 3")
    scored = Scorer(llama, items.of(locale="en-US")).score(formal.at(3))
    expected = {(o.item.kind, o.item.concept): float(o.margin > 0.1) for o in scored}
    assert dict(zip(zip(own["kind"], own["concept"], strict=True), own["value"], strict=True)) == expected
    chosen = swept.choose()
    best = swept.cells("surer")["change"].max()
    assert chosen["formal"].gains["surer"] == pytest.approx(max(best, 0.0))
    both = VectorSet([formal, formal.called("again")])
    together = sweep(llama, items, both, [1, 3], [1.0], scores=["surer"]).choose()
    assert set(together.tried.frame["locale"]) == {"es-ES", "ko-KR"}
    alone = sweep(llama, items.of(locale="en-US"), formal, [1], [1.0], scores=["transfer"]).frame
    assert set(alone["locale"]) == {"en-US"}  # where there is no other locale
    with_locale = sweep(llama, items, replace(formal, locale="es-ES"), [1], [1.0], scores=["surer"]).frame
    assert set(with_locale["locale"]) == {"es-ES"}


def test_one_locale_needs_no_list_and_one_score_does(llama: sl.LensModel, items: Items) -> None:
    vectors = take(llama, items, locales="es-ES")
    assert vectors.locales == ("es-ES",)
    with pytest.raises(SettingsError, match="expected a list"):
        sl.evaluation.sweep(llama, items, vectors, [1], [1.0], scores="transfer")


def test_two_contrasts_of_the_same_kind_are_both_chosen(llama: sl.LensModel, items: Items) -> None:
    """Each is measured by the other's score, too, on the same items; neither is left out for what was not measured of it."""
    aims = {"LOC": "localization", "sure": "localization_margin", "any": "margin"}
    vectors = take(llama, items, [replace(LOC, name=name, score=aim) for name, aim in aims.items()])
    swept = sweep(llama, items, vectors, [1, 2, 3], [1.0, 4.0])
    chosen = swept.choose()
    for name, aim in aims.items():
        told = chosen[name].expected
        assert told is not None
        assert told.tried == 6
        assert set(told.gains) == {aim}
    assert chosen.surgical.expected is not None


def test_loc_against_a_country_differs_in_the_country_alone(llama: sl.LensModel) -> None:
    atlas = sl.data.atlas(["es-ES", "el-GR"])
    cultural = atlas.only(atlas.of(kind="cultural").concepts[:3])
    (pairs,) = sl.steering.loc_against("el-GR").pairs_of(cultural, ["es-ES"])
    assert all("España" in prompt.text for prompt in pairs.positive)
    assert all("Grecia" in prompt.text and "España" not in prompt.text for prompt in pairs.negative)
    against = sl.steering.loc_against(name="LOC against en-US")
    found = take(llama, cultural, [LOC, against], locales=["es-ES"])
    assert set(found.of("es-ES")) == {"LOC", "LOC against en-US"}
    assert {vector.score for vector in found.values()} == {"localization"}
