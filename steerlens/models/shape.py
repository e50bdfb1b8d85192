"""Checks the shape of a model in its configuration, before a model of this shape is created.

Transformers creates the full model before it notices that the weights have another shape. So with a wrong number in a small
configuration file, loading could use all memory or take hours.
"""

from collections.abc import Mapping
from typing import Any

LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers", "decoder_layers", "block_count")
_WIDTH = ("hidden_size", "n_embd", "d_model", "embedding_length")
_OTHERS = (
    *("vocab_size", "intermediate_size", "ffn_dim", "n_inner", "d_ff", "moe_intermediate_size", "feed_forward_length"),
    *("num_attention_heads", "n_head", "head_dim", "head_count"),
)
"""The names of the number of blocks, of the width, and of other dimensions of weights. Hugging Face's configurations and GGUF
metadata use these names."""
_MOST = 2_000
"""The largest number of blocks that is accepted. No known model has so many blocks."""
_WEIGHTS = 8
"""The largest number of weights that any quantization stores in one byte."""


def check_shape(settings: Mapping[str, Any], size: int | None) -> None:
    """Refuses a shape with more weights than a file of ``size`` bytes can contain, or with more blocks than any model has.

    Args:
        settings: the values of a configuration, or of a part of a configuration, by name.
        size: the number of bytes of the weights; ``None`` if it is not known.

    Raises:
        ValueError: the shape is refused.
    """
    for name in LAYERS:
        if _number(settings, name) > _MOST:
            raise ValueError(f"{name} is {settings[name]!r:.40}, but at most {_MOST:,} was expected")
    width = max((_number(settings, name) for name in _WIDTH), default=0)
    for name in (*LAYERS, *_OTHERS):
        if size is not None and width * _number(settings, name) > _WEIGHTS * size:
            raise ValueError(
                f"{name} is {settings[name]!r:.40} and the width is {width}, but {size:,} bytes of weights are too few for "
                "this shape"
            )


def _number(settings: Mapping[str, Any], name: str) -> int:
    found = settings.get(name)
    return found if isinstance(found, int) else 0
