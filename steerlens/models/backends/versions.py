"""The versions of TransformerLens that have a bridge with which steerlens can run models."""

from importlib.metadata import version
from typing import Any

from packaging.version import Version

from steerlens.errors import ModelError

_FIRST = "4.3"
"""The first version whose bridge is tested; the lower bound in pyproject.toml."""


def bridge_class() -> Any:
    """Returns TransformerLens' class ``TransformerBridge``.

    Raises:
        ModelError: this TransformerLens is older than the first version whose bridge is tested. Version 2 has no bridge.
    """
    installed = version("transformer-lens")
    if Version(installed) < Version(_FIRST):
        raise ModelError(
            f"TransformerLens {installed} is installed: loading a model by its name or path, or from a TransformerBridge, "
            f"needs version {_FIRST} or later. With versions 2 and 3, make a HookedTransformer and load it with "
            "steerlens.load(HookedTransformer.from_pretrained_no_processing(name))."
        )
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge
