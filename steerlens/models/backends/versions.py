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
            f"TransformerLens {installed} is installed: names, paths and bridges need {_FIRST} or later. Of versions 2 and 3 a "
            "HookedTransformer is taken: steerlens.load(HookedTransformer.from_pretrained_no_processing(name))."
        )
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge
