"""Runs passes without TransformerLens' wrappers around the parts of a block that have no hooks.

A bridge wraps every part of a block (attention, its projections, the MLP, norms), so that every part can have hooks. If a part
has no hook, the wrapper returns the same as Hugging Face's module inside the wrapper. But the wrapper's Python code can take
longer than the computation on a GPU. A test checks once for each model that the results are the same. The blocks themselves stay
wrapped, because plans put their hooks on blocks.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from steerlens.models.backends.resuming import attending, stands_on_both
from steerlens.models.backends.watching import only_reads
from steerlens.models.batches import Row, token_batch
from steerlens.models.devices import number_of

if TYPE_CHECKING:
    from steerlens.models.backends.bridge import BridgeBackend

_log = logging.getLogger(__name__)
_FORKS = ("use_split_qkv_input", "use_attn_in", "use_attn_result", "use_hook_mlp_in")
"""Settings of a bridge with which its blocks compute more than Hugging Face's blocks."""
_ALIKE = {torch.float32: 1e-5, torch.float64: 1e-5}
"""The largest relative difference of a final residual that counts as a rounding error. In half precision, the limit is 0.02."""


@dataclass(frozen=True, eq=False)
class _Part:
    """A part of Hugging Face's block that a wrapper has replaced."""

    owner: MutableMapping[str, nn.Module | None]
    """The module dictionary that contains the part."""
    name: str
    wrapper: nn.Module
    own: nn.Module
    """Hugging Face's module."""

    @cached_property
    def _hooks(self) -> tuple[dict[int, Any], ...]:
        points = (self.wrapper, *(child for child in self.wrapper.children() if _is_point(child)))
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        return tuple(getattr(point, kind) for point in points for kind in kinds)

    @property
    def is_hooked(self) -> bool:
        """Whether the wrapper or its hook points have a hook."""
        return any(not only_reads(hook) and not stands_on_both(hook) for hooks in self._hooks if hooks for hook in hooks.values())


class Wrappers:
    """The wrappers around the parts of a bridge's blocks."""

    def __init__(self, backend: "BridgeBackend") -> None:
        self._backend = backend
        self._alike: bool | None = None
        """Whether passes without the wrappers give the same result; ``None`` until this is tested."""

    @cached_property
    def _parts(self) -> list[_Part]:
        return [part for block in self._backend.tl.blocks for part in _parts_of(block.original_component)]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Replaces the wrappers of parts without hooks by Hugging Face's own modules, inside the ``with`` block. If a test showed
        that the modules give other results, nothing is replaced."""
        if self._alike is None:
            self._alike = self._tried()
        removed = [part for part in self._parts if self._may_leave(part)] if self._alike and not self._forks() else []
        try:
            for part in removed:
                part.owner[part.name] = part.own
            yield
        finally:
            for part in removed:
                part.owner[part.name] = part.wrapper

    def _may_leave(self, part: _Part) -> bool:
        return part.owner.get(part.name) is part.wrapper and not part.is_hooked

    def _forks(self) -> bool:
        return self._backend.weight_processing != "none" or any(getattr(self._backend.tl.cfg, name, False) for name in _FORKS)

    def _tried(self) -> bool:
        """Returns whether a few tokens have the same final residuals with the wrappers and without them."""
        try:
            with torch.no_grad(), _unhooked(self._backend.tl.blocks):
                self._alike = False
                expected = _finals(self._backend)
                self._alike = True
                found = _finals(self._backend)
        except Exception as error:  # after any error, the wrappers stay
            _log.debug("%s keeps TransformerLens' wrappers: %r", self._backend.name, error)
            return False
        finally:
            self._alike = None
        return all(map(_same, found, expected))


def _parts_of(module: nn.Module) -> Iterator[_Part]:
    for name, child in list(module._modules.items()):
        own = getattr(child, "original_component", None)
        if child is not None and own is not None:
            yield _Part(module._modules, name, child, own)
        if child is not None:
            yield from _parts_of(own if own is not None else child)


def _is_point(module: nn.Module) -> bool:
    return type(module).__name__ == "HookPoint"


@contextmanager
def _unhooked(blocks: Any) -> Iterator[None]:
    """Removes the hooks from blocks inside the context, because a plan's hooks do not know the roles of the test tokens."""
    points = [point for block in blocks for point in block.children() if _is_point(point)]
    kept = [point._forward_hooks for point in points]
    for point in points:
        point._forward_hooks = OrderedDict()
    try:
        yield
    finally:
        for point, hooks in zip(points, kept, strict=True):
            point._forward_hooks = hooks


def _finals(backend: "BridgeBackend") -> list[Tensor]:
    """Returns the final residuals of a few tokens, from one pass over all tokens, and from a pass that sees the first tokens only
    through their keys and values."""
    rows = [Row(tuple(range(first, first + length))) for first, length in ((1, 6), (4, 5))]
    place = (backend.device, number_of(backend.parameters()))
    whole, after = (token_batch(some, 0, *place) for some in (rows, [row.after(3) for row in rows[:1]]))
    found = [backend.final(whole)]
    first = token_batch([Row(rows[0].prompt[:3], ends=False)], 0, *place)
    with attending(backend, None, 3) as kept:
        found.append(backend.final(first))
    if kept:  # otherwise blocks contain states instead of keys
        with attending(backend, kept, 0):
            found.append(backend.final(after))
    return found


def _same(found: Tensor, expected: Tensor) -> bool:
    allowed = _ALIKE.get(expected.dtype, 0.02)
    return bool((found - expected).float().norm() <= allowed * expected.float().norm())
