"""Cuts the arguments of a block to the last columns of a batch, and repeats the arguments for copies of the batch. The residual
stream is not one of these arguments.

The name of an argument decides how the argument is changed. The shape of an argument never decides this.
"""

import inspect
from collections import UserDict
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

Arguments = dict[str, Any]
"""A block's arguments by name, without its residual stream."""

_BY_TOKEN = {"position_ids", "position_embeddings", "per_layer_input", "original_hidden_states", "mamba_attention_mask"}
"""Names of arguments ``[row, pos, …]``, with one value for each token. If an argument has a single row, the row applies to all
rows of the batch."""
_MASKS = {"attention_mask", "causal_mask"}
"""Names of arguments ``[row, 1 or head, query, key]``, or ``[row, pos]`` if a block keeps a state."""
_BY_COLUMN = {"cache_position"}
"""Names of arguments ``[pos]``, with one value for each column."""
_BY_KEY = {"alibi"}
"""Names of arguments ``[row x head, 1, key]``, with one value for each token that is attended to."""
_WHOLE = {"position_bias"}
"""Names of arguments ``[head, 1, key]``, with the same values for all rows and columns."""
_SHARED = {"shared_kv_states"}
"""The name of the argument with keys and values that blocks share. Blocks that run again write their keys and values into this
argument."""


def named(block: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Returns a call's arguments by their names in the block's own ``forward``, without the residual stream.

    Args:
        block: a block of a bridge.
        args: the positional arguments of the call. The first positional argument, if any, is the residual stream.
        kwargs: the named arguments of the call.

    Raises:
        NotImplementedError: there are more positional arguments than names.
    """
    known = _names(type(block.original_component).forward)  # TransformerLens may have put another forward on the module itself
    if len(args) > max(1, len(known)):
        raise NotImplementedError(
            f"a block was called with {len(args)} positional arguments, but its forward method has names for only {len(known)} "
            f"({', '.join(known)}). The meaning of the other arguments is not known."
        )
    given = {**dict(zip(known[1:], args[1:], strict=False)), **kwargs}
    return {name: value for name, value in given.items() if name != "hidden_states"}


@cache
def _names(forward: Callable[..., Any]) -> tuple[str, ...]:
    """Returns the names of a method's positional arguments, without ``self``."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in inspect.signature(forward).parameters.values() if p.kind in kinds)[1:]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Cuts a block's arguments to the columns from ``start`` on, and repeats them for copies of the batch."""

    start: int
    length: int
    """The number of columns of the batch."""
    rows: int
    copies: int
    done: dict[tuple[str, int], tuple[Any, Any]] = field(default_factory=dict)
    """The cut and repeated values, by the argument's name and the identity of the original value. The original value is kept in
    memory too, so that Python gives its ``id`` to no other value. Blocks share their masks, so each mask is cut only once."""

    def grown(self, copies: int) -> "Fitted":
        """Returns a ``Fitted`` for more copies. The current copies come first, and the keys and values that blocks wrote for them
        are kept."""
        more = replace(self, copies=copies, done={})
        for key, (recorded, running) in self.done.items():
            if isinstance(recorded, UserDict):
                more.done[key] = (recorded, _joined(running, more._shared(recorded), self.copies, copies))
        return more

    def __call__(self, arguments: Arguments) -> Arguments:
        """Returns the arguments, cut to the columns and repeated for the copies of the pass.

        Raises:
            NotImplementedError: a tensor has an unknown name, or does not have the shape that belongs to its name.
        """
        return {name: self._value(name, value) for name, value in arguments.items()}

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, tuple | list):
            return type(value)(self._value(name, part) for part in value)
        if isinstance(value, UserDict) and name in _SHARED:
            return self._once(name, value, self._shared)
        if isinstance(value, dict):
            return {key: self._value(name, part) for key, part in value.items()}
        if not isinstance(value, Tensor) or (not self.start and self.copies == 1):
            return value
        return self._once(name, value, partial(self._tensor, name))

    def _once(self, name: str, value: Any, fit: Callable[[Any], Any]) -> Any:
        if (name, id(value)) not in self.done:
            self.done[name, id(value)] = (value, fit(value))
        return self.done[name, id(value)][1]

    def _tensor(self, name: str, value: Tensor) -> Tensor:
        if name in _WHOLE:
            return value
        if name in _BY_KEY:
            return value.repeat(self.copies, *[1] * (value.ndim - 1))
        if name in _BY_COLUMN:
            return value[self.start :]
        if name in _MASKS and value.ndim == 4 and value.shape[2] in (1, self.length):
            return self._repeated(value[:, :, self.start :] if value.shape[2] > 1 else value)
        if name in _MASKS | _BY_TOKEN and value.ndim in (2, 3) and value.shape[1] == self.length:
            return self._repeated(value[:, self.start :])
        raise NotImplementedError(
            f"a block was given a tensor {name!r} of shape {tuple(value.shape)} in a batch of {self.rows} rows and "
            f"{self.length} columns, but steerlens does not know which part of this tensor belongs to which token. The known "
            f"names are {', '.join(sorted(_KNOWN))}."
        )

    def _repeated(self, value: Tensor) -> Tensor:
        if len(value) != self.rows:  # a single row is used for all rows
            return value
        return (
            value.repeat(self.copies, *[1] * (value.ndim - 1)) if self.rows > 1 else value.expand(self.copies, *value.shape[1:])
        )

    def _shared(self, value: UserDict) -> UserDict:
        """Returns a copy of the shared keys and values for one pass, so that the recorded value does not change. The keys and
        values of all tokens are kept, because the tokens of the last columns attend to all of them."""
        copied = copy(value)
        for name, pair in value.items():
            copied[name] = tuple(part.repeat(self.copies, *[1] * (part.ndim - 1)) for part in pair)
        return copied


def _joined(running: UserDict, repeated: UserDict, before: int, copies: int) -> UserDict:
    """Returns the keys and values that blocks wrote for the first copies, followed by the recorded keys and values of the new
    copies.

    Args:
        running: the keys and values that blocks wrote for the first copies.
        repeated: the recorded keys and values for all copies. ``repeated`` is a new object, which is filled in and returned.
        before: the number of the first copies.
        copies: the number of all copies.
    """
    for name, pair in running.items():
        new = [whole[before * len(whole) // copies :] for whole in repeated[name]]
        repeated[name] = tuple(torch.cat(both) for both in zip(pair, new, strict=True))
    return repeated


_KNOWN = _BY_TOKEN | _MASKS | _BY_COLUMN | _BY_KEY | _WHOLE | _SHARED
