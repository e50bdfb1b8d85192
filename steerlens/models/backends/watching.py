"""Records every pass and every generation of a Hugging Face model, so that hooks know the roles of the tokens."""

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from steerlens.errors import SettingsError
from steerlens.models.passes import TWO_THREADS, Generation, ModelState, SeenPass, refuse_another_thread


def body_of(model: Any) -> Any:
    """Returns the part of a Hugging Face model that returns the final residual: the model without its unembedding."""
    for body in (model.base_model, model.get_decoder()):
        if body is not model:
            return body
    return model.model  # Llama 4's text model names another part as its base


_READERS = ("transformers.utils.output_capturing", "transformer_lens.model_bridge.generalized_components")
"""The Python modules whose hooks only read what a model computes and change nothing."""
_states: "WeakKeyDictionary[torch.nn.Module, ModelState]" = WeakKeyDictionary()


def watch(tl: Any) -> ModelState:
    """Starts to record every pass and every generation of a bridge's model, once for all objects that wrap the model.

    Returns:
        The state with the records. All objects that wrap the model share this state.
    """
    model = tl.original_model
    if model in _states:
        return _states[model]
    _states[model] = ModelState()
    for module in dict.fromkeys((model, body_of(model), model.get_decoder())):  # OPT calls its decoder without its body
        _states.setdefault(module, _states[model])
        module.register_forward_pre_hook(_note, with_kwargs=True)
    for owner in (model, tl):
        if callable(getattr(owner, "generate", None)) and "generate" not in owner.__dict__:
            owner.__dict__["generate"] = MethodType(_generate, owner)
    _states.setdefault(tl, _states[model])
    return _states[model]


@contextmanager
def watched(model: Any) -> Iterator[ModelState]:
    """Records every pass and every generation of a Hugging Face model inside the ``with`` block, and removes its own hooks
    afterwards.

    Args:
        model: the model itself, without a bridge.

    Yields:
        The state with the records. If the model's passes are recorded already, as in a bridge, this is the existing state, and
            recording continues after the ``with`` block.
    """
    if model in _states:
        yield _states[model]
        return
    state, handles, own = ModelState(), [], model.__dict__.get("generate")
    parts = dict.fromkeys((model, body_of(model), model.get_decoder()))
    try:
        for part in parts:
            _states[part] = state
            handles.append(part.register_forward_pre_hook(_note, with_kwargs=True))
        if callable(getattr(model, "generate", None)):
            model.__dict__["generate"] = MethodType(partial(_generate, _own=own), model)
        yield state
    finally:
        model.__dict__.pop("generate", None)
        if own is not None:
            model.__dict__["generate"] = own
        for part in parts:
            _states.pop(part, None)
        for handle in handles:
            handle.remove()


def only_reads(hook: object) -> bool:
    """Returns whether a hook changes nothing. This is true for the hook that ``watch`` installs, and for hooks with which a
    library reads the outputs of modules."""
    return hook is _note or str(getattr(hook, "__module__", "")).startswith(_READERS)


def _generate(owner: Any, *args: Any, _own: Any = None, **settings: Any) -> Any:
    """Runs the original ``generate`` of a model or bridge, and records the prompt's length for the passes inside. The original
    ``generate`` is the method of the class, or a function that was set on this object alone."""
    generate, state = _own or MethodType(type(owner).generate, owner), _states.get(owner)
    if state is None:  # a copy of a watched model
        return generate(*args, **settings)
    given = next((v for v in (*args[:1], *map(settings.get, ("inputs", "input_ids"))) if isinstance(v, Tensor)), None)
    state.generations.append(Generation(None if given is None or given.ndim != 2 else given.shape[1]))
    try:
        return generate(*args, **settings)
    finally:
        state.generations.pop()


def _note(base: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Records the arguments of a call of the model, before the call runs."""
    state = _states.get(base)
    if state is None:  # a copy of a watched model
        return
    refuse_another_thread(state)
    if state.owner not in (None, threading.get_ident()):
        raise SettingsError(TWO_THREADS)
    if state.announced is not None:
        return
    given = _signature(type(base).forward).bind_partial(base, *args, **kwargs).arguments
    given = {**given.get("kwargs", {}), **given}
    tokens, mask = given.get("input_ids"), given.get("attention_mask")
    if tokens is None:
        if hasattr(base, "generate"):  # the whole model; the whole model gives embeddings to its parts
            state.seen = None
        return
    mask = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
    past = _past(state, given, tokens, mask)
    kept = given.get("logits_to_keep", state.seen.kept if state.seen is not None and state.seen.tokens is tokens else 0)
    prompt, lost = _prompt(state, tokens, past)
    state.seen = SeenPass(tokens, mask, past, prompt, kept if isinstance(kept, int) else 0, lost)


def _prompt(state: ModelState, tokens: Tensor, past: int) -> tuple[int | None, bool]:
    """Returns the column at which the prompt of the running generation ends, and whether the tokens before this pass are
    unknown."""
    if not state.generations:
        return None, False
    running = state.generations[-1]
    if running.first is None:
        running.first, running.prompt = tokens, running.prompt or tokens.shape[1]
    again = running.first is not tokens and past == 0  # a later pass begins without a cache only if it runs the whole text
    return running.prompt, again and running.prompt is not None and tokens.shape[1] < running.prompt


@cache
def _signature(forward: Any) -> inspect.Signature:
    return inspect.signature(forward)


def _past(state: ModelState, given: dict[str, Any], tokens: Tensor, mask: Tensor | None) -> int:
    """Returns the number of tokens in the cache."""
    held = next((given[name] for name in ("past_key_values", "cache_params") if given.get(name) is not None), None)
    masked = max(0, mask.shape[1] - tokens.shape[1]) if mask is not None else 0
    if held is None or masked:  # a mask spans the cached tokens too; caches of several kinds of layers may miscount
        return masked
    with suppress(ValueError, AttributeError):
        return int(held.get_seq_length())
    # A cache that contains only states, such as Mamba's, does not know its length, so its tokens are counted.
    before, last = state.counted.get(held, (None, None))
    if last is tokens and state.seen is not None:  # the same pass, noted by the model and now by its body
        return state.seen.past
    if before is None:
        begun = any(any(getattr(layer, "has_previous_state", {}).values()) for layer in getattr(held, "layers", ()))
        before = state.seen.past + state.seen.tokens.shape[1] if begun and state.seen is not None else 0
    state.counted[held] = (before + tokens.shape[1], tokens)
    return before


def modules_of(*roots: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Yields every module once, in the order of ``Module.modules``. The function is several times as fast as ``Module.modules``,
    because it builds no names."""
    seen: set[torch.nn.Module] = set()
    for root in roots:
        left: list[torch.nn.Module | None] = [root]
        while left:
            module = left.pop()
            if module is not None and module not in seen:
                seen.add(module)
                yield module
                left += reversed(module._modules.values())


def hooks_on(tl: Any) -> tuple[object, ...]:
    """Returns every hook that was put on the model. Cached results depend on these hooks.

    Hooks of libraries that only read, and the hook that records passes, are left out.
    """
    return tuple(
        hook
        for module in modules_of(tl, tl.original_model)
        for hooks in (module._forward_pre_hooks, module._forward_hooks, module._backward_hooks)
        if hooks
        for hook in hooks.values()
        if not only_reads(hook)
    )
