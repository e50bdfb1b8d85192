"""Runs models with TransformerLens: a ``TransformerBridge`` around a Hugging Face model."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import ModelError
from steerlens.models.backends.derivatives import lets_derivatives_through
from steerlens.models.backends.offloading import device_of, is_offloaded, kept_elsewhere, stamp, stamp_of, state_of, whole_tensor
from steerlens.models.backends.protocol import CachedPass, Capabilities, KeyValues
from steerlens.models.backends.resuming import attending, cached_pass, resume
from steerlens.models.backends.watching import body_of, hooks_on, modules_of, watch
from steerlens.models.backends.wrappers import Wrappers
from steerlens.models.batches import TokenBatch
from steerlens.models.devices import weights_digest
from steerlens.models.hooks import Hook, residual_hook
from steerlens.models.passes import announced, claimed, of_this_thread, steered_here
from steerlens.models.quantized import quantization_of
from steerlens.models.roles import PAD
from steerlens.models.tokens import Tokenizer, tokenizer_of_bridge
from steerlens.models.unembedding import Unembedding


class _SeenEnough(Exception):
    """Ends a pass whose remaining blocks are not needed."""


class BridgeBackend:
    """The backend for a ``TransformerBridge``. ``Backend`` documents each method."""

    def __init__(self, tl: Any, name: str = "") -> None:
        """Wraps a bridge, and starts to record its passes.

        Args:
            tl: the ``TransformerBridge``.
            name: the model's name; ``""`` uses the name in the bridge.

        Raises:
            ModelError: the model is an encoder-decoder model, is not one sequence of blocks, is a Falcon with ALiBi, or has no
                tokenizer.
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
        self.kept = kept_elsewhere(tl.original_model)
        """The tensors and files from which offloaded weights are read."""
        self.offloaded = is_offloaded(tl.original_model)
        """Whether some weights are kept in the CPU's memory or on disk until a block needs them."""
        self.quantization = quantization_of(tl.original_model.config)
        """The quantization of the weights; ``None`` if the weights are not quantized."""

    @property
    def capabilities(self) -> Capabilities:
        """The operations that are supported. Generation is not supported if the model has no ``generate`` of Hugging Face, and
        gradients are not supported if the quantized weights have no derivatives. All other operations are supported."""
        generates = callable(getattr(self.tl.original_model, "generate", None))
        return Capabilities(
            packed_choices=True,
            key_reuse=True,
            left_padding=True,
            cached_passes=True,
            hooks=True,
            gradients=self._differentiates,
            generation=generates,
            sharded=len(self.devices) > 1 or self.offloaded,
        )

    @property
    def device(self) -> torch.device:
        """The device of the embedding, which receives the tokens."""
        return device_of(getattr(self.tl, "embed", self.tl.original_model))

    @property
    def block_devices(self) -> tuple[torch.device, ...]:
        """The device on which each block runs. The weights of a block may be kept on another device or on disk."""
        return tuple(map(device_of, self.tl.blocks))

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """The devices of the embedding, the blocks and the unembedding. Each device is listed once."""
        end = getattr(self.tl, "unembed", None)
        return tuple(dict.fromkeys((self.device, *self.block_devices, *(() if end is None else (device_of(end),)))))

    @cached_property
    def _differentiates(self) -> bool:
        """Whether the model can be differentiated. Some kernels for quantized weights have no derivative, so quantized models are
        tested once."""
        return self.quantization is None or lets_derivatives_through(self)

    @property
    def attention_window(self) -> int | None:
        """The number of tokens in the narrowest attention window of the configuration."""
        config = self.tl.original_model.config.get_text_config()
        sliding = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        windows = (sliding, getattr(config, "window_size", None), getattr(config, "attention_chunk_size", None))
        return min((window for window in windows if isinstance(window, int)), default=None)

    @property
    def weight_processing(self) -> str:
        """Returns ``compatibility`` after ``enable_compatibility_mode()``, otherwise ``none``."""
        return "compatibility" if getattr(self.tl, "compatibility_mode", False) else "none"

    def tokenizer(self) -> Tokenizer:
        """Returns the bridge's tokenizer. The tokenizer's files decide which tokens are put in front of a text, if these files
        are available."""
        return tokenizer_of_bridge(self.tl)

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Returns the parameters of Hugging Face's model."""
        each = (own for module in modules_of(self.tl.original_model) for own in module._parameters.values())
        return dict.fromkeys(parameter for parameter in each if parameter is not None)

    def weights_stamp(self) -> tuple[object, ...]:
        """Returns the memory address, version and dtype of each weight. For weights on disk, returns the files with their times
        and sizes."""
        return (*(stamp(own) for own in self.parameters() if not own.is_meta), *stamp_of(self.kept))

    def weights_digest(self) -> str:
        """Returns a digest of parameters and buffers, under Hugging Face's names."""
        state = state_of(self.tl.original_model)
        return weights_digest({name.replace("._original_component", ""): t for name, t in state.items()})

    def hooks_on(self) -> tuple[object, ...]:
        """Returns the hooks on all modules, except the hook that records passes and the hooks of libraries that only read."""
        return hooks_on(self.tl)

    def final(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
        """Returns the last hidden state of the model without its unembedding."""
        with self.claimed(), self.wrappers.aside(), announced(self.state, batch.roles):
            output = body_of(self.tl.original_model)(
                input_ids=batch.tokens, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
            )
        return output.last_hidden_state.to(batch.tokens.device)

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        """Reads the residual streams. The pass ends after the highest of the layers."""
        seen: dict[int, Tensor] = {}
        highest = max(layers)

        def keep(residual: Tensor, hook: Any, layer: int) -> None:
            seen[layer] = read(residual).to(batch.tokens.device)
            if layer == highest:
                raise _SeenEnough

        with suppress(_SeenEnough), self.hooked([(residual_hook(layer), partial(keep, layer=layer)) for layer in layers]):
            self.final(batch)
        return seen

    def final_norm(self, residual: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Applies ``ln_final`` of the bridge."""
        return self.tl.ln_final(residual).to(residual.device)

    def unembedding(self) -> Unembedding:
        """Returns the unembedding with the weights of the bridge, and with the logit factor and the soft cap in the
        configuration."""
        config = self.tl.original_model.config.get_text_config()
        cap = getattr(config, "final_logit_softcapping", None) or getattr(config, "logits_soft_cap", None)
        head, own = self.tl.unembed, getattr(self.tl.unembed.original_component, "weight", None)
        if own is None or not own.is_floating_point() or own.dtype.itemsize < 2:
            kind = type(head.original_component).__name__ if own is None else own.dtype
            raise ModelError(
                f"the unembedding of {self.name} is quantized ({kind}), so steerlens cannot compute logits token by token: "
                "scoring needs a checkpoint whose lm_head is not quantized. With this checkpoint, you can still read "
                "residuals, take vectors and write steered texts."
            )
        weight = whole_tensor(head.original_component, "weight") if head.W_U.is_meta else head.W_U.detach().T
        bias = head.b_U
        if bias is not None:
            bias = whole_tensor(head.original_component, "bias") if bias.is_meta else bias.detach()
        kept = bias if bias is not None and bool(bias.any()) else None
        return Unembedding(weight, kept, cap, _logit_factor(config), device=device_of(head))

    def logits(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_vocab"]:
        """Returns the logits of Hugging Face's model, which finds the mask and the positions itself."""
        return self.tl.original_model(batch.tokens, use_cache=False).logits.to(batch.tokens.device)

    def embeddings(self, ids: Int[Tensor, " pos"]) -> Float[Tensor, "pos d_model"]:
        """Returns the embeddings of Hugging Face's model."""
        return self.tl.original_model.get_input_embeddings()(ids)

    @contextmanager
    def hooked(self, hooks: Sequence[Hook]) -> Iterator[None]:
        """Sets hooks with the bridge's own ``hooks``."""
        with self.claimed(), self.tl.hooks(fwd_hooks=[(name, of_this_thread(hook)) for name, hook in hooks]):
            yield

    @contextmanager
    def applied(self, hooks: Sequence[Hook]) -> Iterator[None]:
        """Sets hooks with the bridge's own ``hooks``."""
        with steered_here(self.state, self._is_training), self.tl.hooks(fwd_hooks=list(hooks)):
            yield

    def cached_pass(
        self, batch: TokenBatch, layers: Sequence[int], start: int = 0, before: KeyValues | None = None
    ) -> CachedPass:
        """Runs the batch once and keeps the arguments of each block."""
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
        """Calls the blocks one after another. The bridge's own ``start_at_layer`` would also run the blocks below the first
        layer."""
        return resume(self, cached, entering, before, keep, a_copy_each=a_copy_each)

    @contextmanager
    def attending(self, before: KeyValues | None, keep: int) -> Iterator[KeyValues]:
        """Gives each block's attention a cache object of Hugging Face's class ``Cache``."""
        with attending(self, before, keep) as kept:
            yield kept

    def generate(self, batch: TokenBatch, max_new_tokens: int, **settings: Any) -> Any:
        """Calls Hugging Face's own ``generate``. A warning about offloaded embeddings is suppressed."""
        with self.claimed(), self.wrappers.aside(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*the model is on meta")
            return self.tl.original_model.generate(
                input_ids=batch.tokens,
                attention_mask=(batch.roles != PAD).long(),
                max_new_tokens=max_new_tokens,
                **settings,
            )

    def next_logits(self, ids: Sequence[int], cache: Any) -> tuple[Float[Tensor, " d_vocab"], Any]:
        """Runs one pass over the last token. At the first call, or if the model returns no cache, the pass contains all tokens of
        the text."""
        takes, device = signature(self.tl.original_model.forward).parameters, self.device
        new = torch.tensor([list(ids) if not cache else list(ids[-1:])], device=device)
        given: dict[str, Any] = {"attention_mask": torch.ones(1, len(ids), dtype=torch.long, device=device), **(cache or {})}
        if "cache_params" in given:
            given["attention_mask"] = None
        if "logits_to_keep" in takes:
            given["logits_to_keep"] = 1
        if "position_ids" in takes:  # a cache of several kinds of layers may not know the positions
            given["position_ids"] = torch.arange(len(ids) - new.shape[1], len(ids), device=device)[None]
        with self.claimed(), self.wrappers.aside():
            output = self.tl.original_model(input_ids=new, use_cache=cache is None or bool(cache), **given)
        kept = {name: output[name] for name in ("past_key_values", "cache_params") if output.get(name) is not None}
        return output.logits[0, -1], kept

    def ends(self) -> set[int]:
        """Returns the end tokens in the generation configuration. If this configuration has no end tokens, returns the end token
        of the tokenizer."""
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
            f"{name} is a Falcon with ALiBi. TransformerLens runs this model with the eager attention of Transformers, which "
            "adds ALiBi twice, so residuals would be wrong by about 10%. Use another architecture, or a Falcon with rotary "
            "positions."
        )
    if not hasattr(tl, "blocks"):
        raise ModelError(
            f"{name} is a {type(tl.original_model).__name__}, which is not a single sequence of blocks: expected a "
            "decoder-only language model with one residual stream."
        )
    if tl.tokenizer is None:
        raise ModelError(f"{name} has no tokenizer. Give the bridge a tokenizer with boot_transformers(..., tokenizer=...).")


def _logit_factor(config: Any) -> float:
    """Returns the factor that a model's configuration puts on its logits. Cohere multiplies by ``logit_scale``, Falcon H1 by
    ``lm_head_multiplier`` and HyperCLOVA X by ``logits_scaling``; Granite divides by ``logits_scaling``.

    ``LensModel.check_unembedding`` compares the result with the model's own logits, to detect any other change of the logits.
    """

    def number(name: str) -> float:
        value = getattr(config, name, None)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value else 1.0

    scaling = number("logits_scaling")
    inverse = 1 / scaling if str(getattr(config, "model_type", "")).startswith("granite") else scaling
    return number("logit_scale") * number("lm_head_multiplier") * inverse
