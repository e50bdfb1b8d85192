"""What must hold on the embedded real model: the same numbers as Hugging Face's, and real answers."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

import steerlens as sl
from steerlens.evaluation import Scorer, sweep
from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf import converted_embedded
from steerlens.probing import separability
from steerlens.steering import difference_of_means

CAPITAL = "Question: What is the capital of France?\nAnswer:"


@pytest.fixture(scope="module")
def hugging_face() -> torch.nn.Module:
    """The converted files, read by Transformers alone."""
    return AutoModelForCausalLM.from_pretrained(converted_embedded(EMBEDDED["gemma-3-270m"]), dtype=torch.float32).eval()


def test_is_the_model_it_says(gemma: sl.LensModel) -> None:
    assert (gemma.n_layers, gemma.d_model, gemma.dtype) == (EMBEDDED["gemma-3-270m"].n_layers, 640, torch.float32)
    assert type(gemma.tl).__name__ == "TransformerBridge"
    assert " Paris" in gemma.generate(CAPITAL, 8)


def test_residuals_equal_hugging_faces(gemma: sl.LensModel, hugging_face: torch.nn.Module, split: sl.data.Split) -> None:
    """To 1e-3 of their norm, in a mixed batch. The last block's are compared before the final norm, which HF adds."""
    some = split.dev.sample(3).prompts()[:8]
    taken = gemma.residuals(some, batch_size=8)
    last: list[torch.Tensor] = []
    hook = hugging_face.model.norm.register_forward_pre_hook(lambda _module, given: last.append(given[0]))
    for at, prompt in enumerate(some):
        ids = torch.tensor([gemma.tokenizer.ids(prompt)])
        with torch.no_grad():
            states = hugging_face(ids, output_hidden_states=True).hidden_states
        expected = torch.stack([*(state[0, -1] for state in states[1:-1]), last[-1][0, -1]])
        errors = (taken.residuals[:, at] - expected).norm(dim=-1) / expected.norm(dim=-1)
        assert errors.max() < 1e-3, (prompt.text, errors)
    hook.remove()


def test_residuals_do_not_depend_on_the_batch(gemma: sl.LensModel, split: sl.data.Split) -> None:
    some = split.dev.sample(4).prompts()[:10]
    together, alone = gemma.residuals(some), gemma.residuals(some, batch_size=1)
    errors = (together.residuals - alone.residuals).norm(dim=-1) / alone.residuals.norm(dim=-1)
    assert errors.max() < 1e-4


def test_scores_equal_hugging_faces(gemma: sl.LensModel, hugging_face: torch.nn.Module, split: sl.data.Split) -> None:
    some = [*list(split.dev.of(kind="factual"))[:3], *list(split.dev.of(kind="cultural"))[:2]]
    scorer = Scorer(gemma, some, sl.evaluation.Scoring("none"))
    for outcome, question in zip(scorer.score(), scorer.questions, strict=True):
        prompt, plain = question.row.prompt, [-math.inf] * len(outcome.scores)
        for name, choice in zip(question.row.choices, question.choices, strict=True):
            with torch.no_grad():
                logits = hugging_face(torch.tensor([[*prompt, *name]])).logits[0].log_softmax(-1)
            summed = sum(logits[len(prompt) - 1 + at, token].item() for at, token in enumerate(name))
            plain[choice] = max(plain[choice], summed)  # the best of a choice's names
        assert outcome.scores == pytest.approx(plain, abs=1e-3)


def test_knows_english_facts_far_above_chance(gemma: sl.LensModel, split: sl.data.Split) -> None:
    correct = [outcome.correct for outcome in Scorer(gemma, split.train.of(kind="factual", locale="en-US").sample(300)).score()]
    assert sum(correct) / len(correct) > 0.5  # four choices: chance is 0.25


def test_factual_and_cultural_prompts_are_told_apart(stack: sl.ResidualStack) -> None:
    frame = separability(stack).frame
    middle = frame[(frame["layer"] == 8) & (frame["locale"] == "all") & (frame["probe"] == "logistic")]
    assert middle["auroc"].item() > 0.8


@pytest.fixture(scope="module")
def plan(gemma: sl.LensModel, stack: sl.ResidualStack, split: sl.data.Split) -> sl.steering.SteeringPlan:
    """Surgical: EN at layer 8, LOC at layer 11."""
    train = split.train.sample(24)
    en = difference_of_means(stack, train.english_pairs("es-ES"))
    loc = difference_of_means(stack, train.localized_pairs("es-ES"))
    return en.at(8, 1.0) + loc.at(11, 2.0)


def test_generation_is_steered_and_nothing_stays(gemma: sl.LensModel, plan: sl.steering.SteeringPlan) -> None:
    prompt = "Pregunta: ¿Qué se desayuna normalmente?\nRespuesta:"
    before = gemma.generate(prompt, 12)
    with plan.applied(gemma):
        during = gemma.generate(prompt, 12)
    assert during != before
    assert gemma.generate(prompt, 12) == before
    with plan.applied(gemma):
        assert gemma.generate(prompt, 12) == during


def test_generation_with_cache_equals_without(gemma: sl.LensModel, plan: sl.steering.SteeringPlan) -> None:
    with plan.applied(gemma):
        assert gemma.generate(CAPITAL, 10) == gemma.generate(CAPITAL, 10, use_cache=False)


def test_hooks_in_ones_own_transformer_lens_code(gemma: sl.LensModel, plan: sl.steering.SteeringPlan) -> None:
    tokens = torch.tensor([gemma.tokenizer.ids(CAPITAL)])
    with torch.no_grad():
        plain = gemma.tl(tokens)
        steered = gemma.tl.run_with_hooks(tokens, fwd_hooks=plan.hooks(gemma))
        with plan.applied(gemma):
            inside = gemma.tl(tokens)
        assert torch.equal(gemma.tl(tokens), plain)
    assert torch.equal(steered, inside)
    assert not torch.allclose(steered, plain)


def test_sweep_equals_full_passes(gemma: sl.LensModel, stack: sl.ResidualStack, split: sl.data.Split) -> None:
    """Resumed at the layer, a cell's scores are those of a pass through the whole model with the plan applied."""
    vector = difference_of_means(stack, split.train.sample(24).english_pairs("es-ES"))
    some = sl.data.Items(list(split.dev.of(kind="factual", locale="es-ES"))[:6], "six")
    frame = sweep(gemma, some, vector, [11], [1.0], scores=["transfer_margin"]).frame
    scorer = Scorer(gemma, some)
    with vector.at(11, 1.0).applied(gemma):
        outcomes = scorer.score()
    assert frame["value"].tolist() == pytest.approx([outcome.margin for outcome in outcomes], abs=1e-3)
