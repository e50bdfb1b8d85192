"""A plan changes exactly what it says, and leaves nothing behind."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import steerlens as sl
from steerlens.data import Prompt, PromptPairs
from steerlens.errors import FileError, FingerprintError, LayerError, PairsError, PromptError, VectorError
from steerlens.models.hooks import residual_hook
from steerlens.steering import SteeringPlan, SteeringVector, difference_of_means
from steerlens.steering.directions import add_direction, set_component

TEXT = "Question: What is the capital of Japan?\nAnswer:"


@pytest.fixture
def vector(model: sl.LensModel) -> SteeringVector:
    return _random_vector(model)


def _random_vector(model: sl.LensModel, scale: float = 1.0) -> SteeringVector:
    directions = scale * torch.randn(model.n_layers, model.d_model, generator=torch.Generator().manual_seed(1))
    return SteeringVector(directions, tuple(range(model.n_layers)), model.fingerprint)


def _cache(model: sl.LensModel, plan: SteeringPlan | None = None) -> dict[int, torch.Tensor]:
    """Residual streams [pos, d_model] of one prompt by layer, captured by TransformerLens itself."""
    seen: dict[int, torch.Tensor] = {}

    def keep(residual: torch.Tensor, hook: object, layer: int) -> None:
        seen[layer] = residual[0].clone().cpu()

    hooks = [(residual_hook(layer), partial(keep, layer=layer)) for layer in range(model.n_layers)]
    with torch.no_grad():
        model.tl.run_with_hooks(
            torch.tensor([model.tokens(TEXT).ids], device=model.device), fwd_hooks=[*(plan.hooks(model) if plan else []), *hooks]
        )
    return seen


def _logits(model: sl.LensModel) -> torch.Tensor:
    with torch.no_grad():
        return model.tl.original_model(torch.tensor([model.tokens(TEXT).ids], device=model.device)).logits.cpu()


def test_adds_exactly_its_vector_at_its_layer_and_leaves_layers_below(model: sl.LensModel, vector: SteeringVector) -> None:
    before, after = _cache(model), _cache(model, vector.at(2, 1.5, "all"))
    for layer in (0, 1):
        assert torch.equal(before[layer], after[layer])
    change = after[2] - before[2]
    first = len(model.tokenizer.front)
    assert not change[:first].any()  # what stands in front is never steered
    torch.testing.assert_close(change[first:], (1.5 * vector.direction(2)).expand_as(change[first:]), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(before[3], after[3])


def test_strength_zero_is_the_unsteered_model_bit_for_bit(model: sl.LensModel, vector: SteeringVector) -> None:
    plain = _logits(model)
    with vector.at(1, 0.0).applied(model):
        assert torch.equal(_logits(model), plain)
    with vector.at(1, 1.0).applied(model):
        assert not torch.equal(_logits(model), plain)  # the control: another strength does change it


def test_nothing_is_left_behind(model: sl.LensModel, vector: SteeringVector) -> None:
    plain, plan = _logits(model), vector.at(1, 2.0)
    with plan.applied(model):
        steered = _logits(model)
        with vector.at(2, 1.0).applied(model):
            both = _logits(model)
        assert torch.equal(_logits(model), steered)  # leaving the inner plan keeps the outer one
    assert not torch.equal(both, steered)
    with pytest.raises(RuntimeError, match="the user's own"), plan.applied(model):
        raise RuntimeError("the user's own")
    assert torch.equal(_logits(model), plain)
    assert not model.tl.hook_dict[residual_hook(1)].fwd_hooks


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_edits_in_half_precision_are_rounded_once(dtype: torch.dtype) -> None:
    """A step that is rounded before it is added is off by as much again."""
    generator = torch.Generator().manual_seed(0)
    residual = (10 * torch.randn(2, 5, 64, generator=generator)).to(dtype)
    direction, steered = torch.randn(64, generator=generator), torch.ones(2, 5, dtype=torch.bool)
    added = add_direction(residual, direction, 0.3, steered)
    assert torch.equal(added, (residual.float() + 0.3 * direction).to(dtype))
    assert not torch.equal(added, residual + (0.3 * direction).to(dtype))
    unit = direction / direction.norm()
    removed = residual.float() - (residual.float() @ unit)[..., None] * unit
    assert torch.equal(set_component(residual, direction, 0.0, 1.0, steered), removed.to(dtype))


def test_plans_add(model: sl.LensModel, vector: SteeringVector) -> None:
    plan = vector.at(1, 1.0) + vector.at(2, -0.5)
    assert plan.layers == (1, 2)
    with plan.applied(model):
        summed = _logits(model)
    with vector.at(1, 1.0).applied(model), vector.at(2, -0.5).applied(model):
        assert torch.equal(_logits(model), summed)
    twice = vector.at(1, 1.0) + vector.at(1, 1.0)
    torch.testing.assert_close(_with(model, twice), _with(model, vector.at(1, 2.0)), atol=1e-3, rtol=1e-3)


def _with(model: sl.LensModel, plan: SteeringPlan) -> torch.Tensor:
    with plan.applied(model):
        return _logits(model)


@pytest.mark.parametrize("tokens", ["all", "prompt", "last_onward", "generated"])
def test_generation_with_cache_steers_the_tokens_it_says(model: sl.LensModel, tokens: str) -> None:
    """Generating with the key-value cache is the same as a full pass in which the same tokens are edited by hand."""
    vector, n_prompt = _random_vector(model, 3.0), len(model.tokens(TEXT))
    plan = vector.at(1, 1.0, tokens)
    ids = torch.tensor([model.tokens(TEXT).ids], device=model.device)
    settings = {"max_new_tokens": 4, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    mask = torch.ones_like(ids)
    with plan.applied(model), torch.no_grad():
        out = model.tl.original_model.generate(ids, attention_mask=mask, pad_token_id=model.tokenizer.pad_id, **settings)
    whole, first = out.sequences, len(model.tokenizer.front)
    span = {
        "all": (first, None),
        "prompt": (first, n_prompt),
        "last_onward": (n_prompt - 1, None),
        "generated": (n_prompt, None),
    }[tokens]

    def by_hand(residual: torch.Tensor, hook: object) -> torch.Tensor:
        edited = residual.clone()
        edited[:, slice(*span)] += vector.direction(1).to(model.device)
        return edited

    with torch.no_grad():
        expected = model.tl.run_with_hooks(whole, fwd_hooks=[(residual_hook(1), by_hand)])
    produced = torch.stack(out.logits, dim=1)
    torch.testing.assert_close(produced, expected[:, n_prompt - 1 : -1], atol=2e-3, rtol=1e-3)


def test_a_batch_is_steered_like_its_prompts_alone(model: sl.LensModel) -> None:
    plan, texts = _random_vector(model, 3.0).at(1, 1.0, "all"), ["Hello", TEXT, "¿Qué se desayuna?"]
    with plan.applied(model):
        assert model.generate(texts, 6) == [model.generate(text, 6) for text in texts]


def test_planted_direction_is_found(llama: sl.LensModel, prompts: tuple[Prompt, ...]) -> None:
    stack = llama.residuals(prompts)
    planted = torch.randn(llama.d_model, generator=torch.Generator().manual_seed(2))
    half = len(prompts) // 2
    shifted = stack.residuals.clone()
    shifted[:, :half] = shifted[:, half : 2 * half] + planted
    pairs = PromptPairs(prompts[:half], prompts[half : 2 * half])
    found = difference_of_means(replace(stack, residuals=shifted), pairs)
    torch.testing.assert_close(found.directions, planted.expand(llama.n_layers, -1), atol=1e-4, rtol=1e-4)
    assert (found.n, found.positions, found.prompts_sha256) == (half, "last", pairs.digest())


def test_from_model_equals_from_stack(llama: sl.LensModel, items: sl.data.Items) -> None:
    pairs = items.english_pairs("es-ES")
    stack = llama.residuals(items.prompts())
    direct, from_stack = difference_of_means(llama, pairs, layers=[1, 3]), difference_of_means(stack, pairs, layers=[1, 3])
    torch.testing.assert_close(direct.directions, from_stack.directions, atol=1e-4, rtol=1e-4)
    with pytest.raises(PromptError, match="not in this stack"):
        difference_of_means(llama.residuals(["Hello"]), pairs)


def test_pairs_with_one_side_empty() -> None:
    with pytest.raises(PairsError, match="1 positive and 0 negative"):
        PromptPairs((Prompt("a"),), ())


def test_save_and_load(llama: sl.LensModel, tmp_path: Path) -> None:
    vector = replace(_random_vector(llama), name="EN", locale="es-ES", n=7)
    back = SteeringVector.load(vector.save(tmp_path / "v.safetensors"))
    assert torch.equal(back.directions, vector.directions)
    assert (back.label, back.n, back.fingerprint) == ("EN es-ES", 7, llama.fingerprint)
    plan = vector.at(1, 2.0) + vector.at(3, -1.0, "all")
    same = SteeringPlan.load(plan.save(tmp_path / "p.safetensors"))
    assert str(same) == str(plan)
    assert torch.equal(_with(llama, same), _with(llama, plan))
    with pytest.raises(FileError, match="contains a steering plan"):
        SteeringVector.load(tmp_path / "p.safetensors")


def test_another_model_is_refused_with_its_name(loaded: dict[str, sl.LensModel]) -> None:
    plan = _random_vector(loaded["llama"]).at(1)
    with pytest.raises(FingerprintError, match="weights"), plan.applied(loaded["qwen2"]):
        pass
    assert len(plan.hooks(loaded["llama"])) == 1
    with pytest.raises(FingerprintError, match="weights"):
        plan.hooks(loaded["qwen2"])
    with pytest.raises(FingerprintError, match="weight_processing: compatibility, none"):
        replace(plan, fingerprint=replace(plan.fingerprint, weight_processing="compatibility")).check(loaded["llama"])
    with pytest.raises(FingerprintError, match="dtype"):
        replace(plan, fingerprint=replace(plan.fingerprint, dtype="bfloat16")).check(loaded["llama"])
    with pytest.raises(FingerprintError):
        plan + _random_vector(loaded["qwen2"]).at(1)


def test_bad_vectors(llama: sl.LensModel) -> None:
    broken = _random_vector(llama).directions.clone()
    broken[2, 0] = float("nan")
    with pytest.raises(VectorError, match=r"layers \[2\]"):
        SteeringVector(broken, (0, 1, 2, 3), llama.fingerprint)
    with pytest.raises(VectorError, match="shape"):
        SteeringVector(broken[:2], (0, 1, 2), llama.fingerprint)
    vector = _random_vector(llama)
    with pytest.raises(LayerError):
        vector.at(9)
    with pytest.raises(VectorError, match="finite"):
        vector.at(1, float("inf"))


def test_show(llama: sl.LensModel) -> None:
    plan = _random_vector(llama).at(1, tokens="all") + _random_vector(llama).at(3)
    shown = plan.show(llama, "Hello there")
    assert (shown[0].role, shown[0].steered_at) == ("in front", ())
    assert shown[1].steered_at == (1,)
    assert (shown[-1].role, shown[-1].steered_at) == ("last of prompt", (1, 3))
    assert "steered at layers" in str(shown)
