"""Reads the number of a model's blocks without loading the weights, so that a wrong layer is refused at once."""

import json
from pathlib import Path

from steerlens.models.embedded import EMBEDDED
from steerlens.models.gguf_header import read_metadata
from steerlens.models.shape import LAYERS


def layer_count(source: str) -> int | None:
    """Returns the number of a model's blocks, or ``None`` if only loading the model can tell it.

    Args:
        source: the name of an embedded model, a folder in the Hugging Face layout, or a .gguf file. The number is not known for
            other sources, such as ids of the Hugging Face hub.
    """
    if source in EMBEDDED:
        return EMBEDDED[source].n_layers
    path = Path(source)
    try:
        if path.suffix == ".gguf":
            found = {key.rpartition(".")[2]: value for key, value in read_metadata(path).items()}
        else:
            found = json.loads((path / "config.json").read_text(encoding="utf-8"))
            found = found.get("text_config", found)
        return next((found[name] for name in LAYERS if isinstance(found.get(name), int)), None)
    except (OSError, ValueError, AttributeError):
        return None  # loading the model raises an error that explains the problem
