"""The backend that runs a model with vLLM. Requests to vLLM return residual streams, log probabilities and texts."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import ModelError
from steerlens.models.backends import Capabilities
from steerlens.models.batches import Row, TokenBatch
from steerlens.models.hooks import Hook
from steerlens.models.passes import ModelState
from steerlens.models.tokens import Tokenizer
from steerlens.vllm.engine import VllmEngine
from steerlens.vllm.identity import Identity
from steerlens.vllm.requests import Requests
from steerlens.vllm.writing import sampling, written

_REFUSED = {
    "final": "final residuals",
    "final_norm": "its final norm",
    "unembedding": "its unembedding",
    "logits": "logits",
    "embeddings": "its embedding",
    "cached_pass": "cached passes",
    "resume": "cached passes",
    "attending": "keys and values",
    "next_logits": "logits token by token",
}
"""The results that vLLM cannot provide, described in words, by the name of the backend method that returns the result."""


@dataclass(eq=False)
class VllmBackend:
    """The backend for a ``vllm.LLM``. ``Backend`` documents each method. A method raises an error if vLLM cannot provide its
    result.

    A model in vLLM is steered by plans, which are sent with each request, and not by hooks. The weights are in vLLM and not in
    this object.
    """

    name: str
    identity: Identity
    """The description of the model, which is read from the model's files."""
    requests: Requests
    own_tokenizer: Tokenizer
    context: int
    """The largest number of tokens in one text, which is the setting ``max_model_len`` of vLLM."""

    def __post_init__(self) -> None:
        self.architecture = self.identity.architecture
        self.n_layers, self.d_model = self.identity.n_layers, self.identity.d_model
        self.attention_window: int | None = None
        self.state = ModelState()
        self.device = torch.device("cpu")
        """The device of the tokens and the results."""

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the backend: residual streams, log probabilities and generation, with plans."""
        return Capabilities(
            packed_choices=False,
            key_reuse=False,
            left_padding=True,
            cached_passes=False,
            hooks=False,
            gradients=False,
            generation=True,
            sharded=False,
        )

    @property
    def weight_processing(self) -> str:
        """The weight processing, which is ``none``, because vLLM runs the weights of Hugging Face without changes."""
        return "none"

    def tokenizer(self) -> Tokenizer:
        """Returns the tokenizer in the model's files."""
        return self.own_tokenizer

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Returns a single parameter without values. The parameter shows only the dtype of the weights."""
        return [torch.nn.Parameter(torch.empty(0, dtype=self.identity.dtype), requires_grad=False)]

    def weights_stamp(self) -> tuple[object, ...]:
        """Returns a fixed value, because the weights inside vLLM do not change."""
        return ("vllm",)

    def weights_digest(self) -> str:
        """Returns a digest of the weights in the model's files."""
        return self.identity.weights_digest()

    def hooks_on(self) -> tuple[object, ...]:
        """Returns the plans that are applied now."""
        return self.requests.in_force

    def engine(self, model: Any, rows: Sequence[Row], **_: Any) -> VllmEngine:
        """Returns the engine that scores rows (prompts with their choices). A backend with this method scores rows itself. vLLM
        decides how many rows run at the same time."""
        return VllmEngine(model, rows)

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        """Reads the residual streams with one request per row. All blocks run."""
        seen = torch.zeros(len(layers), *batch.tokens.shape, self.d_model)
        wanted = sorted(set(layers))
        rows = [Row(tuple(row.ids), (), row.front) for row in batch.rows]
        ends = [len(row.prompt) for row in batch.rows]
        for line, (row, start, output) in enumerate(
            zip(rows, batch.starts, self.requests.run(rows, ends=ends, layers=wanted), strict=True)
        ):
            found = residual_stream(output, (len(wanted), len(row), self.d_model))
            for at, layer in enumerate(layers):
                seen[at, line, start : start + len(row)] = found[wanted.index(layer)]
        return {layer: read(seen[at]) for at, layer in enumerate(layers)}

    def hooked(self, hooks: Sequence[Hook]) -> AbstractContextManager[None]:
        """Raises an error if hooks are given, because hooks are not supported."""
        return nullcontext() if not hooks else self._refuse("hooks")

    def applied(self, hooks: Sequence[Hook]) -> AbstractContextManager[None]:
        """Raises an error if hooks are given, because only plans are supported."""
        return self.hooked(hooks)

    def generate(self, batch: TokenBatch, max_new_tokens: int, **settings: Any) -> Int[Tensor, "text pos"]:
        """Generates texts with one request per text."""
        params = sampling(self.requests.llm, len(batch.rows), max_new_tokens, settings)
        return written(self.requests, batch, params, self.own_tokenizer.pad_id)

    def ends(self) -> set[int]:
        """Returns the id of the tokenizer's end-of-text token, as a set."""
        end = self.own_tokenizer.hf.eos_token_id
        return set() if end is None else {int(end)}

    def __getattr__(self, name: str) -> Any:
        """Returns a method that raises an error, for each method that vLLM does not support."""
        if name in _REFUSED:
            return lambda *_, **__: self._refuse(_REFUSED[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _refuse(self, what: str) -> NoReturn:
        raise ModelError(
            f"{self.name} is run by vLLM, which does not provide {what}. With vLLM, steerlens can read residual streams, score "
            "choices and write texts, with and without plans. For all other functions, load the model with steerlens.load."
        )


def residual_stream(output: Any, shape: tuple[int, int, int]) -> Float[Tensor, "layer pos d_model"]:
    """Returns the residual stream of a request after the requested layers, as float32. The layers are in ascending order.

    Args:
        output: the output of vLLM, with the data that vllm-lens adds.
        shape: the number of layers, the number of tokens, and the width of the residual stream.

    Raises:
        ModelError: the residual stream has another shape, or is missing.
    """
    found = (getattr(output, "activations", None) or {}).get("residual_stream")
    if found is None or tuple(found.shape) != shape:
        given = "none" if found is None else f"a tensor of shape {list(found.shape)}"
        raise ModelError(
            f"vllm-lens returned {given} for a residual stream of shape {list(shape)} (layer, token, d_model). The log of "
            "vllm-lens says why. Expected vllm-lens 1.3 with the matching version of vLLM, and no environment variable "
            "VLLM_LENS_DISABLE."
        )
    return found.float().cpu()
