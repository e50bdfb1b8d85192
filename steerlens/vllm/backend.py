"""What runs a model by vLLM: residual streams, log probabilities and texts, each as requests."""

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
    "cached_pass": "passes to go on from",
    "resume": "passes to go on from",
    "attending": "keys and values",
    "next_logits": "logits token by token",
}
"""By name, the methods of a backend that vLLM's requests cannot provide, and what they would return."""


@dataclass(eq=False)
class VllmBackend:
    """A ``vllm.LLM``. ``Backend`` says what each method is for; what vLLM's requests do not give is refused.

    It is steered by plans, which go with each request, not by hooks. The weights are vLLM's: nothing here contains them.
    """

    name: str
    identity: Identity
    """The description of the model from its files."""
    requests: Requests
    own_tokenizer: Tokenizer
    context: int
    """The largest number of tokens in a row: vLLM's ``max_model_len``."""

    def __post_init__(self) -> None:
        self.architecture = self.identity.architecture
        self.n_layers, self.d_model = self.identity.n_layers, self.identity.d_model
        self.attention_window: int | None = None
        self.state = ModelState()
        self.device = torch.device("cpu")
        """The device of tokens and results."""

    @property
    def capabilities(self) -> Capabilities:
        """Residual streams, log probabilities and generation, under plans."""
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
        """vLLM runs Hugging Face's own numbers."""
        return "none"

    def tokenizer(self) -> Tokenizer:
        """That of the model's files."""
        return self.own_tokenizer

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """One without numbers, which says the dtype."""
        return [torch.nn.Parameter(torch.empty(0, dtype=self.identity.dtype), requires_grad=False)]

    def weights_stamp(self) -> tuple[object, ...]:
        """Always the same: nobody changes weights inside vLLM."""
        return ("vllm",)

    def weights_digest(self) -> str:
        """Over the weights in the model's files."""
        return self.identity.weights_digest()

    def hooks_on(self) -> tuple[object, ...]:
        """The plans that are applied now."""
        return self.requests.in_force

    def engine(self, model: Any, rows: Sequence[Row], **_: Any) -> VllmEngine:
        """Returns what scores rows; a backend that has this method scores them itself. How much is run at once is vLLM's."""
        return VllmEngine(model, rows)

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        """A request a row, whose blocks all run."""
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
        """No hooks are taken."""
        return nullcontext() if not hooks else self._refuse("hooks")

    def applied(self, hooks: Sequence[Hook]) -> AbstractContextManager[None]:
        """No hooks are taken; plans are."""
        return self.hooked(hooks)

    def generate(self, batch: TokenBatch, max_new_tokens: int, **settings: Any) -> Int[Tensor, "text pos"]:
        """A request a text."""
        params = sampling(self.requests.llm, len(batch.rows), max_new_tokens, settings)
        return written(self.requests, batch, params, self.own_tokenizer.pad_id)

    def ends(self) -> set[int]:
        """The tokenizer's end of text."""
        end = self.own_tokenizer.hf.eos_token_id
        return set() if end is None else {int(end)}

    def __getattr__(self, name: str) -> Any:
        """The other methods of a backend are there, and refuse."""
        if name in _REFUSED:
            return lambda *_, **__: self._refuse(_REFUSED[name])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _refuse(self, what: str) -> NoReturn:
        raise ModelError(
            f"{self.name} is run by vLLM, which does not provide {what}. With vLLM, steerlens can read residual streams, score "
            "choices and write texts, with and without plans. For everything else, load the model with steerlens.load."
        )


def residual_stream(output: Any, shape: tuple[int, int, int]) -> Float[Tensor, "layer pos d_model"]:
    """Returns the residual stream of a request in float32, after the layers that were asked for, ascending.

    Args:
        output: vLLM's output, with what vllm-lens adds to it.
        shape: the number of layers, of tokens, and the width.

    Raises:
        ModelError: another shape, or none at all.
    """
    found = (getattr(output, "activations", None) or {}).get("residual_stream")
    if found is None or tuple(found.shape) != shape:
        given = "none" if found is None else f"a tensor of shape {list(found.shape)}"
        raise ModelError(
            f"vllm-lens returned {given} for a residual stream of shape {list(shape)} (layer, token, d_model). The log of "
            "vllm-lens says why. Expected vllm-lens 1.3 with the vLLM version that it is made for, and VLLM_LENS_DISABLE not "
            "set."
        )
    return found.float().cpu()
