"""Ablation and projection do what they say to the component along a direction, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import steerlens as sl
from steerlens.data import Prompt, PromptPairs
from steerlens.errors import FileError, PairsError, UnknownNameError, VectorError
from steerlens.evaluation import Scorer
from steerlens.models.roles import FRONT, GENERATED, LAST, PAD, PROMPT
from steerlens.steering import (
    Ablate,
    Add,
    Project,
    SteeringPlan,
    SteeringVector,
    Step,
    difference_of_means,
    pooled,
    set_component,
)
from steerlens.storage import save_tensors

ROLES = torch.tensor([[FRONT, PROMPT, LAST, PAD], [FRONT, PROMPT, LAST, GENERATED]])


@pytest.fixture
def residual() -> torch.Tensor:
    return torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def direction() -> torch.Tensor:
    return 3 * torch.randn(8, generator=torch.Generator().manual_seed(1))


def test_set_component_of_a_hand_computed_case() -> None:
    """Along (3, 4), of length 5, the point (1, 2) has component 11 / 5; with it at 0 what is left is (-0.32, 0.24)."""
    given, along = torch.tensor([[[1.0, 2.0]]]), torch.tensor([3.0, 4.0])
    steered = torch.ones(1, 1, dtype=torch.bool)
    torch.testing.assert_close(set_component(given, along, 0.0, 1.0, steered), torch.tensor([[[-0.32, 0.24]]]))
    torch.testing.assert_close(set_component(given, along, 5.0, 1.0, steered), torch.tensor([[[2.68, 4.24]]]))
    halfway = set_component(given, along, 0.0, 0.5, steered)
    torch.testing.assert_close(halfway, torch.tensor([[[0.34, 1.12]]]))


def test_only_the_component_changes_and_only_at_steered_tokens(residual: torch.Tensor, direction: torch.Tensor) -> None:
    kept, unit = residual.clone(), direction / direction.norm()
    for edit, value in ((Ablate(direction), 0.0), (Project(direction, 1.5), 1.5)):
        step = Step(edit, 0, 1.0, "all")
        edited = step(residual, ROLES)
        assert torch.equal(residual, kept)  # the argument is left as it was
        steered = (ROLES != FRONT) & (ROLES != PAD)
        assert torch.equal(edited[~steered], residual[~steered])
        torch.testing.assert_close(edited[steered] @ unit, torch.full((5,), value), atol=1e-5, rtol=0)
        across = torch.eye(8) - torch.outer(unit, unit)
        torch.testing.assert_close(edited @ across, residual @ across, atol=1e-5, rtol=0)
        torch.testing.assert_close(step(edited, ROLES), edited, atol=1e-5, rtol=0)  # a projection


def test_strength_zero_is_the_residual_bit_for_bit(residual: torch.Tensor, direction: torch.Tensor) -> None:
    for edit in (Add(direction), Ablate(direction), Project(direction, 2.0)):
        assert torch.equal(Step(edit, 0, 0.0, "all")(residual, ROLES), residual)
        assert not torch.equal(Step(edit, 0, 1.0, "all")(residual, ROLES), residual)


def test_half_precision_stays_half(residual: torch.Tensor, direction: torch.Tensor) -> None:
    edited = Step(Ablate(direction), 0)(residual.bfloat16(), ROLES)
    assert edited.dtype is torch.bfloat16


def test_positive_and_negative_means_lie_where_the_prompts_do(llama: sl.LensModel, items: sl.data.Items) -> None:
    stack, pairs = llama.residuals(items.prompts()), items.english_pairs("es-ES")
    vector = difference_of_means(stack, pairs)
    for layer in (0, 3):
        unit = vector.direction(layer) / vector.direction(layer).norm()
        for side, prompts in (("positive", pairs.positive), ("negative", pairs.negative)):
            (step,) = vector.projection(side).at(layer).steps
            assert step.edit.value == pytest.approx(float((stack.of(prompts).at(layer) @ unit).mean()), abs=1e-3)
    torch.testing.assert_close(difference_of_means(llama, pairs).positive, vector.positive, atol=1e-3, rtol=1e-3)


def test_a_model_is_ablated_and_projected(model: sl.LensModel) -> None:
    """What the next block reads has the component that was asked for, at every token but what stands in front."""
    directions = torch.randn(model.n_layers, model.d_model, generator=torch.Generator().manual_seed(1))
    vector, unit = (
        SteeringVector(directions, tuple(range(model.n_layers)), model.fingerprint),
        directions[1] / directions[1].norm(),
    )
    for plan, value in ((vector.ablation().at(1, tokens="all"), 0.0), (vector.projection(2.5).at(1, tokens="all"), 2.5)):
        with plan.applied(model):
            read = model.residuals(["Hello there", "¿Qué se desayuna?"], layers=1, positions="last").at(1)
        torch.testing.assert_close(read @ unit, torch.full((2,), value), atol=1e-4, rtol=0)


@pytest.mark.parametrize("tokens", ["all", "last_onward"])
def test_a_sweep_scores_every_operation_as_full_passes_do(llama: sl.LensModel, items: sl.data.Items, tokens: str) -> None:
    vector = difference_of_means(llama, items.english_pairs("es-ES"))
    ablation = vector.ablation()
    both = ablation.at(0, tokens=tokens) + vector.projection("positive").at(2, tokens=tokens)
    plans = [ablation.at(1, tokens=tokens), vector.projection("negative").at(1, 0.5, tokens), both]
    scorer = Scorer(llama, items.of(kind="factual", locale="es-ES"))
    swept = {index: outcomes for index, outcomes in scorer.sweep(plans) if outcomes is not None}
    for index, plan in enumerate(plans):
        for found, expected in zip(swept[index], scorer.score(plan), strict=True):
            assert found.scores == pytest.approx(expected.scores, abs=1e-4)


def test_plans_of_every_operation_are_saved(llama: sl.LensModel, tmp_path: Path) -> None:
    directions = torch.randn(4, llama.d_model, generator=torch.Generator().manual_seed(1))
    vector = SteeringVector(directions, (0, 1, 2, 3), llama.fingerprint, name="EN", positive=torch.arange(4.0))
    plan = vector.at(0, 2.0) + vector.ablation().at(1, 0.5) + vector.projection("positive").at(2, tokens="all")
    same = SteeringPlan.load(plan.save(tmp_path / "plan.safetensors"))
    assert str(same) == str(plan)
    assert str(plan) == "2 × EN at layer 0 + 0.5 × EN ablated at layer 1 + EN set to 2 at layer 2 at all tokens"
    assert torch.equal(SteeringVector.load(vector.save(tmp_path / "v.safetensors")).positive, vector.positive)
    for saved, kept in zip(same.steps, plan.steps, strict=True):
        assert type(saved.edit) is type(kept.edit)
        assert saved.edit.header == kept.edit.header
        assert torch.equal(saved.edit.direction, kept.edit.direction)
    header = {"steps": [{**plan.steps[0].to_dict(), "operation": "reflect"}], "fingerprint": llama.fingerprint.to_dict()}
    other = save_tensors(tmp_path / "other.safetensors", "steering plan", {"step0.direction": torch.ones(llama.d_model)}, header)
    with pytest.raises(FileError, match="unknown operation 'reflect'"):
        SteeringPlan.load(other)


def test_mistakes(llama: sl.LensModel) -> None:
    vector = SteeringVector(torch.zeros(4, llama.d_model), (0, 1, 2, 3), llama.fingerprint)
    with pytest.raises(VectorError, match="expected a direction that is not zero"):
        vector.ablation()
    directed = replace(vector, directions=torch.ones(4, llama.d_model))
    with pytest.raises(VectorError, match="does not contain the mean"):
        directed.projection()
    with pytest.raises(VectorError, match="value inf"):
        directed.projection(float("inf"))
    with pytest.raises(UnknownNameError, match="Did you mean positive"):
        directed.projection("positiv")


def test_pooling_is_the_difference_of_means_of_all_pairs(llama: sl.LensModel, items: sl.data.Items) -> None:
    stack = llama.residuals(items.prompts())
    both = [items.english_pairs("es-ES"), items.english_pairs("ko-KR")]
    both[1] = PromptPairs(both[1].positive[:3], both[1].negative[:3], "EN", "ko-KR")  # of another number
    together = PromptPairs(both[0].positive + both[1].positive, both[0].negative + both[1].negative)
    vector = pooled([difference_of_means(stack, pairs) for pairs in both], "ko-KR")
    torch.testing.assert_close(vector.directions, difference_of_means(stack, together).directions, atol=1e-5, rtol=1e-4)
    assert (vector.label, vector.n) == ("EN pooled ko-KR", len(together))
    with pytest.raises(VectorError, match="cannot be pooled"):
        pooled([])


def test_pairs_that_cross_kinds(items: sl.data.Items) -> None:
    crossed = items.english_pairs("ko-KR", "cultural")
    assert {(p.kind, p.form) for p in (*crossed.positive, *crossed.negative)} == {("cultural", "implicit")}
    assert (crossed.name, {p.locale for p in crossed.positive}) == ("EN cultural", {"en-US"})
    named = items.named_pairs("es-ES")
    assert named.name == "LOC named factual"
    for positive, negative in zip(named.positive, named.negative, strict=True):
        assert positive.text == negative.text.replace("Pregunta: ", "Pregunta: España: ", 1)
        assert positive.concept == negative.concept
    factual_only = items.of(kind="factual")
    with pytest.raises(PairsError, match="country='España'"):
        factual_only.named_pairs("es-ES")
    assert factual_only.named_pairs("es-ES", country="España").positive == named.positive


def test_english_pairs_of_hand_made_prompts() -> None:
    prompts = [Prompt("a", "c", "en-US", "factual"), Prompt("b", "c", "es-ES", "factual")]
    assert len(sl.data.english_pairs(prompts, "es-ES")) == 1
