"""Greedy generation a token at a time, for callers that do something else between two tokens."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any

import torch

from steerlens.models.lens import LensModel
from steerlens.models.passes import claimed, prompt_of
from steerlens.models.tokens import Text


def stream(
    model: LensModel,
    prompt: Text,
    max_new_tokens: int = 30,
    around: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> Iterator[str]:
    """What the model has written after a prompt, after every token of it: ``model.generate``'s greedy text, as it grows.

    Args:
        around: makes a context that each pass runs in, as ``lambda: plan.applied(model)``. Between two texts none is open,
            so the model is left unsteered for everybody else.

    Yields:
        The text so far, without special tokens; the last one is the whole.

    Raises:
        PromptError: the prompt is empty.
    """
    ids = model.row(model.tokenizer.ids(prompt)).prompt
    ends, goes_on = _ends(model), True
    written: list[int] = []
    cache: dict[str, Any] = {}
    new = torch.tensor([ids], device=model.device)
    seen: torch.Tensor | None = torch.ones_like(new)
    takes = signature(model.tl.original_model.forward).parameters
    more: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
    for _ in range(max_new_tokens):
        with around(), claimed(model.tl), prompt_of(model, len(ids)), torch.no_grad():
            if "position_ids" in takes:  # a cache of several kinds of layers may not know them
                end = len(ids) + len(written)
                more["position_ids"] = torch.arange(end - new.shape[1], end, device=model.device)[None]
            output = model.tl.original_model(input_ids=new, attention_mask=seen, use_cache=goes_on, **more, **cache)
        cache = {name: output[name] for name in ("past_key_values", "cache_params") if output.get(name) is not None}
        token = int(output.logits[0, -1].argmax())
        if token in ends:
            break
        written.append(token)
        yield model.tokenizer.completion(written)
        goes_on = bool(cache)  # where what came before is kept in another way, or not at all, all of the text is run again
        length = len(ids) + len(written)
        new = torch.tensor([[token]] if goes_on else [[*ids, *written]], device=model.device)
        seen = None if "cache_params" in cache else torch.ones(1, length, dtype=torch.long, device=model.device)


def _ends(model: LensModel) -> set[int]:
    """Tokens that end a text."""
    ends = getattr(model.tl.original_model.generation_config, "eos_token_id", None)
    if ends is None:
        ends = model.tokenizer.hf.eos_token_id
    return set() if ends is None else set(ends) if isinstance(ends, list | tuple) else {int(ends)}
