"""Describes models that take images or sounds and write text, with the smallest possible vision and audio towers. The checks
give these models only text."""

from typing import Any

from steerlens.testing.family import GEMMA_4, GROUPED, HEADED, LINEAR, SHARED_EXPERT, SMALL_EXPERTS, VISION, Family

_TURNED: dict[str, Any] = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}}
"""The settings of rotary positions with parts for time, height and width."""
_TOWER: dict[str, Any] = {"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
_STACKED = _TOWER | {"deepstack_visual_indexes": [0]}
_SOUND: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
_QWEN_2_SOUND: dict[str, Any] = {"d_model": 16, "encoder_ffn_dim": 32, "encoder_layers": 1, "encoder_attention_heads": 2}
_SMALL_CODES: dict[str, Any] = {"base_channels": 32, "hidden_size": 32, "channel_multiplier": [1, 1], "attn_resolutions": []}
_MUSE = GROUPED | {
    "head_dim": 16,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "layer_rope_theta": [10000.0, 0] * 2,
}
_MUSE_VISION = VISION | {"layer_types": ["full_attention"], "pos_emb_height": 2, "pos_emb_width": 2}


def _seeing(name: str, stem: str, text: dict[str, Any], vision: dict[str, Any], front: Any = "bos") -> Family:
    """Returns the architecture with the classes ``{stem}Config`` and ``{stem}ForConditionalGeneration`` and a vision tower."""
    return Family(name, f"{stem}Config", f"{stem}ForConditionalGeneration", front, text, {"vision_config": vision})


def _hearing(name: str, stem: str, text: str, sound: dict[str, Any]) -> Family:
    """Returns the architecture with the classes ``{stem}Config`` and ``{stem}ForConditionalGeneration``, an audio tower and a
    text model of a given type."""
    own = GROUPED | {"model_type": text}
    return Family(name, f"{stem}Config", f"{stem}ForConditionalGeneration", "none", own, {"audio_config": sound})


COMPOSED: tuple[Family, ...] = (
    _seeing("LLaVA", "Llava", GROUPED | {"model_type": "llama"}, VISION | {"model_type": "clip_vision_model"}),
    _seeing("LLaVA NeXT", "LlavaNext", GROUPED | {"model_type": "llama"}, VISION | {"model_type": "clip_vision_model"}),
    _seeing(
        "LLaVA OneVision", "LlavaOnevision", GROUPED | {"model_type": "qwen2"}, VISION | {"model_type": "siglip_vision_model"}
    ),
    _seeing("Idefics 3", "Idefics3", GROUPED | {"model_type": "llama"}, VISION),
    _seeing("Qwen 2.5 VL", "Qwen2_5_VL", GROUPED | _TURNED, _TOWER | {"fullatt_block_indexes": [0]}, "none"),
    _seeing("Qwen 3 VL", "Qwen3VL", HEADED | _TURNED, _STACKED, "none"),
    _seeing("Qwen 3 VL MoE", "Qwen3VLMoe", HEADED | SMALL_EXPERTS | _TURNED, _STACKED, "none"),
    _seeing("Qwen 3.5 multimodal", "Qwen3_5", HEADED | LINEAR, _TOWER, "none"),
    _seeing("Qwen 3.5 MoE multimodal", "Qwen3_5Moe", HEADED | SHARED_EXPERT | LINEAR, _TOWER, "none"),
    _seeing("GLM 4V", "Glm4v", HEADED | _TURNED, _TOWER, "none"),
    _seeing("Muse Glimmer", "MuseGlimmer", _MUSE, _MUSE_VISION),
    Family("Gemma 4 unified", "Gemma4UnifiedConfig", "Gemma4UnifiedForConditionalGeneration", "bos", GEMMA_4, {}),
    Family(
        "Emu 3",
        "Emu3Config",
        "Emu3ForConditionalGeneration",
        "bos",
        GROUPED,
        {"vocabulary_map": {"<image>": 3}, "vq_config": _SMALL_CODES},
    ),
    _hearing("Qwen 2 Audio", "Qwen2Audio", "qwen2", _QWEN_2_SOUND),
    _hearing("Audio Flamingo 3", "AudioFlamingo3", "qwen2", _SOUND),
    _hearing("Music Flamingo", "MusicFlamingo", "qwen2", _SOUND | {"model_type": "audioflamingo3_encoder"}),
    _hearing("GLM ASR", "GlmAsr", "llama", _SOUND),
)
