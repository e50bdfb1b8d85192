"""The interface that steerlens needs from any library that runs a model."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.models.batches import TokenBatch
from steerlens.models.hooks import Hook
from steerlens.models.passes import ModelState
from steerlens.models.tokens import Tokenizer
from steerlens.models.unembedding import Unembedding

KeyValues = Mapping[int, tuple[Float[Tensor, "_ head key d_head"], Float[Tensor, "_ head key d_head"]]]
"""Keys and values by layer, for tokens that later tokens attend to. A single row is used for any number of rows."""


@dataclass(frozen=True)
class Capabilities:
    """The operations that a backend supports. For the first three operations, ``capabilities.py`` also tests each model, because
    some models do not support them."""

    packed_choices: bool
    """Whether the model accepts a mask ``[batch, 1, pos, key]``, so that all choices of a prompt can be in one row."""
    key_reuse: bool
    """Whether ``attending`` works, and passes can be cached from a later column onward."""
    left_padding: bool
    """Whether rows can be padded in front."""
    cached_passes: bool
    """Whether ``cached_pass`` and ``resume`` work."""
    hooks: bool
    """Whether ``hooked`` and ``applied`` work, so that the model can be steered."""
    gradients: bool
    """Whether passes under hooks can be differentiated."""
    generation: bool
    """Whether ``generate`` and ``next_logits`` work."""
    sharded: bool
    """Whether the model runs on more than one device, or weights are kept in the CPU's memory or on disk until a block needs
    them."""


@dataclass(frozen=True, eq=False)
class CachedPass:
    """The result of a pass that ``Backend.resume`` can continue from."""

    batch: TokenBatch
    """The rows of the pass."""
    start: int
    """The first column for which results are kept. This column and all later columns are computed again when the pass is resumed.
    Earlier columns do not change."""
    residuals: dict[int, Float[Tensor, "batch pos d_model"]]
    """The residual stream after each of the requested layers, from column ``start`` onward."""
    final: Float[Tensor, "batch pos d_model"]
    """The residual stream after all blocks and the final norm, from column ``start`` onward."""
    own: Any
    """Data that only the backend itself uses."""


@runtime_checkable
class Backend(Protocol):
    """The interface of a model with all operations that steerlens needs.

    The methods of a backend return tensors on the device of the given batch, and the roles are on this device too. A hook gets
    the residual stream on the device of its block, and ``CachedPass.residuals`` stay on the block's device. Four attributes are
    optional. ``device`` is the device of the embedding; it is needed if the first parameter is not on the device that receives
    tokens. ``block_devices`` contains the device of each block; it is needed if the model is on several devices. ``devices``
    lists all devices of the model; it is needed if the embedding or the unembedding is on a device that has no block.
    ``offloaded`` says whether weights are offloaded.

    A layer is a block's index. A *final residual* is the residual stream after all blocks and the final norm; the unembedding
    turns final residuals into logits. A hook on a residual stream gets the same arguments as in TransformerLens. Its name
    is given by ``residual_hook``. A hook that runs in one of the backend's own passes finds the tokens' roles in ``state``.
    """

    name: str
    """The model's name in tables, files and errors."""
    architecture: str
    """The kind of model, such as ``gemma3_text``."""
    n_layers: int
    """The number of blocks."""
    d_model: int
    """The width of the residual stream."""
    context: int
    """The largest number of tokens in a row; 0 if there is no limit."""
    attention_window: int | None
    """The number of tokens that the narrowest layer attends to; ``None`` if all layers attend to all tokens."""
    state: ModelState
    """The passes that are running on the model now. For its own passes, the backend announces the roles of the tokens in
    ``state`` (``passes.announced``)."""

    @property
    def capabilities(self) -> Capabilities:
        """The operations that this backend supports for this model."""

    @property
    def weight_processing(self) -> str:
        """A short description of how the weights were changed after they were read, or ``none``. The description is part of the
        fingerprint."""

    def tokenizer(self) -> Tokenizer:
        """Returns the model's own tokenizer.

        Raises:
            ModelError: the model has no tokenizer.
        """

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Returns all weights. The first weight decides the device, and the first weight that is not quantized decides the
        dtype."""

    def weights_stamp(self) -> tuple[object, ...]:
        """Returns values that change when a weight is replaced or changed in place, without reading the weights."""

    def weights_digest(self) -> str:
        """Returns a digest over the name, shape and bytes of all weights."""

    def hooks_on(self) -> tuple[object, ...]:
        """Returns every hook that changes what the model computes, including hooks that the user set."""

    def final(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
        """Returns the final residuals of a ``batch``. No logits are computed."""

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        """Returns the result of ``read`` for the residual stream after each of some layers. The blocks above the highest of these
        layers do not need to run.

        Args:
            batch: the rows.
            layers: block indices.
            read: a function that is called with the residual stream ``[batch, pos, d_model]`` after each of these blocks.

        Returns:
            The result of ``read`` by layer.
        """

    def final_norm(self, residual: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Returns a ``residual`` after the norm between the last block and the unembedding."""

    def unembedding(self) -> Unembedding:
        """Returns the function from final residuals to logits, with the model's current weights."""

    def logits(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_vocab"]:
        """Returns the model's own logits for a ``batch``. The result of the unembedding is compared with these logits once."""

    def embeddings(self, ids: Int[Tensor, " pos"]) -> Float[Tensor, "pos d_model"]:
        """Returns the rows of the embedding matrix for some tokens, as they enter block 0, without position embeddings.

        Args:
            ids: the tokens, ``[pos]``, on the weights' device.
        """

    def hooked(self, hooks: Sequence[Hook]) -> AbstractContextManager[None]:
        """Runs passes inside the ``with`` block with these ``hooks``. When the ``with`` block ends, with or without an error,
        exactly these hooks are removed. Other threads wait."""

    def applied(self, hooks: Sequence[Hook]) -> AbstractContextManager[None]:
        """Sets ``hooks`` for all passes inside the ``with`` block, including passes that the user runs, and removes the hooks
        afterwards. Passes of other threads are refused."""

    def cached_pass(
        self, batch: TokenBatch, layers: Sequence[int], start: int = 0, before: KeyValues | None = None
    ) -> CachedPass:
        """Runs a batch once and keeps what ``resume`` needs for some layers.

        Args:
            batch: the rows.
            layers: the blocks after which the residual stream is kept.
            start: the first column that is kept.
            before: keys and values of a prefix that all rows share; ``None`` for no prefix.
        """

    def resume(
        self,
        cached: CachedPass,
        entering: Mapping[int, Float[Tensor, "_ pos d_model"]],
        before: KeyValues | None = None,
        keep: int = 0,
        *,
        a_copy_each: bool = False,
    ) -> tuple[Float[Tensor, "row pos d_model"], KeyValues]:
        """Returns the results that the cached pass would have had with other residual streams after some blocks.

        The blocks run once, from the lowest upward. A residual stream that enters after a block is put together with the streams
        that entered at lower blocks. The blocks above run on all of these streams at once.

        Args:
            cached: the pass.
            entering: the residual streams that replace cached residual streams, by the index of the block that they follow. Each
                replacement has the batch's rows, or several edited copies of these rows, one copy after another. Only blocks
                above the lowest index run, and only on the columns from ``cached.start`` onward.
            before: keys and values of the tokens before ``start``; ``None`` uses the keys and values of the cached pass.
            keep: the number of columns whose keys and values are kept.
            a_copy_each: whether ``before`` contains, at each block, one row for each copy that entered at a lower block. With
                ``False``, ``before`` contains one row for each row of the batch, or a single row.

        Returns:
            The final residuals and the kept keys and values. Streams that entered at lower blocks come first.
        """

    def attending(self, before: KeyValues | None, keep: int) -> AbstractContextManager[KeyValues]:
        """Lets attention also see other tokens in front of the tokens of a pass, inside the ``with`` block.

        Args:
            before: the keys and values of the other tokens; ``None`` if there are none.
            keep: the number of the pass's first tokens whose keys and values are kept.

        Yields:
            The keys and values of ``before`` and of the first ``keep`` tokens, which are filled in as blocks run.
        """

    def generate(self, batch: TokenBatch, max_new_tokens: int, **settings: Any) -> Any:
        """Returns the result of Hugging Face's ``generate`` for a batch padded in front: the prompts' ids and the generated ids
        after them.

        Args:
            batch: the prompts.
            max_new_tokens: the largest number of tokens that are generated.
            settings: Hugging Face's generation settings.
        """

    def next_logits(self, ids: Sequence[int], cache: Any) -> tuple[Float[Tensor, " d_vocab"], Any]:
        """Returns the logits of the token after a text, and the ``cache`` for the next call.

        Args:
            ids: all tokens of the text so far.
            cache: ``None`` at a text's first call. A later call has one more token, and gets the cache that the previous call
                returned.
        """

    def ends(self) -> set[int]:
        """Returns the tokens that end a text."""
