"""``LensModel``: a TransformerLens model with the capture, tokens and generation that steerlens is built on."""

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from typing import Any, overload

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import Prompt
from steerlens.errors import ModelError, PromptError, SettingsError
from steerlens.fingerprint import Fingerprint
from steerlens.models.batches import Layout, PaddingSide, Row, TokenBatch, by_choices, by_length, token_batch
from steerlens.models.devices import token_budget, weights_digest
from steerlens.models.forward import residuals_after, run_blocks
from steerlens.models.generating import generated
from steerlens.models.passes import watch
from steerlens.models.reading import Positions, described, placed, read, reading_weights
from steerlens.models.tokens import Text, Tokenizer, Tokens, tokenizer_of_bridge
from steerlens.models.trials import packs, pads_left, reuses_keys
from steerlens.models.unembedding import Unembedding
from steerlens.numeric import Layers, layers_of
from steerlens.progress import SHOW_FROM, progress

_USUAL = 64
"""Tokens of a row in the trial that finds how many a GPU takes."""


class LensModel:
    """A decoder-only language model in TransformerLens.

    ``tl`` is the ``TransformerBridge`` itself: everything that TransformerLens can do with it still can be done.
    """

    def __init__(self, tl: Any, name: str = "", tokenizer: Tokenizer | None = None) -> None:
        """Wraps a bridge. ``load`` is the usual way to a model.

        Args:
            tl: the ``TransformerBridge``.
            name: what the model is called in tables and files; the bridge's own name for ``""``.
            tokenizer: how texts become tokens; for ``None`` the model's own tokenizer, read anew where its files are at hand.

        Raises:
            ModelError: an encoder-decoder model, a Falcon with ALiBi, or a bridge without a tokenizer.
        """
        if getattr(tl.original_model.config, "is_encoder_decoder", False):
            raise ModelError(f"{name or 'this model'} is an encoder-decoder model: expected a decoder-only language model.")
        if getattr(tl.original_model.config, "model_type", "") == "falcon" and tl.original_model.config.alibi:
            raise ModelError(
                f"{name or 'this model'} is a Falcon with ALiBi: Transformers' eager attention, which TransformerLens runs, adds "
                "ALiBi twice, so residuals would be wrong by a tenth. Expected another architecture, or a Falcon with rotary "
                "positions."
            )
        if tl.tokenizer is None:
            raise ModelError(
                f"{name or 'this model'} has no tokenizer: give the bridge one, as in boot_transformers(..., tokenizer=...)."
            )
        tl.original_model.eval()
        self.tl = tl
        self.name = name or str(getattr(tl.cfg, "model_name", "")) or "model"
        self.tokenizer = tokenizer or tokenizer_of_bridge(tl)
        self.n_layers = len(tl.blocks)
        self.d_model = int(tl.cfg.d_model)
        self._kept_fingerprint: tuple[object, Fingerprint] | None = None
        self.trusted: dict[tuple[object, ...], bool] = {}
        """Ways of computing that were compared with the plain one, at their first use, and whether they gave the same."""
        watch(tl)

    def __repr__(self) -> str:
        return f"LensModel({self.name!r}, {self.n_layers} layers, d_model {self.d_model}, {self.dtype} on {self.device})"

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.tl.original_model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the weights are held in."""
        return next(self.tl.original_model.parameters()).dtype

    @property
    def fingerprint(self) -> Fingerprint:
        """Which model this is. It is taken anew after a weight was changed or replaced.

        A change through ``parameter.data`` leaves no trace that could be seen without reading all weights: load the model again
        after one, or change weights in place under ``torch.no_grad()``.
        """
        stamp = self.weights_stamp()
        if self._kept_fingerprint is None or self._kept_fingerprint[0] != stamp:
            self._kept_fingerprint = (stamp, self._fingerprint())
        return self._kept_fingerprint[1]

    def weights_stamp(self) -> tuple[object, ...]:
        """What changes when a weight is replaced or changed in place: memory, version and dtype of each."""
        held = self.tl.original_model.parameters()
        return tuple((t.data_ptr(), 0 if t.is_inference() else t._version, t.dtype) for t in held)

    def _fingerprint(self) -> Fingerprint:
        state = {name.replace("._original_component", ""): t for name, t in self.tl.original_model.state_dict().items()}
        return Fingerprint(
            weights=weights_digest(state),
            tokenizer=self.tokenizer.digest(),
            dtype=str(self.dtype).removeprefix("torch."),
            weight_processing="compatibility" if getattr(self.tl, "compatibility_mode", False) else "none",
            n_layers=self.n_layers,
            d_model=self.d_model,
            front=self.tokenizer.front,
            bos_id=self.tokenizer.bos_id,
            pad_id=self.tokenizer.pad_id,
            name=self.name,
        )

    @property
    def attention_window(self) -> int | None:
        """Tokens that the narrowest layer attends to, if some layers attend to a window or a chunk of the text."""
        config = self.tl.original_model.config.get_text_config()
        sliding = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        windows = (sliding, getattr(config, "window_size", None), getattr(config, "attention_chunk_size", None))
        return min((window for window in windows if isinstance(window, int)), default=None)

    def check_unembedding(self) -> None:
        """Makes sure, once, that unembedding the blocks' output gives the model's own logits.

        Raises:
            ModelError: the architecture does something to its logits that steerlens does not know of.
        """
        if self._unembeds is None:
            raise ModelError(
                f"{self.name} gives NaN or infinite logits in {self.dtype}: load it in bfloat16 or float32, or check its weights."
            )
        if not self._unembeds:
            raise ModelError(
                f"{self.name} computes its logits in a way that steerlens cannot reproduce token by token, so scores would "
                "be wrong. Capture and steering work; scoring does not for this architecture."
            )

    @cached_property
    def _unembeds(self) -> bool | None:
        """Whether the logits are the model's own; ``None`` if those are not finite."""
        batch = self.batch([self.row([*self.tokenizer.front, 5, 6, 7])])
        with torch.no_grad():
            ours = Unembedding.of(self.tl).logits(run_blocks(self.tl, batch)[0])
            theirs = self.tl.original_model(batch.tokens, use_cache=False).logits[0].float()
        close = 1e-4 if self.dtype == torch.float32 else 2e-2
        return bool((ours - theirs).norm() <= close * theirs.norm()) if bool(theirs.isfinite().all()) else None

    @cached_property
    def packs(self) -> bool:
        """All choices of a prompt can be run in one row. Tried once."""
        return packs(self)

    @cached_property
    def reuses_keys(self) -> bool:
        """Tokens can be run after others whose keys and values are kept. Tried once: some architectures keep more than those."""
        return self.packs and reuses_keys(self)

    @cached_property
    def pads_left(self) -> bool:
        """Shorter prompts of a batch can be padded in front, as batched generation does. Tried once."""
        return pads_left(self)

    def tokens(self, prompt: Text) -> Tokens:
        """The tokens that the model sees for a prompt or a chat: what its own tokenizer or chat template puts in front, once, and
        nothing appended.

        Raises:
            PromptError: the prompt is empty.
        """
        return self.tokenizer.tokens(prompt)

    def layers(self, layers: Layers | None = None) -> tuple[int, ...]:
        """Checked layer indices in ascending order; all for ``None``.

        Raises:
            LayerError: a layer that the model does not have.
        """
        return tuple(range(self.n_layers)) if layers is None else layers_of(layers, range(self.n_layers), f"model {self.name}")

    def row(self, prompt: Sequence[int], choices: Sequence[Sequence[int]] = ()) -> Row:
        """Token ids as a row of a batch.

        Raises:
            PromptError: it is longer than the model's context.
        """
        length, limit = len(prompt) + max(map(len, choices), default=0), int(getattr(self.tl.cfg, "n_ctx", 0) or 0)
        if limit and length > limit:
            raise PromptError(f"a prompt of {length} tokens was given: {self.name} takes at most {limit}. Shorten it.")
        return Row(tuple(prompt), tuple(map(tuple, choices)), self.tokenizer.n_front(prompt))

    def batch(self, rows: Sequence[Row], layout: Layout = "right") -> TokenBatch:
        """Rows padded to one length, on the model's device."""
        return token_batch(rows, self.tokenizer.pad_id, self.device, self.dtype, layout)

    def batches(self, lengths: Sequence[int], batch_size: int | None = None) -> list[list[int]]:
        """Indices of rows of these lengths in batches, longest first; of a size chosen for the device, or the given one.

        Raises:
            SettingsError: a batch size below 1.
        """
        return list(by_length(lengths, _checked(batch_size), self.token_budget))

    def batches_of_rows(self, rows: Sequence[Row], batch_size: int | None = None) -> list[list[int]]:
        """Indices of rows with choices in batches whose prompts are aligned; of a size chosen for the device, or the given one.

        Raises:
            SettingsError: a batch size below 1.
        """
        return list(by_choices(rows, _checked(batch_size), self.token_budget))

    @cached_property
    def token_budget(self) -> int:
        """Tokens of a batch, padding among them: found once for the device, by trial on a GPU."""
        return token_budget(self.device, self._trial)

    @torch.no_grad()
    def _trial(self, tokens: int) -> None:
        """Runs the blocks on as many tokens, in rows of a usual length."""
        rows = [self.row([5] * _USUAL)] * max(1, tokens // _USUAL)
        run_blocks(self.tl, self.batch(rows))

    @torch.no_grad()
    def residuals(
        self,
        prompts: Sequence[Prompt | str] | Prompt | str,
        layers: Sequence[int] | int | None = None,
        positions: Positions = "last",
        *,
        batch_size: int | None = None,
        padding_side: PaddingSide = "right",
    ) -> ResidualStack:
        """The residual stream after each block (``hook_resid_post``), at one position of each prompt.

        A prompt's residuals are the same alone and in any batch, to rounding. Nothing is unembedded, and blocks above
        the highest layer asked for do not run.

        Args:
            prompts: texts, or prompts of items, whose concept, locale and kind go into the stack's table; or one of them.
            layers: block indices; all for ``None``.
            positions: ``last`` token, ``mean`` over the prompt's tokens without what stands in front, as BOS does, or the index
                of a token as ``model.tokens(prompt)`` shows them (-1 is the last).
            batch_size: prompts at once; chosen for the device for ``None``.
            padding_side: where shorter prompts of a batch are padded; for checks, it changes nothing.

        Returns:
            Float32 residuals ``[layer, prompt, d_model]`` in the order of ``prompts``, on the CPU.

        Raises:
            PromptError: no prompts, an empty one, or one without the token asked for.
            LayerError: a layer that the model does not have.
            SettingsError: padding on the left, which changes what this architecture computes.
        """
        if padding_side == "left" and not self.pads_left:
            raise SettingsError(f"{self.name} keeps a state that runs through padding in front: pad on the right, the default.")
        given, wanted = self._prompts(prompts), self.layers(layers)
        out = torch.empty(len(wanted), len(given), self.d_model)
        for indices, seen in self._read_all(given, wanted, positions, batch_size, padding_side):
            out[:, indices] = seen.cpu()
        return ResidualStack(out, wanted, given, described(positions), self.fingerprint)

    @torch.no_grad()
    def weighted_residuals(
        self,
        prompts: Sequence[Prompt | str],
        weights: Float[Tensor, "prompt sum"],
        layers: Sequence[int] | int | None = None,
        positions: Positions = "last",
        *,
        batch_size: int | None = None,
    ) -> Float[Tensor, "sum layer d_model"]:
        """Returns weighted sums of the prompts' residuals after each block, accumulated in float64 batch by batch.

        What ``residuals`` would give is never held: memory does not grow with the prompts. A mean difference is the sum with
        weights ``1 / n`` and ``-1 / n``.

        Args:
            prompts: texts, or prompts of items.
            weights: the weight of each prompt in each sum.
            layers: block indices; all for ``None``.
            positions: as for ``residuals``.
            batch_size: prompts at once; chosen for the device for ``None``.

        Returns:
            Float64 ``[sum, layer, d_model]``, on the CPU.

        Raises:
            PromptError: no prompts, an empty one, one without the token asked for, or not a weight for each.
            LayerError: a layer that the model does not have.
        """
        given, wanted = self._prompts(prompts), self.layers(layers)
        if len(weights) != len(given):
            raise PromptError(f"{len(weights)} rows of weights given for {len(given)} prompts: expected one for each.")
        each = weights.to(self.device, torch.float64)
        total = torch.zeros(each.shape[1], len(wanted), self.d_model, dtype=torch.float64, device=self.device)
        for indices, seen in self._read_all(given, wanted, positions, batch_size):
            total += einsum(seen.double(), each[indices], "layer prompt d_model, prompt sum -> sum layer d_model")
        return total.cpu()

    def _prompts(self, prompts: Sequence[Prompt | str] | Prompt | str) -> tuple[Prompt, ...]:
        each = [prompts] if isinstance(prompts, str | Prompt) else prompts
        given = tuple(p if isinstance(p, Prompt) else Prompt(p) for p in each)
        if not given:
            raise PromptError("no prompts given: expected at least one.")
        return given

    def _read_all(
        self,
        prompts: Sequence[Prompt],
        layers: Sequence[int],
        positions: Positions,
        batch_size: int | None,
        side: PaddingSide = "right",
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Indices of a batch's prompts, and what is read of them: float32 ``[layer, prompt, d_model]``, on the device."""
        rows = [self.row(self.tokenizer.ids(prompt)) for prompt in prompts]
        weights = [reading_weights(row, prompt, positions) for row, prompt in zip(rows, prompts, strict=True)]
        with progress(len(rows), "Residuals", "prompt", show=len(rows) >= SHOW_FROM) as bar:
            for indices in self.batches([len(row) for row in rows], batch_size):
                batch = self.batch([rows[i] for i in indices], side)
                reading = placed([weights[i] for i in indices], batch)
                seen = residuals_after(self.tl, batch, layers, partial(read, weights=reading))
                yield indices, torch.stack([seen[layer] for layer in layers])
                bar.update(len(indices))

    @overload
    def generate(self, prompts: Text, max_new_tokens: int = ..., **settings: Any) -> str: ...
    @overload
    def generate(self, prompts: Sequence[Text], max_new_tokens: int = ..., **settings: Any) -> list[str]: ...

    def generate(self, prompts: Any, max_new_tokens: int = 30, **settings: Any) -> Any:
        """What the model writes after a prompt or a chat, or after each of several; greedy unless told otherwise.

        Args:
            prompts: a text, a ``Prompt`` or a chat (a list of messages), or a list or tuple of these.
            max_new_tokens: where it stops if the model does not.
            settings: any of Hugging Face's generation settings, as ``do_sample=True, temperature=0.7``.

        Returns:
            A text, or one for each of several prompts. With ``num_return_sequences`` above 1, a list of texts in place of each.

        Raises:
            PromptError: no prompt, an empty one, or something that is neither a text nor a chat.
            SettingsError: settings under which ``generate`` returns more than tokens; call ``model.tl.original_model.generate``.
        """
        return generated(self, prompts, max_new_tokens, settings)


def _checked(batch_size: int | None) -> int | None:
    if batch_size is not None and batch_size < 1:
        raise SettingsError(f"batch size {batch_size} given: expected at least 1, or None to have it chosen.")
    return batch_size
