"""Records every pass and every generation of a ``HookedTransformer``, so that hooks know the roles of the tokens.

``run_with_hooks`` and ``generate`` call ``forward`` directly, without PyTorch's module hooks, so ``forward`` is wrapped. In its
passes, ``generate`` uses embeddings instead of tokens (TransformerLens 2.16 and 3.7). So the tokens that were embedded since the
start of ``generate`` are recorded too.
"""

import inspect
import threading
from functools import cache
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor

from steerlens.errors import SettingsError
from steerlens.models.backends.watching import modules_of
from steerlens.models.passes import TWO_THREADS, Generation, ModelState, SeenPass, refuse_another_thread

_states: "WeakKeyDictionary[torch.nn.Module, ModelState]" = WeakKeyDictionary()
_embedded: "WeakKeyDictionary[torch.nn.Module, list[Tensor]]" = WeakKeyDictionary()
"""The tokens of the prompt and the tokens generated so far, for each model that is generating. The key is the embedding of the
model."""


def watch(tl: Any) -> ModelState:
    """Starts to record every pass and every generation of a ``HookedTransformer``, once for all objects that wrap the model.

    Returns:
        The state with the records. All objects that wrap the model share this state.
    """
    if tl not in _states:
        _states[tl] = ModelState()
        tl.embed.register_forward_pre_hook(_note_tokens)
        tl.__dict__["forward"] = MethodType(_forward, tl)
        tl.__dict__["generate"] = MethodType(_generate, tl)
    return _states[tl]


def hooks_on(tl: Any) -> tuple[object, ...]:
    """Returns every hook that was put on a ``HookedTransformer``, except the hook that records tokens."""
    kinds = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")
    each = (hook for module in modules_of(tl) for kind in kinds for hook in getattr(module, kind).values())
    return tuple(hook for hook in each if hook is not _note_tokens)


def _forward(tl: Any, *args: Any, **kwargs: Any) -> Any:
    """Runs the model's own ``forward``, and records the pass while it runs."""
    state = _states.get(tl)
    if state is None:  # a copy of a watched model
        return type(tl).forward(tl, *args, **kwargs)
    refuse_another_thread(state)
    if state.owner not in (None, threading.get_ident()):
        raise SettingsError(TWO_THREADS)
    if state.announced is not None:
        return type(tl).forward(tl, *args, **kwargs)
    state.seen = _seen(tl, state, _signature(type(tl).forward).bind_partial(tl, *args, **kwargs).arguments)
    try:
        return type(tl).forward(tl, *args, **kwargs)
    finally:
        state.seen = None


def _generate(tl: Any, *args: Any, **settings: Any) -> Any:
    """Runs the model's own ``generate``, and records the prompt's tokens for the passes inside."""
    state = _states.get(tl)
    if state is None:  # a copy of a watched model
        return type(tl).generate(tl, *args, **settings)
    state.generations.append(Generation())
    before, _embedded[tl.embed] = _embedded.get(tl.embed), []
    try:
        return type(tl).generate(tl, *args, **settings)
    finally:
        state.generations.pop()
        if before is None:
            del _embedded[tl.embed]
        else:
            _embedded[tl.embed] = before


def _note_tokens(embed: Any, args: tuple[Any, ...]) -> None:
    """Records the tokens that are embedded while the model generates."""
    if embed in _embedded:
        _embedded[embed].append(args[0])


def _seen(tl: Any, state: ModelState, given: dict[str, Any]) -> SeenPass | None:
    """Returns the record of a pass that other code runs, or ``None`` if the tokens of the pass are not known."""
    held, mask = given.get("past_kv_cache"), given.get("attention_mask")
    past = 0 if held is None else int(held[0].past_keys.shape[1])
    tokens = _tokens(tl, given, past)
    if tokens is None:
        return None
    prompt = None
    if state.generations:
        running = state.generations[-1]
        running.prompt = running.prompt or past + tokens.shape[1]
        prompt = running.prompt
    if mask is not None and held is not None and mask.shape[1] == tokens.shape[1]:  # the cache has the earlier mask
        mask = torch.cat([held.previous_attention_mask.to(mask), mask], dim=1)
    if mask is not None and mask.shape[1] != past + tokens.shape[1]:
        mask = None
    return SeenPass(tokens, mask, past, prompt)


def _tokens(tl: Any, given: dict[str, Any], past: int) -> Int[Tensor, "batch pos"] | None:
    """Returns the tokens of a pass: its input tokens, the tokens of its input texts, or the tokens of a generation that belong to
    the columns of the pass."""
    entering, first = given["input"], given.get("start_at_layer")
    if first is not None:
        embedded = _embedded.get(tl.embed)
        return torch.cat(embedded, dim=1)[:, past : past + entering.shape[1]] if embedded and first == 0 else None
    if not isinstance(entering, Tensor):
        settings = {name: given[name] for name in ("prepend_bos", "padding_side") if name in given}
        return tl.to_tokens(entering, **settings)
    return entering if entering.ndim == 2 else entering[None]


@cache
def _signature(forward: Any) -> inspect.Signature:
    return inspect.signature(forward)
