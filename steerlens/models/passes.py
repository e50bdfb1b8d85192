"""What runs on a model now: what the tokens of the running pass are, who may run it, and what hooks stand on it.

A steering hook must know of each token whether it stands in front of the prompt (as BOS does), is padding, belongs to the prompt,
is its last one, or follows it. For its own passes steerlens says so. For a pass that somebody else runs it follows from the
token's column, counted from the first token in the key-value cache, from the attention mask, and from where the prompt
ends: ``generate`` is told the prompt, and outside it the pass that begins a text is the prompt.
"""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor

from steerlens.errors import ModelError, PromptError, SettingsError
from steerlens.models.roles import roles_of

_TWO_THREADS = (
    "two threads run this model at once, and one of them has hooks on it that the other's pass would run through. "
    "Run a model in one thread at a time, or load it once for each thread."
)


@dataclass(frozen=True, eq=False)
class SeenPass:
    """A pass that somebody else runs, as the model was called."""

    tokens: Int[Tensor, "batch pos"]
    mask: Tensor | None
    """``[batch, key]``, 1 for a token and 0 for padding; ``None`` if none of this form was given."""
    past: int
    """Tokens in the key-value cache, before those of this pass."""
    prompt: int | None
    """Columns that the prompt takes; ``None`` if nobody said so."""
    kept: int = 0
    """Columns at the end that are unembedded. Blocks that write no keys may be run on these alone; 0 for all."""
    lost: bool = False
    """A generation goes on from what the model keeps in a way that is not known, so the columns are not known either."""


@dataclass(eq=False)
class Generation:
    """What is known of a generation that runs."""

    prompt: int | None = None
    """Columns that the prompt takes; ``None`` until the first pass where nobody said so."""
    first: Tensor | None = None
    """The tokens of its first pass."""


@dataclass(eq=False)
class ModelState:
    """What runs on one model now. One thread at a time runs it."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    owner: int | None = None
    """The thread that holds the lock."""
    depth: int = 0
    """How many of its claims are open."""
    steering: list[int] = field(default_factory=list)
    """The threads of the plans that are applied now, which is one thread."""
    announced: Tensor | None = None
    """Roles of the pass that steerlens itself runs."""
    seen: SeenPass | None = None
    read: tuple[SeenPass, object, Tensor] | None = None
    """What was read off a pass that somebody else runs: the pass, by what it was read, and the roles."""
    counted: "WeakKeyDictionary[Any, tuple[int, Tensor]]" = field(default_factory=WeakKeyDictionary)
    """Of caches that do not know their length: the tokens in it, and those of the last pass."""
    generations: list["Generation"] = field(default_factory=list)
    """Those that run, one inside another."""


def body_of(model: Any) -> Any:
    """The part of a Hugging Face model that gives the final residual: the model without its unembedding."""
    for body in (model.base_model, model.get_decoder()):
        if body is not model:
            return body
    return model.model  # Llama 4's text model names another part as its base


_states: "WeakKeyDictionary[torch.nn.Module, ModelState]" = WeakKeyDictionary()


def state_of(tl: Any) -> ModelState:
    """The state of a bridge's model, the same for all that wrap it."""
    return _states[tl.original_model]


def watch(tl: Any) -> None:
    """Has every pass and every generation of a bridge's model noted, once for all that wrap it."""
    model = tl.original_model
    if model in _states:
        return
    _states[model] = ModelState()
    for module in dict.fromkeys((model, body_of(model), model.get_decoder())):  # OPT calls its decoder past its body
        _states.setdefault(module, _states[model])
        module.register_forward_pre_hook(_note, with_kwargs=True)
    for owner in (model, tl):
        if callable(getattr(owner, "generate", None)) and "generate" not in owner.__dict__:
            owner.__dict__["generate"] = MethodType(_generate, owner)
    _states.setdefault(tl, _states[model])


def is_watcher(hook: object) -> bool:
    """Whether a hook is the one that ``watch`` installed."""
    return hook is _note


def _generate(owner: Any, *args: Any, **settings: Any) -> Any:
    """The owner's own ``generate``, with the prompt's length noted for the passes inside."""
    state = _states.get(owner)
    if state is None:  # a copy of a watched model
        return type(owner).generate(owner, *args, **settings)
    given = next((v for v in (*args[:1], *map(settings.get, ("inputs", "input_ids"))) if isinstance(v, Tensor)), None)
    state.generations.append(Generation(None if given is None or given.ndim != 2 else given.shape[1]))
    try:
        return type(owner).generate(owner, *args, **settings)
    finally:
        state.generations.pop()


def _note(base: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Notes how the model is called, before it runs."""
    state = _states.get(base)
    if state is None:  # a copy of a watched model
        return
    _refuse_another_thread(state)
    if state.owner not in (None, threading.get_ident()):
        raise SettingsError(_TWO_THREADS)
    if state.announced is not None:
        return
    given = _signature(type(base).forward).bind_partial(base, *args, **kwargs).arguments
    given = {**given.get("kwargs", {}), **given}
    tokens, mask = given.get("input_ids"), given.get("attention_mask")
    if tokens is None:
        if hasattr(base, "generate"):  # the whole model; a part of one is given embeddings by the whole
            state.seen = None
        return
    mask = mask if isinstance(mask, Tensor) and mask.ndim == 2 else None
    past = _past(state, given, tokens, mask)
    kept = given.get("logits_to_keep", state.seen.kept if state.seen is not None and state.seen.tokens is tokens else 0)
    prompt, lost = _prompt(state, tokens, past)
    state.seen = SeenPass(tokens, mask, past, prompt, kept if isinstance(kept, int) else 0, lost)


def _prompt(state: ModelState, tokens: Tensor, past: int) -> tuple[int | None, bool]:
    """Where the prompt of the running generation ends, and whether it cannot be known what this pass goes on from."""
    if not state.generations:
        return None, False
    running = state.generations[-1]
    if running.first is None:
        running.first, running.prompt = tokens, running.prompt or tokens.shape[1]
    again = running.first is not tokens and past == 0  # of later passes, only those of the whole text begin without a cache
    return running.prompt, again and running.prompt is not None and tokens.shape[1] < running.prompt


@cache
def _signature(forward: Any) -> inspect.Signature:
    return inspect.signature(forward)


def _past(state: ModelState, given: dict[str, Any], tokens: Tensor, mask: Tensor | None) -> int:
    """How many tokens the cache holds."""
    held = next((given[name] for name in ("past_key_values", "cache_params") if given.get(name) is not None), None)
    masked = max(0, mask.shape[1] - tokens.shape[1]) if mask is not None else 0
    if held is None or masked:  # a mask spans the cached tokens too; caches of several kinds of layers may miscount
        return masked
    with suppress(ValueError, AttributeError):
        return int(held.get_seq_length())
    # A cache of states alone, as Mamba's, does not know: its passes are counted.
    before, last = state.counted.get(held, (None, None))
    if last is tokens and state.seen is not None:  # the same pass, noted by the model and now by its body
        return state.seen.past
    if before is None:
        begun = any(any(getattr(layer, "has_previous_state", {}).values()) for layer in getattr(held, "layers", ()))
        before = state.seen.past + state.seen.tokens.shape[1] if begun and state.seen is not None else 0
    state.counted[held] = (before + tokens.shape[1], tokens)
    return before


@contextmanager
def announced(tl: Any, roles: Int[Tensor, "batch pos"]) -> Iterator[None]:
    """Says what the tokens of the passes inside are."""
    state = state_of(tl)
    before, state.announced = state.announced, roles
    try:
        yield
    finally:
        state.announced = before


def running_roles(
    state: ModelState, shape: tuple[int, int], front: tuple[int, ...], bos_id: int | None, pad_id: int | None
) -> Int[Tensor, "batch pos"]:
    """What each token of the running pass is.

    Args:
        shape: batch and positions of the residual stream that a hook was given.
        front, bos_id, pad_id: as the fingerprint has them.

    Raises:
        PromptError: the pass was not run from token ids, or several tokens go on from a cache and nobody said where the
            prompt ends.
    """
    if state.announced is not None:
        roles = state.announced
    elif state.seen is None:
        roles = None
    else:
        seen = state.seen
        if seen.lost:
            raise PromptError(
                "the model keeps what came before in a way that steerlens does not know, so it cannot be told which tokens of "
                "this generation are steered. Generate with use_cache=False."
            )
        if seen.prompt is None and seen.past and seen.tokens.shape[1] > 1:
            raise PromptError(
                f"{seen.tokens.shape[1]} tokens go on from a key-value cache of {seen.past}: whether they belong to the prompt "
                "or were generated cannot be known. Wrap your loop in steerlens.models.prompt_of(model, length), with the "
                "prompt's length in tokens, padding included; or use model.generate."
            )
        key = (front, bos_id, pad_id)
        if state.read is None or state.read[0] is not seen or state.read[1] != key:  # once a pass, not once a layer
            found = roles_of(seen.tokens, front, bos_id, pad_id, mask=seen.mask, past=seen.past, prompt=seen.prompt)
            state.read = (seen, key, found)
        roles = state.read[2]
        if seen.kept and shape[1] == seen.kept < roles.shape[1]:
            roles = roles[:, -seen.kept :]
    if roles is None or tuple(roles.shape) != shape:
        raise PromptError(
            "the steering hook did not see this pass's tokens, so it cannot tell what stands in front of the prompt and padding "
            "from text: run the pass from token ids or text, through the model or its TransformerBridge."
        )
    return roles


@contextmanager
def prompt_of(model: Any, length: int) -> Iterator[None]:
    """Says where the prompt ends in passes of your own that go on from a key-value cache.

    ``model.generate``, ``model.tl.generate`` and Hugging Face's ``generate`` need no such help.

    Args:
        model: a ``LensModel``.
        length: tokens of the prompt, what stands in front and padding included. Tokens from this column on count as generated.

    Raises:
        SettingsError: a length below 1.
    """
    if length < 1:
        raise SettingsError(f"a prompt of {length} tokens given: expected at least 1.")
    state = state_of(model.tl)
    state.generations.append(Generation(int(length)))
    try:
        yield
    finally:
        state.generations.pop()


@contextmanager
def claimed(tl: Any) -> Iterator[None]:
    """Lets one thread at a time run the model with hooks of its own; another one waits.

    Raises:
        SettingsError: a plan is applied in another thread, so that these passes would be steered by it.
        ModelError: the model is in training mode, in which dropout makes its numbers random.
    """
    state = state_of(tl)
    _refuse_another_thread(state)
    with state.lock:
        _refuse_another_thread(state)
        if not state.depth and any(module.training for module in tl.original_model.modules()):
            raise ModelError(
                "the model, or a part of it, is in training mode: dropout would make its residuals random. Call "
                "model.tl.eval() first."
            )
        state.depth, state.owner = state.depth + 1, threading.get_ident()
        try:
            yield
        finally:
            state.depth -= 1
            state.owner = state.owner if state.depth else None


@contextmanager
def steered_here(tl: Any) -> Iterator[None]:
    """Keeps other threads from running the model while a plan is applied in this one.

    Raises:
        SettingsError: a plan is applied in another thread.
        ModelError: the model is in training mode.
    """
    state = state_of(tl)
    with claimed(tl):
        state.steering.append(threading.get_ident())
    try:
        yield
    finally:
        state.steering.pop()


def _refuse_another_thread(state: ModelState) -> None:
    if state.steering and state.steering[-1] != threading.get_ident():
        raise SettingsError(
            "a plan is applied to this model in another thread, which would steer this pass too. Apply plans and run the model "
            "in one thread, or load the model once for each thread."
        )


def of_this_thread(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that refuses the passes of other threads, which it was not installed for.

    Raises:
        SettingsError: from the hook, in a pass of another thread.
    """
    owner = threading.get_ident()

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != owner:
            raise SettingsError(_TWO_THREADS)
        return hook(*args, **kwargs)

    return guarded


def hooks_on(tl: Any) -> tuple[object, ...]:
    """Every hook that stands on the model now, but for the one that notes passes: what numbers that are kept depend on."""
    modules = dict.fromkeys((*tl.modules(), *tl.original_model.modules()))
    return tuple(
        hook
        for module in modules
        for hooks in (module._forward_pre_hooks, module._forward_hooks)
        for hook in hooks.values()
        if not is_watcher(hook)
    )
