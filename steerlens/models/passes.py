"""Keeps track of the pass that is running on a model: the roles of its tokens, and the thread that may run it.

A steering hook must know the role of each token. A token is in front of the prompt (such as BOS), padding, part of the prompt,
the prompt's last token, or after the prompt. For its own passes, steerlens announces the roles. For a pass that other code runs,
the role follows from the token's column, the attention mask, and the end of the prompt. Columns are counted from the first token
in the key-value cache. In ``generate``, the prompt is known. Outside ``generate``, the pass that begins a text counts as the
prompt.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from jaxtyping import Int
from torch import Tensor

from steerlens.errors import ModelError, PromptError, SettingsError
from steerlens.models.roles import roles_of

TWO_THREADS = (
    "two threads are running this model at the same time, and hooks of one thread would change the results of the other thread. "
    "Run a model in one thread at a time, or load the model once for each thread."
)
"""The error for a thread whose pass would run through another thread's hooks."""


@dataclass(frozen=True, eq=False)
class SeenPass:
    """A pass that other code runs, with the arguments of the call."""

    tokens: Int[Tensor, "batch pos"]
    mask: Tensor | None
    """The attention mask ``[batch, key]``: 1 for a token and 0 for padding. ``None`` if no mask of this shape was given."""
    past: int
    """The number of tokens in the key-value cache, before the tokens of this pass."""
    prompt: int | None
    """The number of columns of the prompt; ``None`` if it is not known."""
    kept: int = 0
    """The number of last columns that are unembedded; 0 means all columns. Blocks that write no keys may run on the unembedded
    columns only."""
    lost: bool = False
    """Whether a generation continues from a cache of an unknown form. In this case, the columns of the tokens are not known."""


@dataclass(eq=False)
class Generation:
    """The state of a running generation."""

    prompt: int | None = None
    """The number of columns of the prompt; ``None`` until the first pass if it was not given."""
    first: Tensor | None = None
    """The tokens of the generation's first pass."""


@dataclass(eq=False)
class ModelState:
    """The passes that are running on one model now. Only one thread runs the model at a time."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    owner: int | None = None
    """The thread that holds the lock."""
    depth: int = 0
    """The number of ``claimed`` contexts that the owner has open."""
    steering: list[int] = field(default_factory=list)
    """The thread of each plan that is applied now. All plans are applied in the same thread."""
    announced: Tensor | None = None
    """The roles of the pass that steerlens itself runs."""
    seen: SeenPass | None = None
    read: tuple[SeenPass, object, Tensor] | None = None
    """The last result for a pass that other code runs: the pass, the input from which the roles were read, and the roles."""
    counted: "WeakKeyDictionary[Any, tuple[int, Tensor]]" = field(default_factory=WeakKeyDictionary)
    """Data on key-value caches that do not store their length, by cache: the number of tokens in the cache, and the tokens of the
    last pass with this cache."""
    generations: list["Generation"] = field(default_factory=list)
    """The generations that are running, nested inside each other."""


@contextmanager
def announced(state: ModelState, roles: Int[Tensor, "batch pos"]) -> Iterator[None]:
    """Announces the roles of the tokens of the passes inside the context."""
    before, state.announced = state.announced, roles
    try:
        yield
    finally:
        state.announced = before


def running_roles(
    state: ModelState, shape: tuple[int, int], front: tuple[int, ...], bos_id: int | None, pad_id: int | None
) -> Int[Tensor, "batch pos"]:
    """Returns the role of each token of the running pass.

    Args:
        shape: the batch size and the number of positions of the hook's residual stream.
        front, bos_id, pad_id: the values in the model's fingerprint.

    Raises:
        PromptError: the pass was not run from token ids, or several tokens continue from a cache and the end of the prompt is
            not known.
    """
    if state.announced is not None:
        roles = state.announced
    elif state.seen is None:
        roles = None
    else:
        seen = state.seen
        if seen.lost:
            raise PromptError(
                "the model keeps earlier tokens in a way that steerlens does not know, so steerlens cannot know which tokens "
                "of this generation to steer. Generate with use_cache=False."
            )
        if seen.prompt is None and seen.past and seen.tokens.shape[1] > 1:
            raise PromptError(
                f"{seen.tokens.shape[1]} tokens continue from a key-value cache of {seen.past} tokens: steerlens cannot know "
                "whether these tokens belong to the prompt or were generated. Wrap your loop in `with "
                "steerlens.models.prompt_of(model, length):`, where length is the number of tokens in the prompt, with padding. "
                "Or use model.generate."
            )
        key = (front, bos_id, pad_id)
        if state.read is None or state.read[0] is not seen or state.read[1] != key:  # computed once per pass, not once per layer
            found = roles_of(seen.tokens, front, bos_id, pad_id, mask=seen.mask, past=seen.past, prompt=seen.prompt)
            state.read = (seen, key, found)
        roles = state.read[2]
        if seen.kept and shape[1] == seen.kept < roles.shape[1]:
            roles = roles[:, -seen.kept :]
    if roles is None or tuple(roles.shape) != shape:
        raise PromptError(
            "the steering hook did not see this pass's tokens, so it cannot distinguish padding and the tokens in front of the "
            "prompt from text: run the pass from token ids or text, through the model or its TransformerBridge."
        )
    return roles


@contextmanager
def prompt_of(model: Any, length: int) -> Iterator[None]:
    """Marks the end of the prompt in your own passes that continue from a key-value cache.

    You do not need this context for ``model.generate``, ``model.tl.generate`` or Hugging Face's ``generate``.

    Args:
        model: a ``LensModel``.
        length: the number of tokens of the prompt, including padding and the tokens in front such as BOS. Tokens from this column
            on count as generated.

    Raises:
        SettingsError: the length is below 1.
    """
    if length < 1:
        raise SettingsError(f"a prompt of {length} tokens was given: expected at least 1 token.")
    state: ModelState = model.backend.state
    state.generations.append(Generation(int(length)))
    try:
        yield
    finally:
        state.generations.pop()


@contextmanager
def claimed(state: ModelState, is_training: Callable[[], bool]) -> Iterator[None]:
    """Lets one thread at a time run the model with its own hooks. Other threads wait.

    Args:
        state: the state of the model.
        is_training: returns whether a part of the model is in training mode. For nested contexts, ``is_training`` is called only
            once.

    Raises:
        SettingsError: a plan is applied in another thread, and would steer these passes.
        ModelError: the model is in training mode, in which dropout makes its results random.
    """
    refuse_another_thread(state)
    with state.lock:
        refuse_another_thread(state)
        if not state.depth and is_training():
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
def steered_here(state: ModelState, is_training: Callable[[], bool]) -> Iterator[None]:
    """Keeps other threads from running the model while a plan is applied in this thread.

    Args:
        state, is_training: see ``claimed``.

    Raises:
        SettingsError: a plan is applied in another thread.
        ModelError: the model is in training mode.
    """
    with claimed(state, is_training):
        state.steering.append(threading.get_ident())
    try:
        yield
    finally:
        state.steering.pop()


def refuse_another_thread(state: ModelState) -> None:
    """Refuses a pass while a plan is applied in another thread.

    Raises:
        SettingsError: a plan is applied in another thread.
    """
    if state.steering and state.steering[-1] != threading.get_ident():
        raise SettingsError(
            "a plan is applied to this model in another thread, and this plan would steer this pass too. Apply plans and run the "
            "model in one thread, or load the model once for each thread."
        )


def of_this_thread(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a hook that refuses the passes of other threads. The hook was installed for the current thread only.

    Raises:
        SettingsError: raised by the hook in a pass of another thread.
    """
    owner = threading.get_ident()

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != owner:
            raise SettingsError(TWO_THREADS)
        return hook(*args, **kwargs)

    return guarded
