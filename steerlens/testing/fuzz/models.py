"""Defines the targets for models, their adapters, and GGUF files."""

import json
from atexit import register
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from steerlens.testing.fuzz.target import Target, right, write_json

LAYERS, WIDTH = 4, 32
"""The number of layers and the width of the tiny model."""
_TEMPORARY = gettempdir()
"""The folder in which the tiny model is stored. The folder of a case is not used, because that folder is removed after the
case."""


@cache
def _model_folder() -> Path:
    """Returns the folder of a tiny Llama."""
    from steerlens.testing.families import FAMILIES
    from steerlens.testing.folders import write_model

    kept = TemporaryDirectory(prefix="steerlens-fuzz-model-", dir=_TEMPORARY)
    register(kept.cleanup)
    folder = Path(kept.name) / "tiny"
    write_model(next(family for family in FAMILIES if family.name == "Llama"), folder)
    return folder


@cache
def tiny_model() -> Any:
    """Returns a tiny Llama, loaded once."""
    from steerlens.models import load

    return load(_model_folder(), "cpu")


def _model_write(folder: Path) -> None:
    for path in _model_folder().iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def _model_load(folder: Path) -> None:
    from steerlens.models import load

    model = load(folder, "cpu")
    right(bool(model.residuals(["Hello"]).residuals.shape[0]), "no residuals")


def _adapter_write(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    own = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none"}
    write_json(folder / "adapter_config.json", {**own, "base_model_name_or_path": "tiny"})
    tensors: dict[str, Any] = {}
    for layer in range(LAYERS):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors |= {f"{name}.lora_A.weight": torch.ones(2, WIDTH), f"{name}.lora_B.weight": torch.ones(WIDTH, 2)}
    save_file(tensors, folder / "adapter_model.safetensors")


def _adapter_load(folder: Path) -> None:
    from steerlens.models import load

    load(_model_folder(), "cpu", adapter=folder)


def _gguf_write(folder: Path) -> None:
    """Writes a tiny Llama with a byte-level vocabulary."""
    import gguf
    import numpy as np

    from steerlens.testing.folders import tiny_bpe

    content = json.loads(tiny_bpe().to_str())["model"]
    tokens = sorted(content["vocab"], key=content["vocab"].__getitem__)
    merges = [own if isinstance(own, str) else " ".join(own) for own in content["merges"]]
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<") else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<bos>"))
    writer.add_eos_token_id(tokens.index("<eos>"))
    for key, value in {"block_count": 1, "context_length": 64, "embedding_length": 16, "feed_forward_length": 16}.items():
        getattr(writer, f"add_{key}")(value)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(tokens))
    shapes = {"token_embd": (len(tokens), 16), "output": (len(tokens), 16), "output_norm": (16,), "blk.0.attn_norm": (16,)}
    shapes |= {f"blk.0.attn_{part}": (16, 16) for part in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_norm": (16,), **{f"blk.0.ffn_{part}": (16, 16) for part in ("gate", "up", "down")}}
    random = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.2, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_load(folder: Path) -> None:
    from steerlens.models import load

    load(folder / "tiny.gguf", "cpu")


def _header_load(folder: Path) -> None:
    from steerlens.errors import ModelError
    from steerlens.models.vocabulary import read_vocabulary

    try:
        read_vocabulary(folder / "tiny.gguf").sample()
    except (OSError, ValueError) as error:  # the errors that it documents; ``convert`` turns them into the error for the user
        raise ModelError(str(error)[:500]) from error


MODELS = (
    Target("model-folder", _model_write, _model_load, 12),
    Target("adapter", _adapter_write, _adapter_load, 12, needs="peft"),
    Target("gguf", _gguf_write, _gguf_load, 10, needs="gguf"),
    Target("gguf-header", _gguf_write, _header_load, 60, needs="gguf"),
)
"""The targets for models, their adapters, and GGUF files."""
