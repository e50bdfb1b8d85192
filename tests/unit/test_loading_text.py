"""A load changes nothing on the machine, and of a checkpoint that takes images it gives the text model."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from places import DEVICE, HERE
from transformers import AutoModelForCausalLM, AutoTokenizer

import steerlens as sl
from steerlens.errors import ModelError

_TEXT = {
    "vocab_size": 600,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "initializer_range": 0.2,
}
_IMAGES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_LLAMA_4 = {"intermediate_size_mlp": 64, "num_local_experts": 2, "num_experts_per_tok": 1}
_PROJECTED = {"vision_output_dim": 16, "projector_input_dim": 16, "projector_output_dim": 16}
CONFIGS: dict[str, Callable[[], Any]] = {
    "Gemma3": lambda: transformers.Gemma3Config(
        text_config=_TEXT | {"sliding_window": 256}, vision_config=_IMAGES, mm_tokens_per_image=4
    ),
    "Gemma4": lambda: transformers.Gemma4Config(text_config=_TEXT, vision_config=None, audio_config=None),
    "Mistral3": lambda: transformers.Mistral3Config(
        text_config=transformers.MistralConfig(**_TEXT), vision_config=transformers.PixtralVisionConfig(**_IMAGES)
    ),
    "Llama4": lambda: transformers.Llama4Config(text_config=_TEXT | _LLAMA_4, vision_config=_IMAGES | _PROJECTED),
    "Llava": lambda: transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**_TEXT), vision_config=transformers.CLIPVisionConfig(**_IMAGES)
    ),
}


@pytest.fixture(scope="module")
def with_images(tmp_path_factory: pytest.TempPathFactory, model_folders: dict[str, Path]) -> Callable[[str], Path]:
    """The folder of a tiny random model that takes images."""
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            torch.manual_seed(0)
            made[family] = tmp_path_factory.mktemp(family)
            getattr(transformers, f"{family}ForConditionalGeneration")(CONFIGS[family]()).save_pretrained(made[family])
            AutoTokenizer.from_pretrained(model_folders["gemma3"]).save_pretrained(made[family])
        return made[family]

    return folder


def _whole(folder: Path) -> Any:
    return transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()


@pytest.mark.parametrize("family", CONFIGS)
def test_the_text_model_has_the_wholes_numbers(
    family: str, with_images: Callable[[str], Path], untouched_machine: list[str]
) -> None:
    folder, text = with_images(family), "¿Qué se desayuna en Sevilla?"
    model = sl.load(folder, **HERE)
    assert untouched_machine == []
    ids = torch.tensor([model.tokens(text).ids], device=model.device)
    with torch.no_grad():
        expected = _whole(folder)(input_ids=ids.cpu(), output_hidden_states=True)
        found = model.tl.original_model(ids).logits.cpu()
    torch.testing.assert_close(found, expected.logits, atol=1e-4, rtol=1e-4)
    residuals = model.residuals([text]).residuals[:, 0]
    for layer in range(model.n_layers - 1):  # Hugging Face norms the last
        torch.testing.assert_close(residuals[layer], expected.hidden_states[layer + 1][0, -1], atol=1e-4, rtol=1e-4)
    model.check_unembedding()
    assert not any("vision" in name for name, _ in model.tl.original_model.named_parameters())


def test_dtype_is_honoured(with_images: Callable[[str], Path]) -> None:
    assert sl.load(with_images("Gemma3"), dtype="bfloat16").dtype == torch.bfloat16


@pytest.mark.parametrize("kind", ["folder", "adapter", "gguf", "bridge", "images", "images and adapter"])
def test_no_load_installs_or_fetches(
    kind: str,
    model_folders: dict[str, Path],
    with_images: Callable[[str], Path],
    adapters: dict[str, Path],
    write_gguf: Callable[..., Path],
    untouched_machine: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STEERLENS_CACHE", str(tmp_path))
    loads: dict[str, Callable[[], sl.LensModel]] = {
        "folder": lambda: sl.load(model_folders["llama"]),
        "adapter": lambda: sl.load(model_folders["llama"], adapter=adapters["llama"]),
        "gguf": lambda: sl.load(write_gguf("gpt2")),
        "bridge": lambda: sl.load(sl.load(model_folders["llama"]).tl),
        "images": lambda: sl.load(with_images("Gemma3")),
        "images and adapter": lambda: sl.load(with_images("Gemma3"), adapter=adapters["whole"]),
    }
    start, read = subprocess.Popen.__init__, torch.load
    assert loads[kind]().tokens("Hello").ids
    assert untouched_machine == []
    assert (subprocess.Popen.__init__, torch.load) == (start, read)


def test_transformer_lens_own_installer_is_refused(untouched_machine: list[str]) -> None:
    from transformer_lens.model_bridge.sources.transformers import helpers

    from steerlens.models.untouched import untouched

    if not helpers._ensure_torchvision():  # without the guard it tries: the positive control
        assert len(untouched_machine) == 1
        untouched_machine.clear()
        with untouched():
            assert not helpers._ensure_torchvision()
    for command in (
        [sys.executable, "-m", "pip", "install", "x"],
        ["uv", "pip", "install", "x"],
        ["/usr/bin/pip3", "install", "x"],
        "pip install x",
    ):
        with pytest.raises(ModelError, match="The command was not run"), untouched(), untouched():
            subprocess.run(command, check=True)
    with untouched():
        assert subprocess.run([sys.executable, "-c", "pass"], check=True).returncode == 0
        with pytest.raises(ModelError, match="safetensors"):
            torch.load("weights.bin")
    assert untouched_machine == []


def test_weights_that_can_run_code_are_refused(model_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(model_folders["llama"], folder)
    (folder / "model.safetensors").unlink()
    model = AutoModelForCausalLM.from_pretrained(model_folders["llama"])
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no weights in safetensors"):
        sl.load(folder)


def test_the_same_of_a_hub_model(model_folders: dict[str, Path], tmp_path: Path) -> None:
    from steerlens.models.loading import _boot

    test_weights_that_can_run_code_are_refused(model_folders, tmp_path)
    with pytest.raises(ModelError, match="are not in safetensors"):
        _boot(
            str(tmp_path / "old"),
            "someone/model",
            torch.device("cpu"),
            None,
            dtype=torch.float32,
            revision=None,
            trust_remote_code=False,
        )


def test_a_checkpoint_that_lacks_weights_is_refused(with_images: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "part"
    shutil.copytree(with_images("Gemma3"), folder)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "layers.1.mlp.up_proj" in name and "vision" not in name)
    save_file({name: t for name, t in weights.items() if name != gone}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 of the weights of a Gemma3ForConditionalGeneration"):
        sl.load(folder)


def test_a_family_without_a_text_model_is_refused_by_name(model_folders: dict[str, Path], tmp_path: Path) -> None:
    images = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
    config = transformers.Qwen3VLConfig(text_config=_TEXT, vision_config=images | {"deepstack_visual_indexes": [0]})
    transformers.Qwen3VLForConditionalGeneration(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model_folders["gemma3"]).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"Qwen3VLForConditionalGeneration, which also takes images.*no text model"):
        sl.load(tmp_path)


def test_a_bridge_is_not_moved_cast_or_read_again(llama: sl.LensModel) -> None:
    assert sl.load(llama.tl, **HERE).tl is llama.tl
    assert sl.load(llama).tl is llama.tl
    with pytest.raises(ModelError, match=r"dtype torch.bfloat16 was given, but the bridge has torch.float32"):
        sl.load(llama.tl, dtype="bfloat16")
    with pytest.raises(ModelError, match=f"device meta was given, but the bridge is on {DEVICE}"):
        sl.load(llama.tl, device="meta")
    with pytest.raises(ModelError, match="revision 'main' was given with a bridge"):
        sl.load(llama.tl, revision="main")


@pytest.fixture(scope="module")
def adapters(
    model_folders: dict[str, Path], with_images: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """LoRAs with random weights: of a text model, and of a model with images as a whole and of the text model in it."""
    peft = pytest.importorskip("peft")
    bases = {
        "llama": AutoModelForCausalLM.from_pretrained(model_folders["llama"]),
        "whole": _whole(with_images("Gemma3")),
        "text": sl.models.multimodal.text_model(_whole(with_images("Gemma3")), "tiny"),
    }
    made = {}
    for name, base in bases.items():
        torch.manual_seed(1)
        targets = r".*language_model.*down_proj" if name == "whole" else ["down_proj"]
        made[name] = tmp_path_factory.mktemp(f"adapter-{name}")
        config = peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
        peft.get_peft_model(base, config).save_pretrained(made[name])
    return made


@pytest.mark.parametrize("trained_on", ["whole", "text"])
def test_an_adapter_of_a_model_with_images(
    trained_on: str, with_images: Callable[[str], Path], adapters: dict[str, Path]
) -> None:
    import peft

    base, folder = _whole(with_images("Gemma3")), adapters[trained_on]
    if trained_on == "text":
        base = sl.models.multimodal.text_model(base, "tiny")
    ids = torch.tensor([[1, 20, 30, 40]])
    with torch.no_grad():
        plain = base(input_ids=ids).logits
        expected = peft.PeftModel.from_pretrained(base, folder).eval()(input_ids=ids).logits
        found = sl.load(with_images("Gemma3"), adapter=folder, **HERE).tl.original_model(ids.to(DEVICE)).logits.cpu()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain, expected, atol=1e-2)


def test_an_adapter_that_peft_would_leave_out_is_refused(
    adapters: dict[str, Path], model_folders: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "adapter"
    shutil.copytree(adapters["llama"], folder)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name.replace(".layers.", ".blocks."): t for name, t in weights.items()}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="have no place in the model"):
        sl.load(model_folders["llama"], adapter=folder)
