"""Greedy generation a token at a time, for callers that do something else between two tokens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from steerlens.models.capabilities import check_generation
from steerlens.models.lens import LensModel
from steerlens.models.passes import prompt_of
from steerlens.models.tokens import Text


def stream(
    model: LensModel,
    prompt: Text,
    max_new_tokens: int = 30,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Iterator[str]:
    """Yields what the model has written after a prompt, after every token of it: ``model.generate``'s greedy text, as it grows.

    Args:
        model: the model.
        prompt: a text, a ``Prompt`` or a chat.
        max_new_tokens: the number of tokens after which it stops if the model does not.
        around: makes a context that each pass runs in, as ``lambda: plan.applied(model)``. Between two texts none is open, so the
            model is left unsteered for everybody else.

    Yields:
        The text so far, without special tokens; the last one is the whole.

    Raises:
        PromptError: the prompt is empty.
        ModelError: the backend does not generate.
    """
    check_generation(model)
    ids, ends = model.row(model.tokenizer.ids(prompt)).prompt, model.backend.ends()
    written: list[int] = []
    cache: Any = None
    for _ in range(max_new_tokens):
        with around(), prompt_of(model, len(ids)), torch.no_grad():
            logits, cache = model.backend.next_logits([*ids, *written], cache)
        token = int(logits.argmax())
        if token in ends:
            break
        written.append(token)
        yield model.tokenizer.completion(written)
