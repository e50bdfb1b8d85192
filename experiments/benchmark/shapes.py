"""Models of a real one's shape with random weights, made on the device itself, so that nothing is downloaded."""

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

import steerlens as sl
from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf import converted_embedded
from steerlens.models.quiet import quiet_transformers
from steerlens.models.tokens import Tokenizer, for_a_bridge, own_tokenizer

_TOKENIZER = "gemma-3-270m"
"""The embedded model whose tokenizer every shape has: that of all Gemma 3."""
SHAPES: dict[str, dict[str, int]] = {
    "gemma-3-4b": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 34,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "sliding_window": 1024,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "sliding_window": 1024,
    },
}
"""Settings of Gemma 3 text models; the vocabulary is that of the tokenizer."""


def made(shape: str, device: torch.device, dtype: torch.dtype) -> sl.LensModel:
    """A Gemma 3 of the shape with random weights, the same in every run on a device."""
    source = str(converted_embedded(EMBEDDED[_TOKENIZER]))
    own = own_tokenizer(source)
    ids = {name: getattr(own, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = Gemma3TextConfig(vocab_size=len(own), architectures=["Gemma3ForCausalLM"], **ids, **SHAPES[shape])
    torch.manual_seed(0)
    with quiet_transformers():
        with torch.device(device):
            model = Gemma3ForCausalLM._from_config(config, dtype=dtype).eval()
        bridge = TransformerBridge.boot_transformers(
            source, hf_model=model, tokenizer=for_a_bridge(own), device=device, dtype=dtype
        )
    return sl.LensModel(bridge, f"{shape}, random weights", Tokenizer(own))
