"""Plans on Hugging Face's models without TransformerLens: by plain hooks, and in a bias."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload
from transformers import AutoModelForCausalLM, GraniteConfig, GraniteForCausalLM

import steerlens as sl
from steerlens.errors import FingerprintError, ModelError, PromptError, VectorError
from steerlens.models.backends import watching
from steerlens.settings import STEERED_TOKENS

ARCHITECTURES = ("gemma3", "llama", "qwen2", "gpt2")
_TEXTS = ("¿Qué se desayuna?", "Hola", "Pregunta: ¿qué?\nRespuesta:")


def _hugging_face(folder: Path, model: sl.LensModel) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(model.device).eval()


def _vector(model: sl.LensModel) -> sl.steering.SteeringVector:
    directions = 3 * torch.randn(model.n_layers, model.d_model, generator=torch.Generator().manual_seed(5))
    return sl.steering.SteeringVector(directions, tuple(range(model.n_layers)), model.fingerprint, name="V")


def _batch(model: sl.LensModel) -> dict[str, torch.Tensor]:
    """Prompts of three lengths, padded in front."""
    rows = [model.row(model.tokens(text).ids) for text in _TEXTS]
    batch = model.batch(rows, "left")
    return {"input_ids": batch.tokens, "attention_mask": (batch.roles != 0).long()}


@pytest.fixture(scope="module")
def plain(model_folders: Mapping[str, Path], loaded: Mapping[str, sl.LensModel]) -> dict[str, Any]:
    """The tiny models as Hugging Face alone loads them."""
    return {name: _hugging_face(model_folders[name], loaded[name]) for name in ARCHITECTURES}


@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_hooks_give_what_the_bridge_gives(name: str, plain: dict[str, Any], loaded: Mapping[str, sl.LensModel]) -> None:
    """Of a padded batch, at each choice of tokens, and of a model whose weights are compared first."""
    model, alone, vector, batch = loaded[name], plain[name], _vector(loaded[name]), _batch(loaded[name])
    real = batch["attention_mask"].bool()
    unsteered = alone(**batch, use_cache=False).logits
    for tokens in STEERED_TOKENS:
        plan = vector.at([0, 2], tokens=tokens) + vector.ablation().at(3, 0.5, tokens=tokens)
        with plan.applied(model):
            expected = model.tl.original_model(**batch, use_cache=False).logits
        with plan.torch_hooks(alone, same_weights=tokens == "all") as steered:
            given = steered(**batch, use_cache=False).logits
        torch.testing.assert_close(given[real], expected[real], rtol=1e-5, atol=1e-5)
        assert ((unsteered - given)[real].abs().max() > 1e-3) == (tokens != "generated")


@pytest.mark.parametrize("cached", [True, False])
@torch.no_grad()
def test_generation_is_steered_at_the_same_tokens(cached: bool, plain: dict[str, Any], llama: sl.LensModel) -> None:
    """With a key-value cache and without one, where every pass begins with the text."""
    vector, batch, alone = _vector(llama), _batch(llama), plain["llama"]
    settings: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False, "output_logits": True, "use_cache": cached}
    seen = []
    for tokens in STEERED_TOKENS:
        plan = vector.at(2, tokens=tokens)
        with plan.applied(llama):
            expected = llama.tl.original_model.generate(**batch, **settings, return_dict_in_generate=True)
        with plan.torch_hooks(alone, same_weights=False):
            given = alone.generate(**batch, **settings, return_dict_in_generate=True)
        assert torch.equal(given.sequences, expected.sequences)
        torch.testing.assert_close(torch.stack(given.logits), torch.stack(expected.logits), rtol=1e-5, atol=1e-5)
        seen.append(torch.stack(given.logits)[-1])
    assert all((one - other).abs().max() > 1e-3 for at, one in enumerate(seen) for other in seen[:at])


@torch.no_grad()
def test_nothing_is_left_on_the_model(plain: dict[str, Any], llama: sl.LensModel) -> None:
    alone, plan, batch, seen = plain["llama"], _vector(llama).at(1), _batch(llama), []

    def run_and_fail() -> None:
        with plan.torch_hooks(alone):
            seen.append(alone(**batch).logits)
            raise KeyError

    before, hooks = alone(**batch).logits, len(watching.hooks_on(SimpleOwner(alone)))
    with pytest.raises(KeyError):
        run_and_fail()
    assert not torch.equal(seen[0], before)
    assert torch.equal(alone(**batch).logits, before)
    assert len(watching.hooks_on(SimpleOwner(alone))) == hooks
    assert "generate" not in vars(alone)
    assert not any(part._forward_pre_hooks for part in alone.modules())


@torch.no_grad()
def test_a_generate_of_the_models_own_is_called_and_stays(llama: sl.LensModel, model_folders: Mapping[str, Path]) -> None:
    alone, plan, batch = _hugging_face(model_folders["llama"], llama), _vector(llama).at(1, tokens="generated"), _batch(llama)
    settings: dict[str, Any] = {"max_new_tokens": 3, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    with plan.torch_hooks(alone, same_weights=False):
        expected = alone.generate(**batch, **settings)
    called = []

    def own(*args: Any, **given: Any) -> Any:
        called.append(given["max_new_tokens"])
        return type(alone).generate(alone, *args, **given)

    alone.generate = own
    with plan.torch_hooks(alone, same_weights=False):
        given = alone.generate(**batch, **settings)
    assert (called, alone.generate) == ([3], own)
    assert torch.equal(torch.stack(given.logits), torch.stack(expected.logits))


@torch.no_grad()
def test_plans_inside_one_another(plain: dict[str, Any], llama: sl.LensModel) -> None:
    alone, vector, batch = plain["llama"], _vector(llama), _batch(llama)
    with (vector.at(1) + vector.at(2)).torch_hooks(alone):
        expected = alone(**batch).logits
    with vector.at(1).torch_hooks(alone), vector.at(2).torch_hooks(alone):
        given = alone(**batch).logits
    assert torch.equal(given, expected)
    with vector.at(1).torch_hooks(alone), pytest.raises(ModelError, match="the model has hooks, and the copy"):
        vector.at(1, tokens="all").bake(alone, front=True, same_weights=False)


class SimpleOwner(torch.nn.Module):
    """What ``hooks_on`` is given: something that has the model."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.original_model = model


def test_another_model_is_refused(plain: dict[str, Any], llama: sl.LensModel, model_folders: Mapping[str, Path]) -> None:
    plan, other = _vector(llama).at(1), _hugging_face(model_folders["llama"], llama)
    with torch.no_grad():
        other.lm_head.weight[0, 0] += 1
    with pytest.raises(FingerprintError, match=r"weights: .*same_weights=False"), plan.torch_hooks(other):
        pass
    with plan.torch_hooks(other, same_weights=False):
        pass
    with pytest.raises(FingerprintError, match="dtype: float32, bfloat16"), plan.torch_hooks(other.bfloat16()):
        pass
    with pytest.raises(ModelError, match=r"LensModel given.*plan\.applied"), plan.torch_hooks(llama):
        pass
    with pytest.raises(ModelError, match="LlamaModel given: this model ends after its last block"), plan.torch_hooks(other.model):
        pass


def test_passes_whose_tokens_are_not_known_are_refused(plain: dict[str, Any], llama: sl.LensModel) -> None:
    alone, plan, batch = plain["llama"], _vector(llama).at(1), _batch(llama)
    embedded = alone.get_input_embeddings()(batch["input_ids"])
    with plan.torch_hooks(alone, same_weights=False), pytest.raises(PromptError, match="run the pass from token ids"):
        alone(inputs_embeds=embedded)
    with plan.torch_hooks(alone, same_weights=False):
        begun = alone(input_ids=batch["input_ids"][:, :2], use_cache=True)
        with pytest.raises(PromptError, match="tokens continue from a key-value cache"):
            alone(input_ids=batch["input_ids"][:, 2:], past_key_values=begun.past_key_values)


def _baked_logits(baked: Any, folder: Path, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a baked model, and after it was saved and loaded."""
    baked.save_pretrained(folder)
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(ids.device).eval()
    return baked(ids).logits, again(ids).logits


@torch.no_grad()
def test_gpt2_takes_the_vector_into_its_bias(plain: dict[str, Any], loaded: Mapping[str, sl.LensModel], tmp_path: Path) -> None:
    model, alone = loaded["gpt2"], plain["gpt2"]
    plan = _vector(model).at([1, 3], 0.5, tokens="all")
    ids = torch.tensor([list(model.tokens(_TEXTS[0]).ids)], device=model.device)
    with plan.torch_hooks(alone, same_weights=False):
        expected = alone(ids).logits
    before = alone(ids).logits
    for given in _baked_logits(plan.bake(alone), tmp_path, ids):
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(alone(ids).logits, before)  # the model given is as it was
    assert (before - expected).abs().max() > 0.1


@torch.no_grad()
def test_llama_takes_it_with_mlp_bias(plain: dict[str, Any], llama: sl.LensModel, tmp_path: Path) -> None:
    alone, plan = plain["llama"], _vector(llama).at(2, 0.5, tokens="all")
    with pytest.raises(VectorError, match=r"does not steer the tokens in front.*front=True"):
        plan.bake(alone, same_weights=False)
    baked = plan.bake(alone, front=True, same_weights=False)
    assert baked.config.mlp_bias
    assert not alone.config.mlp_bias
    own = llama.tokens(_TEXTS[0])
    bare = torch.tensor([list(own.ids[own.n_front :])], device=llama.device)  # without BOS both are the same
    with plan.torch_hooks(alone, same_weights=False):
        expected = alone(bare).logits
    for given in _baked_logits(baked, tmp_path, bare):
        torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)


def test_where_a_bias_is_not_exact_it_is_refused(plain: dict[str, Any], loaded: Mapping[str, sl.LensModel]) -> None:
    for name, said in (("gemma3", "no setting for such a bias"), ("qwen2", "no setting for such a bias")):
        plan = _vector(loaded[name]).at(1, tokens="all")
        with pytest.raises(ModelError, match=rf"{said}.*torch_hooks"):
            plan.bake(plain[name], front=True, same_weights=False)
    vector = _vector(loaded["gpt2"])
    with pytest.raises(VectorError, match=r"the prompt's last token and all tokens after it, but a bias is added"):
        vector.at(1).bake(plain["gpt2"], same_weights=False)
    with pytest.raises(VectorError, match="a bias can add vectors and nothing else"):
        vector.ablation().at(1, tokens="all").bake(plain["gpt2"], same_weights=False)


@torch.no_grad()
def test_half_precision_hides_nothing(loaded: Mapping[str, sl.LensModel], model_folders: Mapping[str, Path]) -> None:
    """A bias is taken in bfloat16 too, where it gives the same but for rounding."""
    model = loaded["gpt2"]
    alone, plan = _hugging_face(model_folders["gpt2"], model).bfloat16(), _vector(model).at([1, 3], 0.01, tokens="all")
    ids = torch.tensor([list(model.tokens(_TEXTS[0]).ids)], device=model.device)
    with plan.torch_hooks(alone, same_weights=False):
        expected = alone(ids).logits
    torch.testing.assert_close(plan.bake(alone, same_weights=False)(ids).logits, expected, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(("dtype", "strength"), [(torch.float32, 1.0), (torch.bfloat16, 1.0), (torch.bfloat16, 1e-4)])
def test_a_factor_behind_the_projection_is_found_out(dtype: torch.dtype, strength: float, llama: sl.LensModel) -> None:
    """Granite multiplies what its MLP adds: a vector in the bias, short or long, would be half of itself."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
    granite = GraniteForCausalLM(GraniteConfig(vocab_size=600, residual_multiplier=0.5, **shape)).to(llama.device, dtype).eval()
    plan = _vector(llama).at(1, strength, tokens="all")
    with pytest.raises(ModelError, match="In the blocks of GraniteForCausalLM, another operation follows the last projection"):
        plan.bake(granite, front=True, same_weights=False)


def test_offloaded_weights_are_not_baked_into(model_folders: Mapping[str, Path], loaded: Mapping[str, sl.LensModel]) -> None:
    offloaded = cpu_offload(_hugging_face(model_folders["llama"], loaded["llama"]), execution_device=torch.device("cpu"))
    with pytest.raises(ModelError, match="Load the model without offloading"):
        _vector(loaded["llama"]).at(1, tokens="all").bake(offloaded, front=True, same_weights=False)
