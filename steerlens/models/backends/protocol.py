"""What steerlens needs of whatever runs a model."""

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
"""Keys and values by layer, of tokens that later ones attend to. One row serves any number of rows."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do at all. Whether a model of it does the first three right is found by trial (``capabilities.py``)."""

    packed_choices: bool
    """Batches whose mask is ``[batch, 1, pos, key]`` can be run, so that all choices of a prompt can be in one row."""
    key_reuse: bool
    """``attending`` works, and passes can be cached from a later column on."""
    left_padding: bool
    """Rows can be padded in front."""
    cached_passes: bool
    """``cached_pass`` and ``resume`` work."""
    hooks: bool
    """``hooked`` and ``applied`` work: the model can be steered."""
    gradients: bool
    """Passes under hooks can be differentiated."""
    generation: bool
    """``generate`` and ``next_logits`` work."""
    sharded: bool
    """The model runs on more than one device, or weights are kept in the CPU's memory or on disk until a block needs them."""


@dataclass(frozen=True, eq=False)
class CachedPass:
    """What a pass left for ``Backend.resume``."""

    batch: TokenBatch
    """The rows that were run."""
    start: int
    """The first column that is kept and run again. The columns before it do not change."""
    residuals: dict[int, Float[Tensor, "batch pos d_model"]]
    """The residual stream after each of the layers asked for, from ``start`` on."""
    final: Float[Tensor, "batch pos d_model"]
    """The residual stream after all blocks and the final norm, from ``start`` on."""
    own: Any
    """Other data that only the backend uses."""


@runtime_checkable
class Backend(Protocol):
    """A model, and everything that steerlens does with it.

    Its methods return tensors on the device of the batch that they were given; roles are on it too. A hook is given the residual
    stream on the device of its block, where ``CachedPass.residuals`` stay, too. A backend whose first parameter is not where
    tokens go has ``device`` (that of the embedding). One of several devices has ``block_devices``, one for each block, and
    ``devices``, each once, if it has others too; ``offloaded`` says that weights are kept elsewhere.

    A layer is a block's index. A *final residual* is the residual stream after all blocks and the final norm, which the
    unembedding turns into logits. Hooks of a residual stream are called as TransformerLens does, under the names that
    ``residual_hook`` gives; a hook that runs in a pass of the backend's own finds the tokens' roles in ``state``.
    """

    name: str
    """The model's name, for tables, files and errors."""
    architecture: str
    """The kind of model, such as ``gemma3_text``."""
    n_layers: int
    """The number of blocks."""
    d_model: int
    """The width of the residual stream."""
    context: int
    """The largest number of tokens in a row; 0 if there is no limit."""
    attention_window: int | None
    """The number of tokens that the narrowest layer attends to; ``None`` if all layers attend to the whole text."""
    state: ModelState
    """The passes that run on the model now. Passes of the backend say in it what their tokens are (``passes.announced``)."""

    @property
    def capabilities(self) -> Capabilities:
        """What this backend can do at all with this model."""

    @property
    def weight_processing(self) -> str:
        """What was done to the weights since they were read: ``none``, or a word for it. It is part of the fingerprint."""

    def tokenizer(self) -> Tokenizer:
        """Returns the model's own tokenizer.

        Raises:
            ModelError: it has none.
        """

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Returns all weights. The first says the device, and the first that is not quantized the dtype."""

    def weights_stamp(self) -> tuple[object, ...]:
        """Returns values that change when a weight is replaced or changed in place. The weights are not read for it."""

    def weights_digest(self) -> str:
        """Returns a digest over the name, shape and bytes of all weights."""

    def hooks_on(self) -> tuple[object, ...]:
        """Returns every hook on the model that changes what it computes, including the user's own."""

    def final(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_model"]:
        """Returns the final residuals of a ``batch``. Nothing is unembedded."""

    def residuals_after(self, batch: TokenBatch, layers: Sequence[int], read: Callable[[Tensor], Tensor]) -> dict[int, Tensor]:
        """Returns what ``read`` makes of the residual stream after each of some layers. Blocks above the highest need not run.

        Args:
            batch: the rows.
            layers: block indices.
            read: called with the residual stream ``[batch, pos, d_model]`` after each of these blocks.

        Returns:
            By layer, what ``read`` returned.
        """

    def final_norm(self, residual: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "batch pos d_model"]:
        """Returns a ``residual`` after the norm between the last block and the unembedding."""

    def unembedding(self) -> Unembedding:
        """Returns the function from final residuals to logits, with the weights that the model has now."""

    def logits(self, batch: TokenBatch) -> Float[Tensor, "batch pos d_vocab"]:
        """Returns the model's own logits of a ``batch``, with which the unembedding is compared once."""

    def embeddings(self, ids: Int[Tensor, " pos"]) -> Float[Tensor, "pos d_model"]:
        """Returns the rows of the embedding's table for some tokens, as they enter block 0, without position embeddings.

        Args:
            ids: the tokens, ``[pos]``, on the weights' device.
        """

    def hooked(self, hooks: Sequence[Hook]) -> AbstractContextManager[None]:
        """Runs passes inside with these ``hooks``; however the block ends, these and no others are removed. Other threads
        wait."""

    def applied(self, hooks: Sequence[Hook]) -> AbstractContextManager[None]:
        """Sets ``hooks`` for passes that anybody runs inside, the user's too, and removes them. Passes of other threads are
        refused."""

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
        """Returns what the cached pass would have ended in, had the residual stream after some blocks been these ones.

        The blocks are climbed once: what enters after a block joins what entered below it, and the blocks above run on both.

        Args:
            cached: the pass.
            entering: by the index of a block, the residual stream after it of the batch's rows, or of several copies of them one
                after another, each edited in its own way. Only blocks above the lowest run, and only on the columns from
                ``cached.start`` on.
            before: keys and values of the tokens before ``start``; for ``None`` those of the cached pass.
            keep: the number of columns whose keys and values are kept.
            a_copy_each: whether ``before`` contains a row for each copy that has entered below the block, not for each row of the
                batch.

        Returns:
            The final residuals, those that entered lower first, and the keys and values kept.
        """

    def attending(self, before: KeyValues | None, keep: int) -> AbstractContextManager[KeyValues]:
        """Lets attention inside see other tokens in front of a pass's own ones.

        Args:
            before: the keys and values of these tokens; ``None`` for none.
            keep: the number of the pass's first tokens whose keys and values are kept.

        Yields:
            The keys and values of ``before`` and of the first ``keep`` tokens, filled in as blocks run.
        """

    def generate(self, batch: TokenBatch, max_new_tokens: int, **settings: Any) -> Any:
        """Returns what Hugging Face's ``generate`` gives for a batch padded in front: the prompts' ids and those that follow.

        Args:
            batch: the prompts.
            max_new_tokens: the number of tokens after which generation stops if the model does not.
            settings: Hugging Face's generation settings.
        """

    def next_logits(self, ids: Sequence[int], cache: Any) -> tuple[Float[Tensor, " d_vocab"], Any]:
        """Returns the logits of the token that follows a text, and what the next call is given as ``cache``.

        Args:
            ids: all of the text so far.
            cache: ``None`` for a text's first call; for later ones, which have one token more, what the call before gave.
        """

    def ends(self) -> set[int]:
        """Returns the tokens that end a text."""
