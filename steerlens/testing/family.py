"""Describes how a tiny model of an architecture is made, and defines shapes that many architectures share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Front = Literal["bos", "bos, no pad", "eos", "unused", "unused, own pad", "none"]
"""The tokens that a family's tokenizer usually puts in front of a text, and whether the tokenizer has a padding token.

``bos``: a BOS is put in front, and there is a padding token. ``bos, no pad``: a BOS is put in front, and there is no padding
token. ``eos``: the end-of-text token is used as BOS and is put in front. ``unused``: one token is declared as BOS and end of
text, and is not put in front. ``unused, own pad``: a separate BOS is declared and not put in front. ``none``: there is no BOS.
"""


@dataclass(frozen=True)
class Family:
    """One architecture with the configuration of a tiny model."""

    name: str
    config: str
    """The name of the config class in transformers."""
    model: str
    """The name of the model class in transformers, by which TransformerLens chooses its adapter."""
    front: Front
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The keyword arguments of the config. If ``outer`` is given, these arguments are for the ``text_config`` of the full
    config."""
    outer: Mapping[str, Any] | None = None
    """The fields of a multimodal model's config other than ``text_config``."""
    towers_need: str = ""
    """A package that the vision and audio towers need. The checks leave the towers out, so they run without this package."""


def causal(name: str, stem: str, front: Front, settings: Mapping[str, Any]) -> Family:
    """Returns the architecture with the classes ``{stem}Config`` and ``{stem}ForCausalLM``."""
    return Family(name, f"{stem}Config", f"{stem}ForCausalLM", front, settings)


VOCABULARY = 600
BARE: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 4, "initializer_range": 0.2}
BASE = BARE | {"intermediate_size": 64, "num_attention_heads": 2, "max_position_embeddings": 1024}
GROUPED = BASE | {"num_key_value_heads": 1}
HEADED = GROUPED | {"head_dim": 16}
ALL_HEADS = BASE | {"num_key_value_heads": 2}
GPT: dict[str, Any] = {"n_embd": 32, "n_layer": 4, "n_head": 2, "n_positions": 1024, "initializer_range": 0.2}
MIXED_WINDOWS: dict[str, Any] = {"layer_types": ["sliding_attention", "full_attention"] * 2, "sliding_window": 512}
"""Settings with an attention window in every second layer. The windows are longer than all texts of the checks."""
LINEAR: dict[str, Any] = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention"] * 2,
}
EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2}
LOCAL_EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
SMALL_EXPERTS = EXPERTS | {"moe_intermediate_size": 32}
SHARED_EXPERT = SMALL_EXPERTS | {"shared_expert_intermediate_size": 32}
ROUTED: dict[str, Any] = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 32}
LATENT: dict[str, Any] = {
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
}
STATES: dict[str, Any] = {
    "mamba_n_heads": 4,
    "mamba_d_head": 16,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "mamba_chunk_size": 16,
}
VISION: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
GEMMA_4 = (
    HEADED | MIXED_WINDOWS | {"global_head_dim": 16, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": VOCABULARY}
)
