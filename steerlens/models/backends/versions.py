"""Checks that TransformerLens has a version whose bridge steerlens can use."""

from importlib.metadata import version
from typing import Any

from packaging.version import Version

from steerlens.errors import ModelError

_FIRST = "4.3"
"""The first version of TransformerLens whose bridge is tested. pyproject.toml has the same version as its lower bound."""


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
