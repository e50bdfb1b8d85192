"""Generates texts with a ``HookedTransformer`` and Hugging Face's ``generate``.

TransformerLens' own ``generate`` has no mask, no stopping criteria and no beams. In version 2.16, the model also attends to
padding in this method.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from steerlens.models.batches import TokenBatch
from steerlens.models.passes import announced
from steerlens.models.roles import GENERATED

if TYPE_CHECKING:
    from steerlens.models.backends.hooked import HookedBackend

_FOR_SPEED = ("use_cache", "cache_implementation", "prefill_chunk_size", "prompt_lookup_num_tokens", "assistant_model")
"""Generation settings that need a key-value cache. These settings change only the speed and not the text, so they are ignored."""


def written_by(backend: "HookedBackend", batch: TokenBatch, max_new_tokens: int, settings: dict[str, Any]) -> Any:
    """Returns the result of Hugging Face's ``generate``. Each token comes from a full pass.

    Args:
        backend: the model.
        batch: the prompts, padded in front.
        max_new_tokens: the number of tokens after which generation stops if the model has not stopped.
        settings: Hugging Face's generation settings.
    """
    from transformers import PretrainedConfig

    ends = sorted(backend.ends())
    writer = _writer()(PretrainedConfig(vocab_size=int(backend.tl.cfg.d_vocab), eos_token_id=ends or None))
    writer.backend, writer.prompts = backend, batch
    given = {name: value for name, value in settings.items() if name not in _FOR_SPEED}
    return writer.generate(
        input_ids=batch.tokens, attention_mask=batch.mask, max_new_tokens=max_new_tokens, use_cache=False, **given
    )


def _roles(batch: TokenBatch, rows: int, length: int) -> Int[Tensor, "row pos"]:
    """Returns the roles of a text's tokens and of the tokens generated after it. Each prompt has one row for each generated
    text."""
    prompts = batch.roles.repeat_interleave(rows // len(batch.rows), dim=0)
    return torch.nn.functional.pad(prompts, (0, length - prompts.shape[1]), value=GENERATED)


@cache
def _writer() -> Any:
    """Returns a Hugging Face model class that has no weights and asks a backend for its logits."""
    from transformers import GenerationMixin, PreTrainedModel
    from transformers.modeling_outputs import CausalLMOutput

    class Writer(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
        backend: Any = None
        prompts: Any = None

        @property
        def device(self) -> torch.device:
            return self.prompts.tokens.device

        @property
        def dtype(self) -> torch.dtype:
            return next(iter(self.backend.parameters())).dtype

        def prepare_inputs_for_generation(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> dict[str, Tensor]:
            return {"input_ids": input_ids, "attention_mask": attention_mask}

        def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> CausalLMOutput:
            backend, roles = self.backend, _roles(self.prompts, *input_ids.shape)
            with announced(backend.state, roles):
                residual = backend.tl(input_ids, attention_mask=attention_mask, stop_at_layer=backend.n_layers)
                final = backend.final_norm(residual[:, -1:])
            return CausalLMOutput(logits=backend.unembedding().logits(final[:, 0])[:, None])

    return Writer
