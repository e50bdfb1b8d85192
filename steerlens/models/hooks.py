"""The type of a hook, and the names of the hook points that steerlens uses."""

from collections.abc import Callable
from typing import Any

Hook = tuple[str, Callable[..., Any]]
"""The name of a hook point and a function, as in TransformerLens. The function gets the residual stream ``[batch, pos,
d_model]`` and the hook point as the argument ``hook``. The function returns a new residual stream of the same shape, or ``None``
to leave the residual stream unchanged."""


def residual_hook(layer: int) -> str:
    """Returns the name of the hook point after block ``layer``, at which residuals are read and vectors are added."""
    return f"blocks.{layer}.hook_resid_post"
