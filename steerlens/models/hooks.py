"""What a hook is, and the names of the hook points that steerlens uses."""

from collections.abc import Callable
from typing import Any

Hook = tuple[str, Callable[..., Any]]
"""A place and a function, as TransformerLens takes them. The function is given the residual stream ``[batch, pos, d_model]`` and
the place as the argument ``hook``; it returns another residual stream of the same shape, or ``None`` to leave it as it is."""


def residual_hook(layer: int) -> str:
    """The name of the place after block ``layer``: where residuals are read and where vectors are added."""
    return f"blocks.{layer}.hook_resid_post"
