"""Backends: what runs a model. Another one is a file next to ``bridge.py`` with a class that ``Backend`` describes."""

from typing import Any

from steerlens.models.backends.bridge import BridgeBackend
from steerlens.models.backends.hooked import HookedBackend, is_hooked_transformer
from steerlens.models.backends.protocol import Backend, CachedPass, Capabilities, KeyValues

__all__ = ["Backend", "BridgeBackend", "CachedPass", "Capabilities", "HookedBackend", "KeyValues", "backend_of"]


def backend_of(model: Any, name: str = "") -> Any:
    """Returns what runs a model of TransformerLens, or the model itself where it is a backend.

    Args:
        model: a ``TransformerBridge``, a ``HookedTransformer``, or a ``Backend``.
        name: what the model is called; its own name for ``""``.

    Raises:
        ModelError: a model of TransformerLens that is not taken.
    """
    if is_hooked_transformer(model):
        return HookedBackend(model, name)
    return BridgeBackend(model, name) if hasattr(model, "original_model") else model
