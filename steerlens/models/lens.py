"""Defines ``LensModel``, a language model with everything that steerlens needs: tokens, capture and generation."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.data import Prompt
from steerlens.errors import ModelError, PromptError, SettingsError
from steerlens.fingerprint import Fingerprint
from steerlens.models.backends import Backend, BridgeBackend, Capabilities, HookedBackend, backend_of
from steerlens.models.batches import Layout, PaddingSide, Row, TokenBatch, by_choices, by_length, token_batch
from steerlens.models.capabilities import check_unembedding, packs, pads_left, reuses_keys, unembeds
from steerlens.models.capture import brought_home, prompts_of, read_all
from steerlens.models.generating import TextGeneration
from steerlens.models.identity import fingerprint_of
from steerlens.models.places import ModelPlaces
from steerlens.models.plans import Plan
from steerlens.models.pooling import Positions, described
from steerlens.models.spec import LoadSpec, loadable
from steerlens.models.tokens import Text, Tokenizer, Tokens
from steerlens.numeric import Layers, layers_of


class LensModel(ModelPlaces, TextGeneration):
    """A decoder-only language model, which TransformerLens or another backend runs."""

    def __init__(
        self, model: Any, name: str = "", tokenizer: Tokenizer | None = None, *, made_from: LoadSpec | None = None
    ) -> None:
        """Wraps a bridge or a backend. Usually a model is made with ``load``.

        Args:
            model: a ``TransformerBridge``, a ``HookedTransformer``, or a ``Backend``.
            name: the model's name in tables and files; ``""`` uses the backend's name for the model.
            tokenizer: the tokenizer for all texts; ``None`` uses the model's own tokenizer, which is read again if its files are
                available.
            made_from: the arguments of ``load``, if ``load`` made the model.

        Raises:
            ModelError: the model is an encoder-decoder model or a Falcon with ALiBi, or TransformerLens has no tokenizer for it.
        """
        backend: Any = backend_of(model, name)
        self.backend: Backend = backend
        self.name = name or self.backend.name
        self.tokenizer = tokenizer or self.backend.tokenizer()
        self.n_layers = self.backend.n_layers
        self.d_model = self.backend.d_model
        self.trusted: dict[tuple[object, ...], bool] = {}
        """Whether each faster computation gave the same result as plain full passes. The two results are compared at the first
        use of the faster computation."""
        self._kept_fingerprint: tuple[object, Fingerprint] | None = None
        self._made_from = made_from
        self._stamp_when_made = self.backend.weights_stamp() if made_from else None

    def __repr__(self) -> str:
        return f"LensModel({self.name!r}, {self.n_layers} layers, d_model {self.d_model}, {self.dtype} on {self._whereabouts})"

    @property
    def tl(self) -> Any:
        """The ``TransformerBridge`` or ``HookedTransformer`` itself, for everything else that TransformerLens can do.

        Raises:
            ModelError: another backend runs this model.
        """
        if not isinstance(self.backend, BridgeBackend | HookedBackend):
            raise ModelError(f"{self.name} is run by a {type(self.backend).__name__}, not by TransformerLens: use model.backend.")
        return self.backend.tl

    @property
    def spec(self) -> LoadSpec:
        """The description with which this model can be loaded again, as a worker process does with ``model.spec.load()``. The
        description contains no weights.

        Raises:
            ModelError: the model was made from an existing bridge or backend, or its weights were changed after it was loaded.
        """
        changed = self._stamp_when_made != self.backend.weights_stamp() or self.backend.weight_processing != "none"
        return loadable(self._made_from, self.name, changed=changed)

    @property
    def capabilities(self) -> Capabilities:
        """The operations that this model supports. Some operations need a test pass, which runs once."""
        return replace(
            self.backend.capabilities, packed_choices=self.packs, key_reuse=self.reuses_keys, left_padding=self.pads_left
        )

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of this model, which is computed again after a weight was changed or replaced.

        steerlens does not notice a change through ``parameter.data``. After a change of this kind, load the model again.
        steerlens does notice changes in place under ``torch.no_grad()``.
        """
        stamp = self.backend.weights_stamp()
        if self._kept_fingerprint is None or self._kept_fingerprint[0] != stamp:
            self._kept_fingerprint = (stamp, fingerprint_of(self))
        return self._kept_fingerprint[1]

    def check_unembedding(self) -> None:
        """Checks once that the unembedding of the final residuals gives the model's own logits.

        Raises:
            ModelError: the architecture changes its logits in a way that steerlens does not know.
        """
        check_unembedding(self, self._unembeds)

    @cached_property
    def _unembeds(self) -> bool | None:
        return unembeds(self)

    @cached_property
    def packs(self) -> bool:
        """Whether all choices of a prompt can be run in one row. A test finds this out once."""
        return self.backend.capabilities.packed_choices and packs(self)

    @cached_property
    def reuses_keys(self) -> bool:
        """Whether a pass can continue from stored keys and values. Some architectures need more than keys and values, so a test
        finds this out once."""
        return self.packs and self.backend.capabilities.key_reuse and reuses_keys(self)

    @cached_property
    def pads_left(self) -> bool:
        """Whether shorter prompts of a batch can be padded in front, as batched generation does. A test finds this out once."""
        return self.backend.capabilities.left_padding and pads_left(self)

    def steered(self, plan: Plan) -> AbstractContextManager[None]:
        """Steers every pass inside the ``with`` block with a plan. Usually you call ``plan.applied(model)`` instead.

        Args:
            plan: a plan of this model.

        Raises:
            FingerprintError: the plan belongs to another model.
            ModelError: the backend does not support hooks.
        """
        return self.backend.applied(plan.hooks(self))

    def tokens(self, prompt: Text) -> Tokens:
        """Returns the tokens of a ``prompt``. The first tokens are the tokens that the tokenizer or chat template puts in front,
        without repetition. The tokens of the text itself follow.

        Raises:
            PromptError: the prompt is empty.
        """
        return self.tokenizer.tokens(prompt)

    def layers(self, layers: Layers | None = None) -> tuple[int, ...]:
        """Returns block indices, checked and in ascending order. ``layers`` is one index or several indices; ``None`` means all
        blocks.

        Raises:
            LayerError: the model does not have one of the layers.
        """
        return tuple(range(self.n_layers)) if layers is None else layers_of(layers, range(self.n_layers), f"model {self.name}")

    def row(self, prompt: Sequence[int], choices: Sequence[Sequence[int]] = ()) -> Row:
        """Returns the token ids of a ``prompt``, and of ``choices`` that follow it, as a row of a batch.

        Raises:
            PromptError: the row is longer than the model's context.
        """
        length, limit = len(prompt) + max(map(len, choices), default=0), self.backend.context
        if limit and length > limit:
            raise PromptError(f"a prompt of {length} tokens was given: {self.name} takes at most {limit}. Shorten the prompt.")
        return Row(tuple(prompt), tuple(map(tuple, choices)), self.tokenizer.n_front(prompt))

    def batch(self, rows: Sequence[Row], layout: Layout = "right") -> TokenBatch:
        """Returns ``rows`` padded to one length, on the model's device. ``layout`` names the side of the padding."""
        return token_batch(rows, self.tokenizer.pad_id, self.device, self.dtype, layout)

    def batches(self, lengths: Sequence[int], batch_size: int | None = None) -> list[list[int]]:
        """Returns batches of indices of rows with these ``lengths``, the longest first. If ``batch_size`` is ``None``, the batch
        size is chosen for the device.

        Raises:
            SettingsError: the batch size is below 1.
        """
        return list(by_length(lengths, batch_size, self.token_budget))

    def batches_of_rows(self, rows: Sequence[Row], batch_size: int | None = None, copies: int = 1) -> list[list[int]]:
        """Returns aligned batches of indices of ``rows`` with choices.

        Args:
            rows: prompts with their choices.
            batch_size: the number of rows at once; ``None`` chooses the number for the device.
            copies: the number of plans that will be run at once. For a larger number of plans, the batches are made with less
                padding.

        Raises:
            SettingsError: the batch size is below 1.
        """
        return list(by_choices(rows, batch_size, self.token_budget, copies))

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
        """Returns the residual stream after each block (``hook_resid_post``), at one position of each prompt.

        Except for rounding, a prompt has the same residuals whether it is run alone or in a batch. No logits are computed, and
        blocks above the highest requested layer do not run.

        Args:
            prompts: one or several texts or prompts of items. The stack's table contains the concept, locale and kind of each
                prompt that comes from an item.
            layers: block indices; ``None`` means all blocks.
            positions: the position that is read. ``last`` is the last token. ``mean`` is the mean over the prompt's tokens,
                without tokens in front such as BOS. A number means the token with this index in ``model.tokens(prompt)``; -1 is
                the last token.
            batch_size: the number of prompts at once; ``None`` chooses the number for the device.
            padding_side: the side on which shorter prompts of a batch are padded. The side does not change the results, and is
                meant for checks.

        Returns:
            Float32 residuals ``[layer, prompt, d_model]`` in the order of ``prompts``, on the CPU.

        Raises:
            PromptError: there are no prompts, a prompt is empty, or a prompt does not have the requested token.
            LayerError: the model does not have one of the layers.
            SettingsError: padding on the left changes what this architecture computes.
        """
        if padding_side == "left" and not self.pads_left:
            raise SettingsError(
                f"padding_side='left' given: padding in front of a prompt changes the state of {self.name}, so the results would "
                "change. Use padding_side='right', the default."
            )
        given, wanted = prompts_of(prompts), self.layers(layers)
        out = torch.empty(len(wanted), len(given), self.d_model)
        for indices, seen in brought_home(read_all(self, given, wanted, positions, batch_size, padding_side)):
            out[:, indices] = seen
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

        The residuals themselves are not kept, so memory does not grow with the number of prompts. A difference of means is the
        sum with weights ``1 / n`` and ``-1 / n``.

        Args:
            prompts: texts, or prompts of items.
            weights: the weight of each prompt in each sum, ``[prompt, sum]``.
            layers: block indices; ``None`` means all blocks.
            positions: see ``residuals``.
            batch_size: the number of prompts at once; ``None`` chooses the number for the device.

        Returns:
            Float64 ``[sum, layer, d_model]``, on the CPU.

        Raises:
            PromptError: there are no prompts, a prompt is empty or does not have the requested token, or ``weights`` does not
                have one row for each prompt.
            LayerError: the model does not have one of the layers.
        """
        given, wanted = prompts_of(prompts), self.layers(layers)
        if len(weights) != len(given):
            raise PromptError(
                f"{len(weights)} rows of weights were given for {len(given)} prompts: expected one row of weights per prompt."
            )
        each = weights.to(self.device, torch.float64)
        total = torch.zeros(each.shape[1], len(wanted), self.d_model, dtype=torch.float64, device=self.device)
        for indices, seen in read_all(self, given, wanted, positions, batch_size):
            total += einsum(seen.double(), each[indices], "layer prompt d_model, prompt sum -> sum layer d_model")
        return total.cpu()
