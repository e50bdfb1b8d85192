"""Runs a ``HookedTransformer``, the model of TransformerLens 2 and 3 that has its own weights.

TransformerLens 4 has no ``HookedTransformer``, so the class is not imported here and is recognized by its name. This module was
written for and tested with TransformerLens 2.16.1 and 3.7.3.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any, NoReturn

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import ModelError
from steerlens.models.backends.hooked_packing import PLACED, packed, padding_of
from steerlens.models.backends.hooked_watching import hooks_on, watch
from steerlens.models.backends.hooked_writing import written_by
from steerlens.models.backends.protocol import CachedPass, Capabilities, KeyValues
from steerlens.models.batches import TokenBatch
from steerlens.models.devices import weights_digest
from steerlens.models.hooks import Hook, residual_hook
from steerlens.models.passes import announced, claimed, of_this_thread, steered_here
from steerlens.models.roles import PAD
from steerlens.models.tokens import Tokenizer, tokenizer_of_bridge
from steerlens.models.unembedding import Unembedding

_WRITING = ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out")
"""The names of weights whose last dimension is the residual stream."""
_NO_KEYS = "attention keys and values of a HookedTransformer cannot be used again: every pass computes all columns."


def is_hooked_transformer(model: object) -> bool:
    """Returns whether a model is a ``HookedTransformer`` of TransformerLens, or of a class derived from it."""
    names = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(model).__mro__}
    return ("transformer_lens", "HookedTransformer") in names


class HookedBackend:
    """The backend for a ``HookedTransformer``. ``Backend`` documents each method."""

    def __init__(self, tl: Any, name: str = "") -> None:
        """Wraps a ``HookedTransformer``, and starts to record its passes.

        Args:
            tl: the ``HookedTransformer``.
            name: the model's name; ``""`` uses the name in the configuration.

        Raises:
            ModelError: the model has no tokenizer, attends in both directions, or predicts something other than its own tokens.
        """
        _check(tl, name or "this model")
        tl.eval()
        self.tl = tl
        self.name = name or str(tl.cfg.model_name) or "model"
        self.architecture = str(tl.cfg.original_architecture or "HookedTransformer")
        self.n_layers = int(tl.cfg.n_layers)
        self.d_model = int(tl.cfg.d_model)
        self.context = int(tl.cfg.n_ctx)
        self.state = watch(tl)
        self._processing: tuple[object, str] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """The operations that are supported. Choices can be packed if attention accepts a mask and positions are not counted by
        column. The keys and values of earlier passes are not reused."""
        positions, config = self.tl.cfg.positional_embedding_type, self.tl.cfg
        takes_masks = all("additive_attention_mask" in signature(block.attn.forward).parameters for block in self.tl.blocks)
        return Capabilities(
            packed_choices=takes_masks and positions in PLACED,
            key_reuse=False,
            left_padding=True,
            cached_passes=positions != "shortformer",
            hooks=True,
            gradients=not getattr(config, "load_in_4bit", False),
            generation=True,
            sharded=len(set(self.block_devices)) > 1,
        )

    @property
    def block_devices(self) -> tuple[torch.device, ...]:
        """The device on which each block runs."""
        return tuple(block.attn.W_O.device for block in self.tl.blocks)

    @property
    def attention_window(self) -> int | None:
        """The window of the layers with local attention."""
        config = self.tl.cfg
        return int(config.window_size) if config.use_local_attn and "local" in config.attn_types else None

    @property
    def weight_processing(self) -> str:
        """Returns a description of how TransformerLens changed the weights, as far as the configuration and the weights show
        this. Returns ``none`` for unchanged weights of Hugging Face.

        The description does not contain folded value biases and refactored attention, but these change the digest of the weights.
        """
        stamp = (self.weights_stamp(), self.tl.cfg.normalization_type)
        if self._processing is None or self._processing[0] != stamp:
            self._processing = (stamp, _processing(self.tl))
        return self._processing[1]

    def tokenizer(self) -> Tokenizer:
        """Returns the model's tokenizer. The tokenizer's files decide which tokens are put in front of a text, if these files are
        available; ``default_prepend_bos`` is not used."""
        return tokenizer_of_bridge(self.tl)

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Returns the parameters of the ``HookedTransformer``, the embedding first."""
        return self.tl.parameters()

    def weights_stamp(self) -> tuple[object, ...]:
        """Returns the memory address, version and dtype of each weight."""
        return tuple((t.data_ptr(), 0 if t.is_inference() else t._version, t.dtype) for t in self.parameters())

    def weights_digest(self) -> str:
        """Returns a digest of the parameters, under TransformerLens' names. Buffers are left out, because they follow from the
        configuration and some of them grow with longer passes."""
        return weights_digest(dict(self.tl.named_parameters()))

    def hooks_on(self) -> tuple[object, ...]:
        """Returns the hooks on all modules, except the hooks that record passes."""
        return hooks_on(self.tl)

    def final(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual stream after the last block, normed by ``ln_final``."""
        return self.final_norm(self._run(batch, batch.tokens, stop_at_layer=self.n_layers))

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        """Reads the residual streams. The pass ends after the highest of the layers."""
        seen: dict[int, Tensor] = {}

        def keep(residual: Tensor, hook: Any, layer: int) -> None:
            seen[layer] = read(residual).to(batch.tokens.device)

        with self.hooked([(residual_hook(layer), partial(keep, layer=layer)) for layer in layers]):
            self._run(batch, batch.tokens, stop_at_layer=max(layers) + 1)
        return seen

    def final_norm(self, residual: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Applies ``ln_final``. A model without norms has no ``ln_final``, and the residual stays unchanged."""
        if self.tl.cfg.normalization_type is None:
            return residual
        return self.tl.ln_final(residual.to(self.block_devices[-1])).to(residual.device)

    def unembedding(self) -> Unembedding:
        """Returns the unembedding with the weights of ``unembed``, and with the soft cap in the configuration."""
        cap, bias = float(self.tl.cfg.output_logits_soft_cap), self.tl.unembed.b_U.detach()
        return Unembedding(self.tl.unembed.W_U.detach().T, bias if bool(bias.any()) else None, cap if cap > 0 else None)

    def logits(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_vocab"]:
        """Returns the logits of the ``HookedTransformer``, which computes positions itself."""
        with self.claimed(), announced(self.state, batch.roles):
            return self.tl(batch.tokens, attention_mask=(batch.roles != PAD).long())

    def embeddings(self, ids: Int[Tensor, " pos"]) -> Float[Tensor, "pos d_model"]:
        """Returns the output of ``embed``, including its norm if the model has one."""
        return self.tl.embed(ids[None])[0]

    @contextmanager
    def hooked(self, hooks: Sequence[Hook]) -> Iterator[None]:
        """Sets hooks with the model's own ``hooks``."""
        with self.claimed(), self.tl.hooks(fwd_hooks=[(name, of_this_thread(hook)) for name, hook in hooks]):
            yield

    @contextmanager
    def applied(self, hooks: Sequence[Hook]) -> Iterator[None]:
        """Sets hooks with the model's own ``hooks``."""
        with steered_here(self.state, _draws), self.tl.hooks(fwd_hooks=list(hooks)):
            yield

    @torch.no_grad()
    def cached_pass(
        self, batch: TokenBatch, layers: Sequence[int], start: int = 0, before: KeyValues | None = None
    ) -> CachedPass:
        """Runs the batch once and keeps all columns.

        Raises:
            NotImplementedError: keys and values are requested.
        """
        if start or before:
            raise NotImplementedError(_NO_KEYS)
        residuals: dict[int, Tensor] = {}

        def keep(residual: Tensor, hook: Any, layer: int) -> None:
            residuals[layer] = residual.clone()

        with self.hooked([(residual_hook(layer), partial(keep, layer=layer)) for layer in layers]):
            return CachedPass(batch, 0, residuals, self.final(batch), None)

    def resume(
        self,
        cached: CachedPass,
        entering: Mapping[int, Float[Tensor, "_ pos d_model"]],
        before: KeyValues | None = None,
        keep: int = 0,
        *,
        a_copy_each: bool = False,
    ) -> tuple[Float[Tensor, "row pos d_model"], KeyValues]:
        """Continues with the model's own ``start_at_layer``.

        Raises:
            NotImplementedError: keys and values are given or requested.
        """
        if before or keep or a_copy_each:
            raise NotImplementedError(_NO_KEYS)
        layers = sorted(entering)
        residual = entering[layers[0]]
        for layer, end in zip(layers, [*layers[1:], self.n_layers - 1], strict=True):
            residual = residual if layer == layers[0] else torch.cat([residual, entering[layer].to(residual.device)])
            if end > layer:
                residual = self._run(cached.batch, residual, start_at_layer=layer + 1, stop_at_layer=end + 1)
        return self.final_norm(residual).to(cached.batch.tokens.device), {}

    def attending(self, before: KeyValues | None, keep: int) -> NoReturn:
        """Always raises an error, because ``capabilities`` does not include the reuse of keys.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(_NO_KEYS)

    def generate(self, batch: TokenBatch, max_new_tokens: int, **settings: Any) -> Any:
        """Calls Hugging Face's ``generate`` on this model's logits, because TransformerLens' own ``generate`` accepts neither
        masks nor stops. Every token needs a full pass."""
        with self.claimed():
            return written_by(self, batch, max_new_tokens, settings)

    def next_logits(self, ids: Sequence[int], cache: Any) -> tuple[Float[Tensor, " d_vocab"], Any]:  # noqa: ARG002 (none is kept)
        """Runs all tokens of the text in one pass."""
        tokens = torch.tensor([list(ids)], device=next(iter(self.parameters())).device)
        with self.claimed():
            residual = self.tl(tokens, attention_mask=torch.ones_like(tokens), stop_at_layer=self.n_layers)
        return self.unembedding().logits(self.final_norm(residual)[0, -1:])[0], None

    def ends(self) -> set[int]:
        """Returns the tokenizer's end-of-text token."""
        end = self.tl.tokenizer.eos_token_id
        return set() if end is None else {int(end)}

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Lets one thread at a time run the model (``passes.claimed``)."""
        with claimed(self.state, _draws):
            yield

    def _run(self, batch: TokenBatch, entering: Tensor, **layers: int) -> Float[Tensor, "row pos d_model"]:
        """Returns the residual stream after some blocks, from tokens or from residuals of one or more copies of a batch."""
        copies = len(entering) // len(batch.rows)
        with self.claimed(), announced(self.state, batch.roles.repeat(copies, 1)), packed(self.tl, batch, copies):
            return self.tl(entering, attention_mask=padding_of(batch, copies), **layers).to(entering.device)


def _draws() -> bool:
    """Returns whether passes draw random numbers. Passes of a ``HookedTransformer`` never draw random numbers, even in training
    mode."""
    return False


def _check(tl: Any, name: str) -> None:
    config = tl.cfg
    if tl.tokenizer is None:
        raise ModelError(f"{name} has no tokenizer. Give the HookedTransformer a tokenizer with set_tokenizer(...).")
    if config.attention_dir != "causal":
        raise ModelError(
            f"the attention of {name} sees later tokens too: expected a decoder-only language model, whose attention sees only "
            "earlier tokens."
        )
    if config.d_vocab_out != config.d_vocab:
        raise ModelError(
            f"{name} reads {config.d_vocab} different tokens but predicts {config.d_vocab_out}: expected a language model, "
            "which reads and predicts the same tokens."
        )


def _processing(tl: Any) -> str:
    """Returns a description in words of how the weights were processed."""
    writing = (own for name, own in tl.named_parameters() if name.rpartition(".")[2] in _WRITING)
    found = {
        "folded norms": str(tl.cfg.normalization_type).endswith("Pre"),
        "centred writing weights": all(map(_centred, writing)),
        "centred unembedding": _centred(tl.unembed.W_U),
    }
    return ", ".join(word for word, was_done in found.items() if was_done) or "none"


@torch.no_grad()
def _centred(weight: Tensor) -> bool:
    """Returns whether the mean over the last dimension is zero everywhere, except for rounding in the weight's dtype."""
    if not weight.is_floating_point():  # 4 bits to a number
        return False
    length = weight.shape[-1]
    allowed = max(2 * torch.finfo(weight.dtype).eps / length**0.5, 1e-5)
    spread = torch.linalg.vector_norm(weight, dim=-1, dtype=torch.float32) / length**0.5
    return bool((weight.mean(dim=-1, dtype=torch.float32).abs() <= allowed * spread).all())
