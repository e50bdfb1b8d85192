"""Ends generated texts early. A generated text ends where one of the given texts, which are called stops, occurs."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from steerlens.errors import SettingsError
from steerlens.models.tokens import Tokenizer

_MORE = 32
"""The number of tokens that are checked for a stop in addition to the largest possible number of tokens of a stop. These
additional tokens are needed because one generation step may add several tokens, and because special tokens have no text."""


def stops_of(stop: Sequence[str] | str) -> tuple[str, ...]:
    """Checks the texts at which a generated text ends, and returns them as a tuple.

    Args:
        stop: one text or several texts; ``()`` for no stop.

    Raises:
        SettingsError: a stop is empty, or is not a text.
    """
    stops = (stop,) if isinstance(stop, str) else tuple(stop)
    wrong = [each for each in stops if not isinstance(each, str) or not each]
    if wrong:
        raise SettingsError(
            f"stop {wrong[0]!r} was given: expected texts of at least one character. Write a longer text, or remove this "
            "argument."
        )
    return stops


def before_stop(text: str, stops: Sequence[str]) -> str | None:
    """Returns the part of a text before its first stop.

    Args:
        text: a generated text.
        stops: the texts at which a generated text ends.

    Returns:
        The text up to the stop, or ``None`` if it contains no stop.
    """
    found = [at for at in map(text.find, stops) if at >= 0]
    return text[: min(found)] if found else None


def special_stops(tokenizer: Tokenizer, stops: Sequence[str]) -> set[int]:
    """Returns the token ids of the stops that are special tokens, such as ``</s>``. These stops must be found by their ids,
    because a decoded text does not show special tokens.

    Args:
        tokenizer: turns tokens into text.
        stops: the texts at which a text ends.
    """
    added = getattr(tokenizer.hf, "added_tokens_decoder", {})
    special = {*tokenizer.hf.all_special_ids, *(index for index, token in added.items() if token.special)}
    each = [list(tokenizer.hf(stop, add_special_tokens=False)["input_ids"]) for stop in stops]
    return {ids[0] for ids in each if len(ids) == 1 and ids[0] in special}


def completed(tokenizer: Tokenizer, ids: Sequence[int], stops: Sequence[str]) -> str:
    """Returns the text of generated tokens up to the first stop. The first stop is the stop that is complete after the fewest
    tokens.

    Args:
        tokenizer: turns tokens into text.
        ids: the generated tokens. Tokens after the stop do not matter.
        stops: the texts at which a generated text ends.
    """

    def cut(length: int) -> str | None:
        return before_stop(tokenizer.completion(ids[:length]), stops)

    special = special_stops(tokenizer, stops)
    ids = ids[: next((at for at, token in enumerate(ids) if token in special), len(ids))]
    if not stops or cut(len(ids)) is None:
        return tokenizer.completion(ids)
    first = bisect_left(range(len(ids)), True, key=lambda length: cut(length) is not None)
    return cut(first) or ""


def stopper(tokenizer: Tokenizer, stops: Sequence[str], width: int) -> Callable[..., Bool[Tensor, " row"]]:
    """Returns a stopping criterion in Hugging Face's form. For each row, the criterion returns whether the row has reached a
    stop.

    Only a row's last tokens are decoded, so that the time does not grow with the length of the text. If the last tokens contain a
    stop, all generated tokens of the row are decoded.

    Args:
        tokenizer: turns tokens into text.
        stops: the texts at which a row ends, at least one.
        width: the number of columns of the prompts, which are not searched for stops.
    """
    most, special = max(len(stop.encode()) for stop in stops) + _MORE, special_stops(tokenizer, stops)

    def holds(ids: list[int]) -> bool:
        return not special.isdisjoint(ids) or before_stop(tokenizer.completion(ids), stops) is not None

    def ended(ids: Int[Tensor, "row pos"], scores: Any = None, **_: Any) -> Bool[Tensor, " row"]:  # noqa: ARG001 (Hugging Face)
        lasts = ids[:, max(width, ids.shape[1] - most) :].tolist()
        found = [holds(last) and holds(own[width:].tolist()) for last, own in zip(lasts, ids, strict=True)]
        return torch.tensor(found, device=ids.device)

    return ended
