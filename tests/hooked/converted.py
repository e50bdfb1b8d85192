"""Tiny models of Hugging Face's as a ``HookedTransformer``, as ``from_pretrained`` makes one, without its look at the hub."""

from pathlib import Path
from typing import Any

from steerlens.testing.dense import DENSE
from steerlens.testing.family import Family

FAMILIES: dict[str, Family] = {family.name: family for family in DENSE}
_SHAPE = {"n_layers": 4, "d_model": 32, "d_head": 16, "n_heads": 2, "d_vocab": 600, "device": "cpu", "init_weights": False}
_ROTARY = {"positional_embedding_type": "rotary", "rotary_dim": 16, "n_ctx": 1024}
_RMS = {"normalization_type": "RMS", "final_rms": True, "gated_mlp": True, "d_mlp": 64, "n_key_value_heads": 1, "eps": 1e-6}
_LAYER_NORM = {"normalization_type": "LN", "eps": 1e-5}
_GEMMA_2 = {
    **_ROTARY,
    **_RMS,
    "act_fn": "gelu_pytorch_tanh",
    "use_normalization_before_and_after": True,
    "attn_scores_soft_cap": 2.0,
    "output_logits_soft_cap": 3.0,
    "attn_scale": 16.0,
    "use_local_attn": True,
    "window_size": 4096,
    "attn_types": ["local", "global"] * 2,
}
_CONVERTED: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("llama", {**_ROTARY, **_RMS, "act_fn": "silu"}),
    "Gemma 2": ("gemma", _GEMMA_2),
    "GPT-2": ("gpt2", {**_LAYER_NORM, "n_ctx": 1024, "act_fn": "gelu_new"}),
    "GPT-NeoX (Pythia)": (
        "neox",
        {**_LAYER_NORM, **_ROTARY, "rotary_dim": 4, "act_fn": "gelu", "parallel_attn_mlp": True, "d_mlp": 64},
    ),
    "GPT-J": (
        "gptj",
        {
            **_LAYER_NORM,
            **_ROTARY,
            "rotary_dim": 8,
            "rotary_adjacent_pairs": True,
            "act_fn": "gelu_new",
            "parallel_attn_mlp": True,
        },
    ),
    "BLOOM": (
        "bloom",
        {**_LAYER_NORM, "n_ctx": 1024, "positional_embedding_type": "alibi", "act_fn": "gelu_fast", "post_embedding_ln": True},
    ),
}
"""For each family the name of TransformerLens' conversion, and the configuration that ``from_pretrained`` would read."""
_STEPS = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")


def hooked_transformer(name: str, folder: Path, *, tokenizer: Path | None = None, processed: bool = False, **config: Any) -> Any:
    """Returns a family's tiny model as a ``HookedTransformer`` of the installed TransformerLens.

    Args:
        name: the family.
        folder: where its model and tokenizer lie.
        tokenizer: where the tokenizer lies, if not there. Transformers 4 cannot read one that Transformers 5 wrote.
        processed: whether norms are folded and weights centred, as ``from_pretrained`` does; otherwise as
            ``from_pretrained_no_processing``.
        config: fields of the configuration that shall be others.
    """
    import transformers
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained import weight_conversions

    stem, own = _CONVERTED[name]
    model = getattr(transformers, FAMILIES[name].model).from_pretrained(folder).float().eval()
    if stem == "neox" and not hasattr(model, "embed_out"):  # its name in Transformers 4, by which TransformerLens 3.7 reads it
        model.embed_out = model.lm_head
    cfg = HookedTransformerConfig(
        **{**_SHAPE, **own, "original_architecture": FAMILIES[name].model, "model_name": name, **config}
    )
    state = getattr(weight_conversions, f"convert_{stem}_weights")(model, cfg)
    if processed:
        cfg.normalization_type += "Pre"
    hooked = HookedTransformer(cfg, transformers.AutoTokenizer.from_pretrained(tokenizer or folder))
    hooked.load_and_process_state_dict(state, **dict.fromkeys(_STEPS, processed))
    return hooked
