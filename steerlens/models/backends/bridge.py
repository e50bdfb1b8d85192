"""Models that TransformerLens runs: a ``TransformerBridge`` around a model of Hugging Face's."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import ModelError
from steerlens.models.backends.protocol import CachedPass, Capabilities, KeyValues
from steerlens.models.backends.resuming import attending, cached_pass, resume
from steerlens.models.backends.watching import body_of, hooks_on, modules_of, watch
from steerlens.models.backends.wrappers import Wrappers
from steerlens.models.batches import TokenBatch
from steerlens.models.devices import weights_digest
from steerlens.models.hooks import Hook, residual_hook
from steerlens.models.passes import announced, claimed, of_this_thread, steered_here
from steerlens.models.roles import PAD
from steerlens.models.tokens import Tokenizer, tokenizer_of_bridge
from steerlens.models.unembedding import Unembedding


class _SeenEnough(Exception):
    """Ends a pass whose remaining blocks nobody needs."""


class BridgeBackend:
    """A model in TransformerLens. ``Backend`` says what each method is for."""

    def __init__(self, tl: Any, name: str = "") -> None:
        """Wraps a bridge and has its passes noted.

        Args:
            tl: the ``TransformerBridge``.
            name: what the model is called; the bridge's own name for ``""``.

        Raises:
            ModelError: an encoder-decoder model, a Falcon with ALiBi, or a bridge without a tokenizer.
        """
        _check(tl, name or "this model")
        tl.original_model.eval()
        self.tl = tl
        self.name = name or str(getattr(tl.cfg, "model_name", "")) or "model"
        self.architecture = str(getattr(tl.original_model.config, "model_type", ""))
        self.n_layers = len(tl.blocks)
        self.d_model = int(tl.cfg.d_model)
        self.context = int(getattr(tl.cfg, "n_ctx", 0) or 0)
        self.state = watch(tl)
        self.wrappers = Wrappers(self)

    @property
    def capabilities(self) -> Capabilities:
        """Everything, but for models that Hugging Face gives no ``generate``."""
        devices = {parameter.device for parameter in self.parameters()}
        generates = callable(getattr(self.tl.original_model, "generate", None))
        return Capabilities(
            packed_choices=True,
            key_reuse=True,
            left_padding=True,
            cached_passes=True,
            hooks=True,
            gradients=True,
            generation=generates,
            sharded=len(devices) > 1,
        )

    @property
    def attention_window(self) -> int | None:
        """The narrowest of the windows that the configuration names."""
        config = self.tl.original_model.config.get_text_config()
        sliding = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        windows = (sliding, getattr(config, "window_size", None), getattr(config, "attention_chunk_size", None))
        return min((window for window in windows if isinstance(window, int)), default=None)

    @property
    def weight_processing(self) -> str:
        """Returns ``compatibility`` after ``enable_compatibility_mode()``, else ``none``."""
        return "compatibility" if getattr(self.tl, "compatibility_mode", False) else "none"

    def tokenizer(self) -> Tokenizer:
        """The bridge's, with what its files, where they are at hand, say of the tokens in front."""
        return tokenizer_of_bridge(self.tl)

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Those of Hugging Face's model."""
        each = (own for module in modules_of(self.tl.original_model) for own in module._parameters.values())
        return dict.fromkeys(parameter for parameter in each if parameter is not None)

    def weights_stamp(self) -> tuple[object, ...]:
        """The memory, version and dtype of each weight."""
        return tuple((t.data_ptr(), 0 if t.is_inference() else t._version, t.dtype) for t in self.parameters())

    def weights_digest(self) -> str:
        """Over parameters and buffers, under Hugging Face's names."""
        state = self.tl.original_model.state_dict()
        return weights_digest({name.replace("._original_component", ""): t for name, t in state.items()})

    def hooks_on(self) -> tuple[object, ...]:
        """Those on all modules, but for the one that notes passes."""
        return hooks_on(self.tl)

    def final(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
        """The last hidden state of the model without its unembedding."""
        with self.claimed(), self.wrappers.aside(), announced(self.state, batch.roles):
            output = body_of(self.tl.original_model)(
                input_ids=batch.tokens, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
            )
        return output.last_hidden_state

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        """The pass ends after the highest of the layers."""
        seen: dict[int, Tensor] = {}
        highest = max(layers)

        def keep(residual: Tensor, hook: Any, layer: int) -> None:
            seen[layer] = read(residual)
            if layer == highest:
                raise _SeenEnough

        with suppress(_SeenEnough), self.hooked([(residual_hook(layer), partial(keep, layer=layer)) for layer in layers]):
            self.final(batch)
        return seen

    def final_norm(self, residual: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Applies ``ln_final`` of the bridge."""
        return self.tl.ln_final(residual)

    def unembedding(self) -> Unembedding:
        """The weights of the bridge, with the factor and the soft cap that the configuration names."""
        config = self.tl.original_model.config.get_text_config()
        cap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
        bias = self.tl.unembed.b_U.detach() if self.tl.unembed.b_U is not None else None
        kept = bias if bias is not None and bool(bias.any()) else None
        return Unembedding(self.tl.unembed.W_U.detach().T, kept, cap, _logit_factor(config))

    def logits(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_vocab"]:
        """Those of Hugging Face's model, which finds the mask and the positions itself."""
        return self.tl.original_model(batch.tokens, use_cache=False).logits

    def embeddings(self, ids: Int[Tensor, " pos"]) -> Float[Tensor, "pos d_model"]:
        """Those of Hugging Face's model."""
        return self.tl.original_model.get_input_embeddings()(ids)

    @contextmanager
    def hooked(self, hooks: Sequence[Hook]) -> Iterator[None]:
        """By the bridge's own ``hooks``."""
        with self.claimed(), self.tl.hooks(fwd_hooks=[(name, of_this_thread(hook)) for name, hook in hooks]):
            yield

    @contextmanager
    def applied(self, hooks: Sequence[Hook]) -> Iterator[None]:
        """By the bridge's own ``hooks``."""
        with steered_here(self.state, self._is_training), self.tl.hooks(fwd_hooks=list(hooks)):
            yield

    def cached_pass(
        self, batch: TokenBatch, layers: Sequence[int], start: int = 0, before: KeyValues | None = None
    ) -> CachedPass:
        """Keeps what each block was called with."""
        return cached_pass(self, batch, layers, start, before)

    def resume(
        self,
        cached: CachedPass,
        entering: Mapping[int, Float[Tensor, "_ pos d_model"]],
        before: KeyValues | None = None,
        keep: int = 0,
        *,
        a_copy_each: bool = False,
    ) -> tuple[Float[Tensor, "row pos d_model"], KeyValues]:
        """Calls the blocks one after another; the bridge's own ``start_at_layer`` runs those below too."""
        return resume(self, cached, entering, before, keep, a_copy_each=a_copy_each)

    @contextmanager
    def attending(self, before: KeyValues | None, keep: int) -> Iterator[KeyValues]:
        """By a cache of Hugging Face's kind that each block's attention is given."""
        with attending(self, before, keep) as kept:
            yield kept

    def generate(self, batch: TokenBatch, max_new_tokens: int, **settings: Any) -> Any:
        """Calls Hugging Face's own ``generate``."""
        with self.claimed(), self.wrappers.aside():
            return self.tl.original_model.generate(
                input_ids=batch.tokens,
                attention_mask=(batch.roles != PAD).long(),
                max_new_tokens=max_new_tokens,
                **settings,
            )

    def next_logits(self, ids: Sequence[int], cache: Any) -> tuple[Float[Tensor, " d_vocab"], Any]:
        """One pass of the last token, or of the whole text at first and where the model gives no cache to go on from."""
        takes, device = signature(self.tl.original_model.forward).parameters, next(iter(self.parameters())).device
        new = torch.tensor([list(ids) if not cache else list(ids[-1:])], device=device)
        given: dict[str, Any] = {"attention_mask": torch.ones(1, len(ids), dtype=torch.long, device=device), **(cache or {})}
        if "cache_params" in given:
            given["attention_mask"] = None
        if "logits_to_keep" in takes:
            given["logits_to_keep"] = 1
        if "position_ids" in takes:  # a cache of several kinds of layers may not know them
            given["position_ids"] = torch.arange(len(ids) - new.shape[1], len(ids), device=device)[None]
        with self.claimed(), self.wrappers.aside():
            output = self.tl.original_model(input_ids=new, use_cache=cache is None or bool(cache), **given)
        kept = {name: output[name] for name in ("past_key_values", "cache_params") if output.get(name) is not None}
        return output.logits[0, -1], kept

    def ends(self) -> set[int]:
        """Those of the generation's configuration, else the tokenizer's."""
        ends = getattr(getattr(self.tl.original_model, "generation_config", None), "eos_token_id", None)
        if ends is None:
            ends = self.tl.tokenizer.eos_token_id
        return set() if ends is None else set(ends) if isinstance(ends, list | tuple) else {int(ends)}

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Lets one thread at a time run the model (``passes.claimed``)."""
        with claimed(self.state, self._is_training):
            yield

    def _is_training(self) -> bool:
        return any(module.training for module in self.tl.original_model.modules())


def _check(tl: Any, name: str) -> None:
    config = tl.original_model.config
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{name} is an encoder-decoder model: expected a decoder-only language model.")
    if getattr(config, "model_type", "") == "falcon" and config.alibi:
        raise ModelError(
            f"{name} is a Falcon with ALiBi: Transformers' eager attention, which TransformerLens runs, adds "
            "ALiBi twice, so residuals would be wrong by a tenth. Expected another architecture, or a Falcon with rotary "
            "positions."
        )
    if tl.tokenizer is None:
        raise ModelError(f"{name} has no tokenizer: give the bridge one, as in boot_transformers(..., tokenizer=...).")


def _logit_factor(config: Any) -> float:
    """The factor that a model's configuration puts on its logits: Cohere multiplies by ``logit_scale`` and Falcon H1 by
    ``lm_head_multiplier``; Granite divides by ``logits_scaling``, as HyperCLOVA X multiplies by it.

    Whether this is all that happens to the logits is checked against the model's own (``LensModel.check_unembedding``).
    """

    def number(name: str) -> float:
        value = getattr(config, name, None)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value else 1.0

    scaling = number("logits_scaling")
    inverse = 1 / scaling if str(getattr(config, "model_type", "")).startswith("granite") else scaling
    return number("logit_scale") * number("lm_head_multiplier") * inverse
