"""Describes architectures with experts, and architectures whose layers keep a state, either in addition to keys and values or
without keys and values."""

from steerlens.testing.family import (
    ALL_HEADS,
    BARE,
    EXPERTS,
    GROUPED,
    HEADED,
    LATENT,
    LINEAR,
    LOCAL_EXPERTS,
    MIXED_WINDOWS,
    ROUTED,
    SHARED_EXPERT,
    SMALL_EXPERTS,
    STATES,
    VISION,
    Family,
    causal,
)

_CONVOLUTIONS = {"layer_types": ["conv", "full_attention"] * 2}
_FIRST_DENSE = {"first_k_dense_replace": 1}
_GROUPS = {"n_group": 2, "topk_group": 1}
_NO_GROUPS = {"n_group": 1, "topk_group": 1}
_PLAIN_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
_LLAMA_4 = HEADED | {
    "intermediate_size_mlp": 64,
    "num_local_experts": 4,
    "num_experts_per_tok": 1,
    "attention_chunk_size": 512,
}
_LLAMA_4_VISION = VISION | {"vision_output_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32}
_ERNIE = GROUPED | {"moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1, "moe_intermediate_size": 32}
_JETMOE = BARE | LOCAL_EXPERTS | {"num_key_value_heads": 1, "kv_channels": 16, "intermediate_size": 64}
_GRANITE_4 = {"shared_intermediate_size": 32, "logits_scaling": 2.0, "layer_types": ["mamba", "attention"] * 2}
_JAMBA = {"attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False, "mamba_d_state": 8, "mamba_dt_rank": 4}
_ZAMBA = {
    "n_mamba_heads": 4,
    "mamba_d_state": 8,
    "chunk_size": 16,
    "adapter_rank": 4,
    "layers_block_type": ["mamba", "hybrid"] * 2,
}
_NEMOTRON_H = {name: value for name, value in HEADED.items() if name != "num_hidden_layers"} | {
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "n_groups": 1,
    "ssm_state_size": 8,
    "chunk_size": 16,
    "layers_block_type": ["mamba", "attention", "mamba", "mlp"],
}
_RECURRENT_GEMMA = GROUPED | {
    "lru_width": 32,
    "attention_window_size": 512,
    "block_types": ("recurrent", "attention"),
    "w_init_variance_scale": 0.1,
    "max_position_embeddings": None,
}
_INDEXER = {"index_n_heads": 2, "index_head_dim": 16, "head_dim": 8}
_DEEPSEEK_V4 = {"q_lora_rank": 16, "o_lora_rank": 16, "o_groups": 1, "index_n_heads": 2, "index_head_dim": 16}

MIXED: tuple[Family, ...] = (
    causal("Qwen 2 MoE", "Qwen2Moe", "none", GROUPED | SHARED_EXPERT),
    causal("Qwen 3 MoE", "Qwen3Moe", "none", HEADED | SMALL_EXPERTS),
    causal("Qwen 3 Next", "Qwen3Next", "none", HEADED | SHARED_EXPERT | LINEAR),
    Family("Qwen 3.5", "Qwen3_5TextConfig", "Qwen3_5ForCausalLM", "none", HEADED | LINEAR),
    Family("Qwen 3.5 MoE", "Qwen3_5MoeTextConfig", "Qwen3_5MoeForCausalLM", "none", HEADED | SHARED_EXPERT | LINEAR),
    causal("OLMoE", "Olmoe", "unused", GROUPED | EXPERTS),
    causal("OLMo hybrid", "OlmoHybrid", "unused", GROUPED | LINEAR),
    causal("FlexOLMo", "FlexOlmo", "unused", GROUPED | EXPERTS),
    causal("DeepSeek V2", "DeepseekV2", "bos, no pad", ALL_HEADS | LATENT | ROUTED | _FIRST_DENSE),
    causal("DeepSeek V3", "DeepseekV3", "bos, no pad", ALL_HEADS | LATENT | ROUTED | _FIRST_DENSE | _GROUPS),
    causal("DeepSeek V4", "DeepseekV4", "bos", HEADED | ROUTED | _DEEPSEEK_V4),
    causal("gpt-oss", "GptOss", "none", HEADED | LOCAL_EXPERTS | MIXED_WINDOWS | _PLAIN_ROPE),
    causal("GLM 4 MoE", "Glm4Moe", "none", HEADED | ROUTED | _FIRST_DENSE | _NO_GROUPS),
    causal("GLM 4 MoE Lite", "Glm4MoeLite", "none", ALL_HEADS | LATENT | ROUTED | _NO_GROUPS),
    causal("GLM MoE DSA", "GlmMoeDsa", "none", ALL_HEADS | LATENT | ROUTED | _NO_GROUPS | _INDEXER | {"index_topk": 2048}),
    causal("HRM text", "HrmText", "bos", HEADED | {"H_cycles": 1, "L_cycles": 1}),
    causal("Granite MoE", "GraniteMoe", "unused", GROUPED | LOCAL_EXPERTS | {"logits_scaling": 2.0}),
    causal("Granite 4 hybrid", "GraniteMoeHybrid", "unused", GROUPED | STATES | LOCAL_EXPERTS | _GRANITE_4),
    Family("Llama 4", "Llama4TextConfig", "Llama4ForCausalLM", "bos", _LLAMA_4),
    Family(
        "Llama 4 multimodal",
        "Llama4Config",
        "Llama4ForConditionalGeneration",
        "bos",
        _LLAMA_4,
        {"vision_config": _LLAMA_4_VISION},
    ),
    causal("Mixtral", "Mixtral", "bos, no pad", GROUPED | LOCAL_EXPERTS),
    causal("AFMoE", "Afmoe", "bos", HEADED | SMALL_EXPERTS | MIXED_WINDOWS | {"num_dense_layers": 1, "num_shared_experts": 1}),
    causal("ERNIE 4.5 MoE", "Ernie4_5_Moe", "unused, own pad", _ERNIE),
    causal("JetMoE", "JetMoe", "bos", _JETMOE | {"max_position_embeddings": 1024}),
    causal("Laguna", "Laguna", "bos", HEADED | SHARED_EXPERT | MIXED_WINDOWS),
    causal("MiniMax M2", "MiniMaxM2", "none", HEADED | LOCAL_EXPERTS),
    causal("LFM2", "Lfm2", "bos", GROUPED | _CONVOLUTIONS | {"block_multiple_of": 16}),
    causal("LFM2 MoE", "Lfm2Moe", "bos", GROUPED | SMALL_EXPERTS | _CONVOLUTIONS | {"num_dense_layers": 1}),
    causal("Jamba", "Jamba", "bos", GROUPED | EXPERTS | _JAMBA),
    causal("Bamba", "Bamba", "bos", GROUPED | STATES | {"attn_layer_indices": [1, 3]}),
    causal("Zamba 2", "Zamba2", "bos", GROUPED | _ZAMBA),
    causal("Falcon H1", "FalconH1", "none", HEADED | STATES | {"mamba_d_ssm": 64}),
    causal("Nemotron H", "NemotronH", "bos", _NEMOTRON_H),
    causal("RecurrentGemma", "RecurrentGemma", "bos", _RECURRENT_GEMMA),
    causal("Mamba", "Mamba", "unused", BARE | {"state_size": 8}),
    causal("Falcon Mamba", "FalconMamba", "unused", BARE | {"state_size": 8}),
    causal(
        "Mamba 2", "Mamba2", "unused", BARE | {"state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1, "chunk_size": 16}
    ),
    causal("RWKV 4", "Rwkv", "unused", {"hidden_size": 32, "num_hidden_layers": 4}),
)
