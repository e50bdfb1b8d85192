"""Quantized checkpoints: what the fingerprint says, what is refused in words, and real ones where their package is installed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from places import HERE, some_items

import steerlens as sl
from steerlens.errors import ModelError
from steerlens.evaluation import Scorer, attributions
from steerlens.models import loading, quantized
from steerlens.models.capabilities import check_gradients
from steerlens.models.quantized import Quantization, quantization_of

INT4 = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": 32}
SAID = {
    "bitsandbytes 4 bit (nf4)": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "bitsandbytes 8 bit": {"quant_method": "bitsandbytes", "load_in_8bit": True, "bnb_4bit_quant_type": "fp4"},
    "gptq 4 bit": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "awq 4 bit": {"quant_method": "awq", "bits": 4, "zero_point": True, "version": "gemm"},
    "compressed-tensors 4 bit (int)": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": INT4}}},
    "fp8": {"quant_method": "fp8"},
}
PACKAGES = {
    "bitsandbytes 4 bit (nf4)": "pip install bitsandbytes",
    "gptq 4 bit": "pip install optimum gptqmodel",
    "awq 4 bit": "pip install gptqmodel",
    "compressed-tensors 4 bit (int)": "pip install compressed-tensors",
}
QUANTIZED = {"quant_method": "gptq", "bits": 4}


@pytest.fixture
def said(model_folders: dict[str, Path], tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """A checkpoint whose configuration says how it is quantized."""

    def folder(how: dict[str, Any]) -> Path:
        shutil.copytree(model_folders["llama"], tmp_path / "quantized")
        path = tmp_path / "quantized" / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**config, "quantization_config": how}), encoding="utf-8")
        return path.parent

    return folder


@pytest.fixture
def bridge(model_folders: dict[str, Path]) -> Any:
    """A bridge that says of itself that it is quantized, and is not."""
    found = sl.load(model_folders["llama"], **HERE).tl
    found.original_model.config.quantization_config = QUANTIZED
    return found


@pytest.mark.parametrize("words", SAID)
def test_what_a_configuration_says(words: str) -> None:
    assert str(quantization_of(SimpleNamespace(quantization_config=SAID[words]))) == words
    held = SimpleNamespace(to_dict=lambda: SAID[words])  # Transformers makes an object of it
    assert str(quantization_of(SimpleNamespace(quantization_config=held))) == words


def test_what_is_not_quantized(llama: sl.LensModel) -> None:
    assert quantization_of(SimpleNamespace()) is None
    assert llama.fingerprint.dtype == "float32"
    assert llama.capabilities.gradients


@pytest.mark.parametrize("words", PACKAGES)
def test_a_package_that_is_not_installed_is_named(
    words: str, said: Callable[[dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantized, "find_spec", lambda _: None)
    with pytest.raises(ModelError) as error:
        sl.load(said(SAID[words]))
    assert words in str(error.value)
    assert PACKAGES[words] in str(error.value)


def test_an_adapter_and_training_are_refused(said: Callable[[dict[str, Any]], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = said(SAID["awq 4 bit"])
    monkeypatch.setattr(quantized, "find_spec", lambda _: SimpleNamespace())
    with pytest.raises(ModelError, match="rounding would remove the effect"):
        sl.load(folder, adapter=folder)
    with pytest.raises(ModelError, match="weights quantized by awq 4 bit, but training"):
        loading.hugging_face_of(sl.models.LoadSpec(str(folder)))


def test_the_fingerprint_says_how(bridge: Any, llama: sl.LensModel) -> None:
    model = sl.load(bridge)
    assert model.fingerprint.dtype == "float32, gptq 4 bit"
    assert model.fingerprint.differences(llama.fingerprint) == ["dtype: float32, gptq 4 bit, float32"]
    assert model.dtype == torch.float32
    vector = sl.steering.take(llama, some_items().sample(3))["EN", "es-ES"]
    with pytest.raises(sl.errors.FingerprintError, match="gptq 4 bit"):
        vector.at(1).check(model)


def test_a_plan_of_it_steers_the_same_checkpoint_without_transformer_lens(bridge: Any, model_folders: dict[str, Path]) -> None:
    from transformers import AutoModelForCausalLM

    plan = sl.steering.take(sl.load(bridge), some_items().sample(2))["EN", "es-ES"].at(1)
    plain = AutoModelForCausalLM.from_pretrained(model_folders["llama"], dtype=torch.float32).to(HERE["device"])
    with pytest.raises(sl.errors.FingerprintError, match=r"gptq 4 bit, float32"), plan.torch_hooks(plain):
        pass
    plain.config.quantization_config = QUANTIZED
    with plan.torch_hooks(plain):
        assert plain(torch.tensor([[1, 2, 3]], device=plain.device)).logits.isfinite().all()


def test_a_kernel_without_derivatives_is_found(bridge: Any) -> None:
    """The stream around it has one, so that a number would come out, and a wrong one. Where all parts have one, none is found: a
    part that chooses by whole numbers has none to give."""
    items = list(some_items().of(locale="es-ES"))[:2]
    chooser = torch.nn.Module()
    chooser.forward = lambda values: values.argmax(-1)
    bridge.blocks[2].original_component.mlp.chooser = chooser

    def choose(_: torch.nn.Module, __: Any, output: torch.Tensor) -> None:
        chooser(output)

    bridge.blocks[2].hook_resid_post.register_forward_hook(choose)
    whole = sl.load(bridge)
    assert whole.capabilities.gradients
    assert Scorer(whole, items).gradients((0, 2), "all").norm() > 0
    part = bridge.blocks[2].original_component.mlp.down_proj
    getattr(part, "original_component", part).register_forward_hook(lambda _, __, output: output.detach())
    model = sl.load(bridge)
    assert not model.capabilities.gradients
    with pytest.raises(ModelError, match=r"quantized by gptq 4 bit.*mode='exact'"):
        check_gradients(model)
    with pytest.raises(ModelError, match="gives no derivatives"):
        Scorer(model, items).gradients((0, 2), "all")


@pytest.mark.parametrize("kept", ["weight", "qweight"])
def test_a_quantized_unembedding_is_refused(bridge: Any, kept: str) -> None:
    """Kernels keep it as whole numbers under the same name, or as a buffer under another."""
    head = bridge.unembed.original_component
    packed = torch.zeros(head.weight.shape, dtype=torch.int8)
    del head.weight
    if kept == "weight":
        head.weight = torch.nn.Parameter(packed, requires_grad=False)
    else:
        head.register_buffer(kept, packed)
    model = sl.load(bridge)
    assert model.residuals(["Hello"]).residuals.isfinite().all()
    with pytest.raises(ModelError, match="whose lm_head is not quantized"):
        model.check_unembedding()


def test_a_model_that_is_wrapped_wrongly_is_refused(model_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    alone = loading.logits_alone
    monkeypatch.setattr(loading, "logits_alone", lambda model: 1.1 * alone(model))
    with pytest.raises(ModelError, match=r"the difference is 0\.091 of their norm"):
        sl.load(model_folders["llama"], dtype="float32", device_map={"": "cpu"})


# With the packages themselves, which are no part of the extra ``dev``


@pytest.fixture
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A checkpoint that a package has quantized itself."""
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 2}
    torch.manual_seed(0)
    plain = LlamaForCausalLM(LlamaConfig(vocab_size=600, num_key_value_heads=1, initializer_range=0.2, **shape))
    request.getfixturevalue("llama").tokenizer.hf.save_pretrained(tmp_path)
    if request.param == "bitsandbytes":
        pytest.importorskip("bitsandbytes")
        plain.save_pretrained(tmp_path / "plain")
        kind = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
        settings = {"quantization_config": kind, "device_map": {"": "cpu"}, "dtype": torch.float32}
        AutoModelForCausalLM.from_pretrained(tmp_path / "plain", **settings).save_pretrained(tmp_path)
        return tmp_path
    made = pytest.importorskip("compressed_tensors.quantization")
    compressors = pytest.importorskip("compressed_tensors.compressors")
    scheme = made.QuantizationScheme(targets=["Linear"], weights=made.QuantizationArgs(**INT4))
    form = {"format": "pack-quantized", "quantization_status": "frozen"}
    made.apply_quantization_config(plain, made.QuantizationConfig(config_groups={"all": scheme}, ignore=["lm_head"], **form))
    for module in plain.modules():
        if hasattr(module, "weight_scale"):
            module.weight_scale.data = module.weight.data.reshape(*module.weight_scale.shape, 32).abs().amax(-1) / 7
    compressor = compressors.ModelCompressor.from_pretrained_model(plain, quantization_format=form["format"])
    compressor.compress_model(plain)
    plain.save_pretrained(tmp_path)
    compressor.update_config(tmp_path)
    return tmp_path


@pytest.mark.parametrize("real", ["bitsandbytes", "compressed-tensors"], indirect=True)
def test_a_real_one_does_every_job(real: Path) -> None:
    from transformers import AutoModelForCausalLM

    model, items = sl.load(real, "cpu"), some_items().sample(4)
    assert " 4 bit" in model.fingerprint.dtype
    assert model.spec.load().fingerprint == model.fingerprint
    alone = AutoModelForCausalLM.from_pretrained(real, device_map={"": "cpu"}, dtype=model.dtype, attn_implementation="eager")
    with torch.no_grad():
        expected = alone(torch.tensor([model.tokens("Hello").ids]), output_hidden_states=True).hidden_states
    found = model.residuals(["Hello"]).residuals[:, 0]
    for layer in range(model.n_layers - 1):  # Hugging Face norms the last
        torch.testing.assert_close(found[layer], expected[layer + 1][0, -1].float(), atol=1e-4, rtol=1e-4)
    vector = sl.steering.take(model, items)["EN", "es-ES"]
    scorer = Scorer(model, list(items.of(locale="es-ES"))[:2])
    slopes, step = attributions(scorer, [(vector, [0, 2])], "all")[vector.name].slopes, 1e-2
    for layer in (0, 2):
        up, down = (scorer.score(vector.at(layer, sign * step, "all")) for sign in (1, -1))
        for n, base in enumerate(scorer.base):
            rise = [o[n].scores[base.item.answer] - o[n].scores[base.runner_up] for o in (up, down)]
            assert slopes[layer][n] == pytest.approx((rise[0] - rise[1]) / (2 * step), abs=2e-2, rel=2e-2)
    plans = [vector.at(1, 3.0), vector.at(2, -1.0)]
    swept = {index: outcomes for index, outcomes in scorer.sweep(plans) if outcomes is not None}
    for index, plan in enumerate(plans):
        whole = [score for outcome in scorer.score(plan) for score in outcome.scores]
        assert [score for outcome in swept[index] for score in outcome.scores] == pytest.approx(whole, abs=1e-4)
    assert model.generate("Hello", 3) == list(sl.models.stream(model, "Hello", 3))[-1]


def test_bits_of_a_group_are_the_fewest() -> None:
    groups = {"a": {"weights": INT4}, "b": {"weights": {**INT4, "num_bits": 8}}, "c": {"weights": None}}
    own = SimpleNamespace(quantization_config={"quant_method": "compressed-tensors", "config_groups": groups})
    assert quantization_of(own) == Quantization("compressed-tensors", 4, "int")
