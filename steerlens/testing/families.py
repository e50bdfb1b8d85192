"""The architectures that the harness makes tiny models of: config class, model class and settings, one entry each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Front = Literal["bos", "bos, no pad", "eos", "unused", "unused, own pad", "none"]
"""What a family's tokenizer usually puts in front of a text, and how it pads.

``bos``: a BOS, with a padding token; ``bos, no pad``: without one; ``eos``: the end-of-text token serves as BOS and is put in
front; ``unused``: one token is declared as BOS and end of text and is not put in front; ``unused, own pad``: a BOS of its own
that is declared and not put in front; ``none``: no BOS at all.
"""


@dataclass(frozen=True)
class Family:
    """One architecture, small."""

    name: str
    config: str
    """Name of the config class in transformers."""
    model: str
    """Name of the model class in transformers, which TransformerLens chooses its adapter by."""
    front: Front
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the config."""
    text: bool = False
    """The settings are those of ``text_config``, beside which ``vision`` and ``outer`` stand."""
    vision: Mapping[str, Any] | None = None
    outer: Mapping[str, Any] = field(default_factory=dict)


_BARE: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 4, "initializer_range": 0.2}
_BASE = {**_BARE, "intermediate_size": 64, "num_attention_heads": 2, "max_position_embeddings": 1024}
_GROUPED = {**_BASE, "num_key_value_heads": 1}
_HEADED = {**_GROUPED, "head_dim": 16}
_GPT = {"n_embd": 32, "n_layer": 4, "n_head": 2, "n_positions": 1024, "initializer_range": 0.2}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
_QWEN_MOE = {**_EXPERTS, "moe_intermediate_size": 32}
_SHARED_EXPERT = {**_QWEN_MOE, "shared_expert_intermediate_size": 32}
_ROUTED = {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 32}
_LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 16}
_LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention"] * 2,
}
_WINDOWS = ["sliding_attention", "full_attention"] * 2
_SSM = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_chunk_size": 16}
_SIGLIP = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
_GEMMA4 = {**_HEADED, "global_head_dim": 16, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 600}

FAMILIES: tuple[Family, ...] = (
    Family("Llama", "LlamaConfig", "LlamaForCausalLM", "bos, no pad", _GROUPED),
    Family("Mistral", "MistralConfig", "MistralForCausalLM", "bos, no pad", {**_HEADED, "sliding_window": None}),
    Family("Mistral, window", "MistralConfig", "MistralForCausalLM", "bos, no pad", {**_HEADED, "sliding_window": 24}),
    Family("Ministral 3", "Ministral3Config", "Ministral3ForCausalLM", "bos", _HEADED),
    Family(
        "Mistral 3 multimodal",
        "Mistral3Config",
        "Mistral3ForConditionalGeneration",
        "bos",
        {**_HEADED, "model_type": "mistral", "sliding_window": None},
        text=True,
        vision={**_SIGLIP, "model_type": "pixtral", "head_dim": 8},
    ),
    Family("Qwen 2", "Qwen2Config", "Qwen2ForCausalLM", "none", _GROUPED),
    Family("Qwen 2 MoE", "Qwen2MoeConfig", "Qwen2MoeForCausalLM", "none", {**_GROUPED, **_SHARED_EXPERT}),
    Family("Qwen 3", "Qwen3Config", "Qwen3ForCausalLM", "none", _HEADED),
    Family("Qwen 3 MoE", "Qwen3MoeConfig", "Qwen3MoeForCausalLM", "none", {**_HEADED, **_QWEN_MOE}),
    Family("Qwen 3 Next", "Qwen3NextConfig", "Qwen3NextForCausalLM", "none", {**_HEADED, **_SHARED_EXPERT, **_LINEAR}),
    Family("Qwen 3.5", "Qwen3_5TextConfig", "Qwen3_5ForCausalLM", "none", {**_HEADED, **_LINEAR}),
    Family("Qwen 3.5 MoE", "Qwen3_5MoeTextConfig", "Qwen3_5MoeForCausalLM", "none", {**_HEADED, **_SHARED_EXPERT, **_LINEAR}),
    Family("Gemma 1", "GemmaConfig", "GemmaForCausalLM", "bos", _HEADED),
    Family(
        "Gemma 2",
        "Gemma2Config",
        "Gemma2ForCausalLM",
        "bos",
        {**_HEADED, "final_logit_softcapping": 3.0, "attn_logit_softcapping": 2.0},
    ),
    Family("Gemma 3", "Gemma3TextConfig", "Gemma3ForCausalLM", "bos", {**_HEADED, "sliding_window": 512}),
    Family(
        "Gemma 3, window",
        "Gemma3TextConfig",
        "Gemma3ForCausalLM",
        "bos",
        {**_HEADED, "sliding_window": 24, "layer_types": _WINDOWS},
    ),
    Family(
        "Gemma 3 multimodal",
        "Gemma3Config",
        "Gemma3ForConditionalGeneration",
        "bos",
        {**_HEADED, "sliding_window": 512},
        text=True,
        vision=_SIGLIP,
        outer={"mm_tokens_per_image": 4},
    ),
    Family(
        "Gemma 3n",
        "Gemma3nTextConfig",
        "Gemma3nForCausalLM",
        "bos",
        {
            **_HEADED,
            "num_kv_shared_layers": 2,
            "laurel_rank": 8,
            "hidden_size_per_layer_input": 8,
            "vocab_size_per_layer_input": 600,
            "layer_types": _WINDOWS,
            "intermediate_size": [64] * 4,
            "activation_sparsity_pattern": [0.0] * 4,
        },
    ),
    Family("Gemma 4", "Gemma4TextConfig", "Gemma4ForCausalLM", "bos", {**_GEMMA4, "layer_types": _WINDOWS}),
    Family(
        "Gemma 4, shared keys",
        "Gemma4TextConfig",
        "Gemma4ForCausalLM",
        "bos",
        {**_GEMMA4, "layer_types": _WINDOWS, "num_kv_shared_layers": 2},
    ),
    Family("VaultGemma", "VaultGemmaConfig", "VaultGemmaForCausalLM", "bos", {**_HEADED, "layer_types": _WINDOWS}),
    Family(
        "RecurrentGemma",
        "RecurrentGemmaConfig",
        "RecurrentGemmaForCausalLM",
        "bos",
        {
            **_GROUPED,
            "lru_width": 32,
            "attention_window_size": 512,
            "block_types": ("recurrent", "attention"),
            "w_init_variance_scale": 0.1,
            "max_position_embeddings": None,
        },
    ),
    Family("OLMo 1", "OlmoConfig", "OlmoForCausalLM", "unused", _GROUPED),
    Family("OLMo 2", "Olmo2Config", "Olmo2ForCausalLM", "unused", _GROUPED),
    Family("OLMo 3", "Olmo3Config", "Olmo3ForCausalLM", "unused", {**_GROUPED, "sliding_window": 512, "layer_types": _WINDOWS}),
    Family("OLMoE", "OlmoeConfig", "OlmoeForCausalLM", "unused", {**_GROUPED, **_EXPERTS}),
    Family("OLMo hybrid", "OlmoHybridConfig", "OlmoHybridForCausalLM", "unused", {**_GROUPED, **_LINEAR}),
    Family("FlexOLMo", "FlexOlmoConfig", "FlexOlmoForCausalLM", "unused", {**_GROUPED, **_EXPERTS}),
    Family("Phi", "PhiConfig", "PhiForCausalLM", "unused", _BASE),
    Family("Phi 3", "Phi3Config", "Phi3ForCausalLM", "bos, no pad", {**_GROUPED, "original_max_position_embeddings": 1024}),
    Family("Falcon", "FalconConfig", "FalconForCausalLM", "unused", {**_BARE, "num_attention_heads": 2}),
    Family(
        "Falcon, ALiBi",
        "FalconConfig",
        "FalconForCausalLM",
        "unused",
        {**_BARE, "num_attention_heads": 2, "alibi": True, "parallel_attn": False, "multi_query": False, "bias": True},
    ),
    Family("GPT-NeoX (Pythia)", "GPTNeoXConfig", "GPTNeoXForCausalLM", "unused", _BASE),
    Family("GPT-2", "GPT2Config", "GPT2LMHeadModel", "unused", _GPT),
    Family("GPT-J", "GPTJConfig", "GPTJForCausalLM", "unused", {**_GPT, "rotary_dim": 8}),
    Family(
        "GPT-Neo",
        "GPTNeoConfig",
        "GPTNeoForCausalLM",
        "unused",
        {
            "hidden_size": 32,
            "num_layers": 4,
            "num_heads": 2,
            "window_size": 512,
            "max_position_embeddings": 1024,
            "attention_types": [[["global", "local"], 2]],
        },
    ),
    Family("CodeGen", "CodeGenConfig", "CodeGenForCausalLM", "unused", {**_GPT, "n_head": 4, "n_ctx": 1024, "rotary_dim": 8}),
    Family("GPT BigCode", "GPTBigCodeConfig", "GPTBigCodeForCausalLM", "unused", _GPT),
    Family("GPT 1", "OpenAIGPTConfig", "OpenAIGPTLMHeadModel", "none", _GPT),
    Family("OPT", "OPTConfig", "OPTForCausalLM", "eos", {**_BASE, "ffn_dim": 64, "word_embed_proj_dim": 32}),
    Family(
        "OPT 350M's form",
        "OPTConfig",
        "OPTForCausalLM",
        "eos",
        {**_BASE, "ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ),
    Family("BLOOM", "BloomConfig", "BloomForCausalLM", "unused, own pad", {"hidden_size": 32, "n_layer": 4, "n_head": 2}),
    Family("MPT", "MptConfig", "MptForCausalLM", "unused", {"d_model": 32, "n_heads": 2, "n_layers": 4, "max_seq_len": 1024}),
    Family(
        "XGLM",
        "XGLMConfig",
        "XGLMForCausalLM",
        "eos",
        {
            "d_model": 32,
            "ffn_dim": 64,
            "num_layers": 4,
            "attention_heads": 2,
            "max_position_embeddings": 1024,
        },
    ),
    Family("StableLM", "StableLmConfig", "StableLmForCausalLM", "unused", _GROUPED),
    Family("StarCoder 2", "Starcoder2Config", "Starcoder2ForCausalLM", "unused", _GROUPED),
    Family("SmolLM 3", "SmolLM3Config", "SmolLM3ForCausalLM", "unused", _GROUPED),
    Family("Apertus", "ApertusConfig", "ApertusForCausalLM", "bos", _GROUPED),
    Family("Nemotron", "NemotronConfig", "NemotronForCausalLM", "unused, own pad", _GROUPED),
    Family(
        "Nemotron H",
        "NemotronHConfig",
        "NemotronHForCausalLM",
        "bos",
        {
            **{name: value for name, value in _HEADED.items() if name != "num_hidden_layers"},
            "mamba_num_heads": 4,
            "mamba_head_dim": 16,
            "n_groups": 1,
            "ssm_state_size": 8,
            "chunk_size": 16,
            "layers_block_type": ["mamba", "attention", "mamba", "mlp"],
        },
    ),
    Family("InternLM 3", "InternLM3Config", "LlamaForCausalLM", "bos", _HEADED),
    Family(
        "DeepSeek V2",
        "DeepseekV2Config",
        "DeepseekV2ForCausalLM",
        "bos, no pad",
        {
            **_BASE,
            **_LATENT,
            **_ROUTED,
            "num_key_value_heads": 2,
            "first_k_dense_replace": 1,
        },
    ),
    Family(
        "DeepSeek V3",
        "DeepseekV3Config",
        "DeepseekV3ForCausalLM",
        "bos, no pad",
        {
            **_BASE,
            **_LATENT,
            **_ROUTED,
            "num_key_value_heads": 2,
            "first_k_dense_replace": 1,
            "n_group": 2,
            "topk_group": 1,
            "num_mtp_layers": 0,
        },
    ),
    Family("Youtu", "YoutuConfig", "YoutuForCausalLM", "bos", {**_BASE, **_LATENT, "num_key_value_heads": 2}),
    Family(
        "gpt-oss",
        "GptOssConfig",
        "GptOssForCausalLM",
        "none",
        {
            **_HEADED,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": 512,
            "layer_types": _WINDOWS,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
    ),
    Family("GLM", "GlmConfig", "GlmForCausalLM", "none", _HEADED),
    Family("GLM 4", "Glm4Config", "Glm4ForCausalLM", "none", _HEADED),
    Family(
        "GLM 4 MoE",
        "Glm4MoeConfig",
        "Glm4MoeForCausalLM",
        "none",
        {
            **_HEADED,
            **_ROUTED,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            "num_mtp_layers": 0,
        },
    ),
    Family(
        "GLM 4 MoE Lite",
        "Glm4MoeLiteConfig",
        "Glm4MoeLiteForCausalLM",
        "none",
        {
            **_BASE,
            **_LATENT,
            **_ROUTED,
            "num_key_value_heads": 2,
            "n_group": 1,
            "topk_group": 1,
        },
    ),
    Family(
        "EXAONE 4",
        "Exaone4Config",
        "Exaone4ForCausalLM",
        "unused, own pad",
        {
            **_GROUPED,
            "sliding_window": 512,
            "sliding_window_pattern": 2,
            "layer_types": _WINDOWS,
        },
    ),
    Family("Cohere", "CohereConfig", "CohereForCausalLM", "bos", {**_GROUPED, "logit_scale": 0.25}),
    Family(
        "Cohere 2",
        "Cohere2Config",
        "Cohere2ForCausalLM",
        "bos",
        {
            **_GROUPED,
            "logit_scale": 0.25,
            "sliding_window": 512,
            "layer_types": _WINDOWS,
        },
    ),
    Family(
        "Granite",
        "GraniteConfig",
        "GraniteForCausalLM",
        "unused",
        {
            **_GROUPED,
            "logits_scaling": 2.0,
            "embedding_multiplier": 3.0,
            "residual_multiplier": 0.5,
            "attention_multiplier": 0.2,
        },
    ),
    Family(
        "Granite MoE",
        "GraniteMoeConfig",
        "GraniteMoeForCausalLM",
        "unused",
        {
            **_GROUPED,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "logits_scaling": 2.0,
        },
    ),
    Family(
        "Granite 4 hybrid",
        "GraniteMoeHybridConfig",
        "GraniteMoeHybridForCausalLM",
        "unused",
        {
            **_GROUPED,
            **_SSM,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 32,
            "logits_scaling": 2.0,
            "layer_types": ["mamba", "attention"] * 2,
        },
    ),
    Family(
        "Llama 4",
        "Llama4TextConfig",
        "Llama4ForCausalLM",
        "bos",
        {
            **_HEADED,
            "intermediate_size_mlp": 64,
            "num_local_experts": 4,
            "num_experts_per_tok": 1,
            "attention_chunk_size": 512,
        },
    ),
    Family(
        "Mixtral",
        "MixtralConfig",
        "MixtralForCausalLM",
        "bos, no pad",
        {
            **_GROUPED,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
        },
    ),
    Family(
        "Jamba",
        "JambaConfig",
        "JambaForCausalLM",
        "bos",
        {
            **_GROUPED,
            **_EXPERTS,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "use_mamba_kernels": False,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
        },
    ),
    Family("Bamba", "BambaConfig", "BambaForCausalLM", "bos", {**_GROUPED, **_SSM, "attn_layer_indices": [1, 3]}),
    Family(
        "Zamba 2",
        "Zamba2Config",
        "Zamba2ForCausalLM",
        "bos",
        {
            **_GROUPED,
            "n_mamba_heads": 4,
            "mamba_d_state": 8,
            "chunk_size": 16,
            "adapter_rank": 4,
            "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        },
    ),
    Family("Falcon H1", "FalconH1Config", "FalconH1ForCausalLM", "none", {**_HEADED, **_SSM, "mamba_d_ssm": 64}),
    Family(
        "LFM2",
        "Lfm2Config",
        "Lfm2ForCausalLM",
        "bos",
        {
            **_GROUPED,
            "block_multiple_of": 16,
            "layer_types": ["conv", "full_attention"] * 2,
        },
    ),
    Family(
        "LFM2 MoE",
        "Lfm2MoeConfig",
        "Lfm2MoeForCausalLM",
        "bos",
        {
            **_GROUPED,
            **_QWEN_MOE,
            "num_dense_layers": 1,
            "layer_types": ["conv", "full_attention"] * 2,
        },
    ),
    Family("Mamba", "MambaConfig", "MambaForCausalLM", "unused", {**_BARE, "state_size": 8, "use_mambapy": False}),
    Family("Falcon Mamba", "FalconMambaConfig", "FalconMambaForCausalLM", "unused", {**_BARE, "state_size": 8}),
    Family(
        "Mamba 2",
        "Mamba2Config",
        "Mamba2ForCausalLM",
        "unused",
        {
            **_BARE,
            "state_size": 8,
            "num_heads": 4,
            "head_dim": 16,
            "n_groups": 1,
            "chunk_size": 16,
        },
    ),
    Family("RWKV 4", "RwkvConfig", "RwkvForCausalLM", "unused", {"hidden_size": 32, "num_hidden_layers": 4}),
    Family(
        "AFMoE",
        "AfmoeConfig",
        "AfmoeForCausalLM",
        "bos",
        {
            **_HEADED,
            **_QWEN_MOE,
            "num_dense_layers": 1,
            "num_shared_experts": 1,
            "layer_types": _WINDOWS,
        },
    ),
    Family("Arcee", "ArceeConfig", "ArceeForCausalLM", "bos", _GROUPED),
    Family("BitNet", "BitNetConfig", "BitNetForCausalLM", "bos, no pad", _GROUPED),
    Family("ERNIE 4.5", "Ernie4_5Config", "Ernie4_5ForCausalLM", "unused, own pad", _HEADED),
    Family(
        "ERNIE 4.5 MoE",
        "Ernie4_5_MoeConfig",
        "Ernie4_5_MoeForCausalLM",
        "unused, own pad",
        {
            **_GROUPED,
            "moe_num_experts": 4,
            "moe_k": 2,
            "moe_num_shared_experts": 1,
            "moe_intermediate_size": 32,
        },
    ),
    Family("HunYuan dense", "HunYuanDenseV1Config", "HunYuanDenseV1ForCausalLM", "bos", _HEADED),
    Family("Jais 2", "Jais2Config", "Jais2ForCausalLM", "bos", _GROUPED),
    Family(
        "JetMoE",
        "JetMoeConfig",
        "JetMoeForCausalLM",
        "bos",
        {
            **_BARE,
            "intermediate_size": 64,
            "num_key_value_heads": 1,
            "kv_channels": 16,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 1024,
        },
    ),
    Family("Laguna", "LagunaConfig", "LagunaForCausalLM", "bos", {**_HEADED, **_SHARED_EXPERT, "layer_types": _WINDOWS}),
    Family(
        "MiniMax M2",
        "MiniMaxM2Config",
        "MiniMaxM2ForCausalLM",
        "none",
        {
            **_HEADED,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
        },
    ),
    Family(
        "ModernBERT decoder",
        "ModernBertDecoderConfig",
        "ModernBertDecoderForCausalLM",
        "bos",
        {
            **_BASE,
            "local_attention": 512,
            "layer_types": _WINDOWS,
        },
    ),
    Family("NanoChat", "NanoChatConfig", "NanoChatForCausalLM", "bos", _GROUPED),
    Family("Seed-OSS", "SeedOssConfig", "SeedOssForCausalLM", "bos", _HEADED),
)
