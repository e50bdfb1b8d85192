"""Runs a second copy of a tiny model with Hugging Face alone, with plain hooks on its layers, one row at a time and without a
cache.

The second copy is the reference, and shares no code with the engine. The engine's results are compared with the results of the
reference.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steerlens.steering import SteeredTokens
from steerlens.testing.family import Family

Added = Mapping[int, Tensor]
"""The vectors that are added to the residual stream after each of some layers, ``[copy, pos, d_model]``."""


class ByHand:
    """The reference model."""

    def __init__(self, family: Family, folder: Path, **settings: Any) -> None:
        import transformers

        self._made_from = (family, folder)
        model_class = getattr(transformers, family.model)
        self.model = model_class.from_pretrained(folder, dtype=torch.float32, **settings).eval().requires_grad_(False)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.layers = _layers(self.model)
        self.special = frozenset(self.tokenizer.all_special_ids)
        self.ends: frozenset[int] = frozenset({int(self.tokenizer.eos_token_id)})

    def eager(self) -> "ByHand":
        """Returns the same model with Hugging Face's attention function ``eager``, which is the simplest."""
        return ByHand(*self._made_from, attn_implementation="eager")

    def logits(self, ids: Sequence[int], added: Added | None = None) -> Tensor:
        """Returns the logits ``[copy, pos, d_vocab]`` of copies of one text, with vectors added after some layers. Each copy may
        have other vectors."""
        copies = max((len(vectors) for vectors in (added or {}).values()), default=1)
        with self._adding(added or {}):
            output = self.model(input_ids=torch.tensor([list(ids)] * copies), use_cache=False)
        return output.logits.float()

    @torch.no_grad()
    def residuals(self, ids: Sequence[int]) -> Tensor:
        """Returns the residual stream after every layer, ``[layer, pos, d_model]``."""
        seen: dict[int, Tensor] = {}

        def keep(_: Any, __: Any, output: Any, index: int) -> None:
            seen[index] = _stream(output)[0].clone()

        with ExitStack() as stack:
            for index, layer in enumerate(self.layers):
                stack.callback(layer.register_forward_hook(partial(keep, index=index)).remove)
            self.model(input_ids=torch.tensor([list(ids)]), use_cache=False)
        return torch.stack([seen[index] for index in range(len(self.layers))])

    @torch.no_grad()
    def greedy(self, ids: Sequence[int], count: int, directions: Mapping[int, Tensor], tokens: SteeredTokens) -> list[int]:
        """Returns the most probable next tokens, at most ``count``. The tokens stop early if a token ends the text. Each token
        comes from a pass over the full text so far."""
        text, length = list(ids), len(ids)
        while len(text) < length + count:
            mask = self.steered(text, length, tokens)[None, :, None]
            added = {layer: mask * direction for layer, direction in directions.items()}
            text.append(int(self.logits(text, added)[0, -1].argmax()))
            if text[-1] in self.ends:
                break
        return text[length:]

    def steered(self, ids: Sequence[int], prompt: int, tokens: SteeredTokens) -> Tensor:
        """Returns a mask ``[pos]``: 1 for tokens that are steered and 0 for all other tokens.

        Args:
            ids: the prompt and the tokens after it.
            prompt: the number of the prompt's tokens.
        """
        place = torch.arange(len(ids))
        inner = place >= self.front(ids)
        at = {"all": inner, "prompt": inner & (place < prompt), "last_onward": place >= prompt - 1, "generated": place >= prompt}
        return at[tokens].float()

    def front(self, ids: Sequence[int]) -> int:
        """Returns the number of special tokens in front of a text."""
        return next((place for place, token in enumerate(ids) if token not in self.special), len(ids))

    @contextmanager
    def _adding(self, added: Added) -> Iterator[None]:
        def add(_: Any, __: Any, output: Any, vectors: Tensor) -> Any:
            return _with_stream(output, _stream(output) + vectors)

        with ExitStack() as stack:
            for index, vectors in added.items():
                stack.callback(self.layers[index].register_forward_hook(partial(add, vectors=vectors)).remove)
            yield


def _layers(model: Any) -> Any:
    """Returns the decoder's layers: the longest list of modules that does not belong to a vision or audio tower. Among equally
    long lists, the outermost list is taken."""
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and not any(part in name for part in ("vision", "audio", "expert", "mtp"))
    ]
    return max(lists, key=lambda pair: (len(pair[1]), -pair[0].count(".")))[1]


def _stream(output: Any) -> Tensor:
    """Returns the residual stream ``[batch, pos, d_model]`` in the output of a layer. If a layer has several streams (Gemma 3n),
    returns the active stream."""
    stream: Tensor = output[0] if isinstance(output, tuple | list) else output
    return stream[0] if stream.ndim == 4 else stream


def _with_stream(output: Any, stream: Tensor) -> Any:
    """Returns the output of a layer with another residual stream."""
    if isinstance(output, tuple | list):
        return type(output)([_with_stream(output[0], stream), *output[1:]])
    return torch.cat([stream[None], output[1:]]) if output.ndim == 4 else stream
