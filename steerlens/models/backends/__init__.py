"""Backends: what runs a model. Another one is a file beside ``bridge.py`` with a class that ``Backend`` describes."""

from steerlens.models.backends.bridge import BridgeBackend
from steerlens.models.backends.protocol import Backend, CachedPass, Capabilities, KeyValues

__all__ = ["Backend", "BridgeBackend", "CachedPass", "Capabilities", "KeyValues"]
