"""Every method gives the scores that doing it by hand gives, alone and on top of another."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from places import HERE
from transformers import AutoModelForCausalLM

import steerlens as sl
from steerlens.data import Items
from steerlens.errors import FingerprintError, SettingsError, UnknownNameError
from steerlens.evaluation import (
    EXPLICIT,
    Checkpoint,
    Checkpoints,
    Composed,
    ExplicitPrompt,
    Hooked,
    Outcome,
    Scorer,
    Scoring,
    Steered,
    Trained,
    answered,
    plane,
    sweep,
)
from steerlens.models.hooks import residual_hook
from steerlens.steering import SteeringPlan, VectorSet, take

CODES = ("es-ES", "ko-KR")
MARGINS = ("transfer_margin", "localization_margin")


@pytest.fixture(scope="module")
def vectors(llama: sl.LensModel, items: Items) -> VectorSet:
    return take(llama, items)


@pytest.fixture(scope="module")
def adapter(model_folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    settings = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(model_folders["llama"]), settings)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapted(model_folders: dict[str, Path], adapter: Path) -> sl.LensModel:
    return sl.load(model_folders["llama"], adapter=adapter, **HERE)


@pytest.fixture(scope="module")
def plans(vectors: VectorSet) -> dict[str, SteeringPlan]:
    return {code: vectors["EN", code].at(1, 3.0) for code in CODES}


def _margins(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], float]:
    return {(outcome.item.locale, outcome.item.concept): outcome.margin for outcome in outcomes}


def _by_hand(
    model: sl.LensModel, items: Items, plans: dict[str, SteeringPlan] | None = None, form: str = "implicit"
) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    for code in CODES:
        scorer = Scorer(model, items.of(locale=code), Scoring(form=form))
        found |= _margins(scorer.score(plans[code] if plans else None))
    return found


def _placed(model: sl.LensModel, items: Items, method: object, locales: Sequence[str] = CODES) -> dict[tuple[str, str], float]:
    frame = answered(model, items, {"mine": method}, scores=MARGINS, locales=locales).frame
    own = frame[frame["method"] == "mine"]
    return dict(zip(zip(own["locale"], own["concept"], strict=True), own["value"], strict=True))


def _same(found: dict, expected: dict) -> bool:
    return found == pytest.approx(expected, abs=1e-4)


def _add(direction: torch.Tensor, residual: torch.Tensor, hook: object) -> torch.Tensor:
    """Adds a direction at the row's every token."""
    return residual + direction.to(residual.device)


def _hooks(plan: SteeringPlan) -> list:
    (step,) = plan.steps
    return [(residual_hook(step.layer), partial(_add, step.strength * step.edit.direction))]


def test_plans(llama: sl.LensModel, items: Items, plans: dict[str, SteeringPlan]) -> None:
    unsteered = _by_hand(llama, items)
    one = plans["es-ES"]
    for method in (one, Steered(one)):
        assert _same(_placed(llama, items, method), _by_hand(llama, items, dict.fromkeys(CODES, one)))
    for method in (plans, Steered(plans)):
        assert _same(_placed(llama, items, method), _by_hand(llama, items, plans))
    assert not _same(_by_hand(llama, items, plans), unsteered)  # the control
    frame = answered(llama, items, {"plans": plans}, scores=MARGINS).frame
    own = frame[frame["method"] == "unsteered"]
    assert _same(dict(zip(zip(own["locale"], own["concept"], strict=True), own["value"], strict=True)), unsteered)


def test_a_choice(llama: sl.LensModel, items: Items, vectors: VectorSet) -> None:
    chosen = sweep(llama, items, vectors, [1, 3], [2.0]).choose()
    for name in chosen:
        by_locale = {code: chosen[name].plan(code) for code in CODES}
        assert _same(_placed(llama, items, chosen[name]), _by_hand(llama, items, by_locale))
    assert chosen.surgical.locales == CODES
    with pytest.raises(UnknownNameError, match="unknown locale of a vector 'fr-FR'"):
        chosen.surgical.plan("fr-FR")


def test_checkpoints(
    llama: sl.LensModel, items: Items, adapted: sl.LensModel, adapter: Path, model_folders: dict[str, Path], tmp_path: Path
) -> None:
    expected = _by_hand(adapted, items)
    assert not _same(expected, _by_hand(llama, items))  # the control
    merged = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_folders["llama"]), adapter)
    merged.merge_and_unload().save_pretrained(tmp_path)
    llama.tokenizer.hf.save_pretrained(tmp_path)
    for method in (adapted, Checkpoint(adapted), Checkpoint(tmp_path), Checkpoint(str(adapter))):
        assert _same(_placed(llama, items, method), expected)
    assert _same(_placed(llama, items, Checkpoint(llama)), _by_hand(llama, items))
    kept = Checkpoint(tmp_path)
    first = kept.prepared(llama, "es-ES").model
    assert kept.prepared(llama, "ko-KR").model is first  # loaded once
    each = Checkpoints({"es-ES": Checkpoint(llama), "ko-KR": Checkpoint(adapted)})
    found, base = _placed(llama, items, each), _by_hand(llama, items)
    assert _same(found, {key: (base if key[0] == "es-ES" else expected)[key] for key in base})


def test_trained(llama: sl.LensModel, items: Items, adapted: sl.LensModel) -> None:
    made: list[sl.LensModel] = []

    def train(model: sl.LensModel) -> sl.LensModel:
        made.append(model)
        return adapted

    assert _same(_placed(llama, items, Trained(train)), _by_hand(adapted, items))
    assert made == [llama]  # once for all locales


def test_the_explicit_prompt(llama: sl.LensModel, items: Items, plans: dict[str, SteeringPlan]) -> None:
    cultural = items.of(kind="cultural")
    expected = _by_hand(llama, cultural, form="explicit")
    assert not _same(expected, _by_hand(llama, cultural))  # the control
    assert _same(_placed(llama, cultural, ExplicitPrompt()), expected)
    frame = answered(llama, cultural, {"EN": plans}, scores=MARGINS).frame
    own = frame[frame["method"] == EXPLICIT]
    assert _same(dict(zip(zip(own["locale"], own["concept"], strict=True), own["value"], strict=True)), expected)
    both = _placed(llama, cultural, Steered(plans) + ExplicitPrompt())
    assert _same(both, _by_hand(llama, cultural, plans, form="explicit"))


def test_hooks_of_ones_own(llama: sl.LensModel, items: Items, plans: dict[str, SteeringPlan]) -> None:
    def expected(hooks: dict[str, list]) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for code in CODES:
            with llama.tl.hooks(fwd_hooks=hooks[code]):
                found |= _margins(Scorer(llama, items.of(locale=code)).score())
        return found

    one = _hooks(plans["es-ES"])
    for method in (one, tuple(one), Hooked(one)):
        assert _same(_placed(llama, items, method), expected(dict.fromkeys(CODES, one)))
    by_locale = {code: _hooks(plan) for code, plan in plans.items()}
    assert _same(_placed(llama, items, Hooked(lambda _, code: by_locale[code])), expected(by_locale))
    assert not _same(expected(by_locale), _by_hand(llama, items))  # the control
    assert _same(_by_hand(llama, items), _placed(llama, items, sl.steering.no_steering(llama.fingerprint)))  # nothing stays


def test_a_plan_on_top_of_an_adapter(
    llama: sl.LensModel, items: Items, adapted: sl.LensModel, plans: dict[str, SteeringPlan]
) -> None:
    moved = {code: plan.moved_to(adapted) for code, plan in plans.items()}
    expected = _by_hand(adapted, items, moved)
    for method in (Checkpoint(adapted) + Steered(plans), Composed(Checkpoint(adapted), Steered(moved))):
        assert _same(_placed(llama, items, method), expected)
    assert not _same(expected, _by_hand(adapted, items))  # the control
    each = Checkpoints({"es-ES": Checkpoint(adapted), "ko-KR": Checkpoint(llama)}) + Steered(plans)
    assert each.locales == CODES
    found, base = _placed(llama, items, each), _by_hand(llama, items, plans)
    assert _same(found, {key: (expected if key[0] == "es-ES" else base)[key] for key in base})
    twice = _placed(llama, items, Steered(plans) + Steered(plans))
    assert _same(twice, _by_hand(llama, items, {code: plan + plan for code, plan in plans.items()}))


def test_several_methods_at_once_are_each_as_alone(
    llama: sl.LensModel, items: Items, adapted: sl.LensModel, plans: dict[str, SteeringPlan]
) -> None:
    methods = {"plan": plans, "adapter": adapted, "both": Checkpoint(adapted) + Steered(plans), "hooks": _hooks(plans["es-ES"])}
    frame = answered(llama, items, methods, scores=MARGINS).frame
    for name, method in methods.items():
        own = frame[frame["method"] == name]
        found = dict(zip(zip(own["locale"], own["concept"], strict=True), own["value"], strict=True))
        assert _same(found, _placed(llama, items, method)), name
    table = plane(llama, items, methods).frame
    assert list(dict.fromkeys(table["method"])) == ["unsteered", EXPLICIT, *methods]


def test_what_is_no_method(
    loaded: dict[str, sl.LensModel], llama: sl.LensModel, items: Items, adapted: sl.LensModel, plans: dict[str, SteeringPlan]
) -> None:
    for bad in ("surgical", 3, None, {"es-ES": "plan"}, [], [1, 2]):
        with pytest.raises(SettingsError, match=r"given as method 'mine': expected a plan"):
            answered(llama, items, {"mine": bad})
    with pytest.raises(SettingsError, match="no methods given"):
        answered(llama, items, {})
    with pytest.raises(SettingsError, match="all methods for the same locales"):
        answered(llama, items, {"EN": plans, "spanish": {"es-ES": plans["es-ES"]}})
    with pytest.raises(SettingsError, match=r"es-ES.* among them"):
        answered(llama, items, {"korean": {"ko-KR": plans["ko-KR"]}}, locales=CODES)
    with pytest.raises(SettingsError, match="into other tokens"):
        answered(llama, items, {"other": loaded["qwen2"]})
    with pytest.raises(FingerprintError, match="weights"):
        answered(adapted, items, {"EN": plans})
    with pytest.raises(UnknownNameError, match="locale of a checkpoint"):
        Checkpoints({"es-ES": Checkpoint(llama)}).prepared(llama, "ko-KR")
    with pytest.raises(UnknownNameError, match="locale of a plan"):
        Steered(plans).prepared(llama, "fr-FR")
    with pytest.raises(SettingsError, match="no locales"):
        answered(llama, items.of(locale="en-US"), {"EN": plans["es-ES"]})


def test_a_plan_of_another_model_is_refused_in_a_composition(
    loaded: dict[str, sl.LensModel], llama: sl.LensModel, items: Items, adapted: sl.LensModel, plans: dict[str, SteeringPlan]
) -> None:
    foreign = take(loaded["gemma3"], items)["EN", "es-ES"].at(1, 3.0)
    for method in (
        Steered(foreign) + ExplicitPrompt(), ExplicitPrompt() + Steered(foreign), Checkpoint(adapted) + Steered(foreign),
    ):  # fmt: skip
        with pytest.raises(FingerprintError, match="weights"):
            method.prepared(llama, "es-ES")
    own = Steered({code: plan.moved_to(adapted) for code, plan in plans.items()})
    assert (Checkpoint(adapted) + own).prepared(llama, "es-ES").plan is not None


def test_a_checkpoint_is_loaded_for_each_model_it_is_used_with(
    model_folders: dict[str, Path], adapter: Path, tmp_path: Path
) -> None:
    other = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight.add_(0.5)
    shutil.copytree(model_folders["llama"], tmp_path, dirs_exist_ok=True)
    other.save_pretrained(tmp_path)
    method, models = Checkpoint(adapter), [sl.load(model_folders["llama"], "cpu"), sl.load(tmp_path, "cpu")]
    found = [method.prepared(model, "es-ES").model for model in models]
    assert found[0].fingerprint.differences(found[1].fingerprint)
    assert method.prepared(models[0], "es-ES").model is found[0]


def test_what_one_checkpoint_would_take_from_another_is_refused(
    model_folders: dict[str, Path], llama: sl.LensModel, adapter: Path, adapted: sl.LensModel
) -> None:
    base = sl.load(model_folders["llama"], "cpu")
    with pytest.raises(SettingsError, match="already"):
        (Checkpoint(adapter) + Checkpoint(adapter)).prepared(base, "es-ES")
    for second in (Checkpoint(llama), Checkpoints({"es-ES": Checkpoint(llama)}), ExplicitPrompt() + Checkpoint(llama)):
        with pytest.raises(SettingsError, match="would replace"):
            (Checkpoint(adapted) + second).prepared(base, "es-ES")
    assert (Checkpoint(base) + Checkpoint(adapter)).prepared(base, "es-ES").model.spec.adapter == str(adapter)


def test_a_plan_on_an_adapter_has_its_controls(
    llama: sl.LensModel, items: Items, adapted: sl.LensModel, plans: dict[str, SteeringPlan]
) -> None:
    methods = {"both": Checkpoint(adapted) + Steered(plans), "adapter": Checkpoint(adapted)}
    frame = answered(llama, items, methods, scores=["transfer_margin"], controls=sl.steering.Controls(draws=2)).frame
    drawn = frame[frame["of"] == "both"]
    assert set(drawn["draw"]) == {0, 1}
    assert not set(frame["of"]) - {"", "both"}
    random = drawn[(drawn["control"] == "random direction") & (drawn["draw"] == 0)]
    assert not np.allclose(random["value"], frame[frame["method"] == "both"]["value"])
