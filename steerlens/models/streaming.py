"""Generates greedy text one token at a time, for callers that do something else between two tokens."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from steerlens.models.capabilities import check_generation
from steerlens.models.lens import LensModel
from steerlens.models.passes import prompt_of
from steerlens.models.stopping import before_stop, special_stops, stops_of
from steerlens.models.tokens import Text


def stream(
    model: LensModel,
    prompt: Text,
    max_new_tokens: int = 30,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    *,
    stop: Sequence[str] | str = (),
) -> Iterator[str]:
    """Yields the text that the model has written so far, after each new token. The text is the greedy text of ``model.generate``.

    Args:
        model: the model.
        prompt: a text, a ``Prompt`` or a chat.
        max_new_tokens: the largest number of tokens that are generated.
        around: makes a context in which each pass runs, for example ``lambda: plan.applied(model)``. Between two yielded texts,
            no context is open, so that other code sees the unsteered model.
        stop: one or several texts at which the generated text ends, as in ``model.generate``.

    Yields:
        The text so far, without special tokens. The last yielded text is complete. If a stop has several tokens, it is removed
            from the text once all of its tokens are written. So the last yielded text may be shorter than the previous one.

    Raises:
        PromptError: the prompt is empty.
        SettingsError: a stop is an empty text.
        ModelError: the backend does not generate text.
    """
    check_generation(model)
    stops = stops_of(stop)
    ids = model.row(model.tokenizer.ids(prompt)).prompt
    ends = model.backend.ends() | special_stops(model.tokenizer, stops)
    written: list[int] = []
    cache: Any = None
    for _ in range(max_new_tokens):
        with around(), prompt_of(model, len(ids)), torch.no_grad():
            logits, cache = model.backend.next_logits([*ids, *written], cache)
        token = int(logits.argmax())
        if token in ends:
            break
        written.append(token)
        text = model.tokenizer.completion(written)
        cut = before_stop(text, stops)
        yield text if cut is None else cut
        if cut is not None:
            break
