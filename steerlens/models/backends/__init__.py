"""Backends run models. A new backend is a file next to ``bridge.py`` with a class that has the methods of ``Backend``."""

from typing import Any

from steerlens.models.backends.bridge import BridgeBackend
from steerlens.models.backends.hooked import HookedBackend, is_hooked_transformer
from steerlens.models.backends.protocol import Backend, CachedPass, Capabilities, KeyValues

__all__ = ["Backend", "BridgeBackend", "CachedPass", "Capabilities", "HookedBackend", "KeyValues", "backend_of"]


def backend_of(model: Any, name: str = "") -> Any:
    """Returns the backend that runs a model of TransformerLens. A model that is a backend already is returned unchanged.

    Args:
        model: a ``TransformerBridge``, a ``HookedTransformer``, or a ``Backend``.
        name: the name of the model; ``""`` uses the model's own name.

    Raises:
        ModelError: steerlens cannot use this model of TransformerLens.
    """
    if is_hooked_transformer(model):
        return HookedBackend(model, name)
    return BridgeBackend(model, name) if hasattr(model, "original_model") else model
