"""The model that is trained, in the form that losses need: residuals at a layer, and log probabilities of the tokens that
training learns to predict."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from einops import einsum, reduce
from jaxtyping import Float
from torch import Tensor

from steerlens.alignment.examples import Encoded, Padded, padded
from steerlens.errors import ModelError
from steerlens.models.lens import LensModel
from steerlens.numeric import layer_of

Pooled = Literal["mean", "last"]


class _Reached(Exception):
    """Stops a pass after the layer that is read, because later layers are not needed."""


@dataclass(frozen=True)
class Learner:
    """A Hugging Face model with a LoRA adapter, and the methods that losses need."""

    model: Any
    """A ``peft.PeftModel``."""
    blocks: Sequence[torch.nn.Module]
    """The model's blocks, in their order."""
    pad: int
    """The id of the token with which shorter texts are padded."""

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(iter(self.model.parameters())).device

    @property
    def dtype(self) -> torch.dtype:
        """The number type of the base model's weights."""
        return self.model.get_input_embeddings().weight.dtype

    def pad_all(self, texts: Sequence[Encoded]) -> Padded:
        """Returns texts as a batch on the model's device.

        Args:
            texts: the texts.
        """
        return padded(texts, self.pad, self.device)

    def residuals(
        self, texts: Sequence[Encoded], layer: int, pooled: Pooled = "mean", *, before: bool = False
    ) -> Float[Tensor, "text d_model"]:
        """Returns the residual stream after a block, as the mean over each text's tokens or at the last token of each text. Later
        blocks do not run.

        Args:
            texts: the texts.
            layer: the block's index.
            pooled: ``mean`` or ``last``.
            before: whether the residuals of the model before training are returned. These residuals have no gradients.

        Raises:
            LayerError: the model does not have the layer.
        """
        batch, seen = self.pad_all(texts), []
        block = self.blocks[layer_of(layer, range(len(self.blocks)), "the model that is trained")]

        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            seen.append(output[0] if isinstance(output, tuple) else output)
            raise _Reached

        handle = block.register_forward_hook(keep)
        try:
            with self._without_adapter() if before else nullcontext():
                self.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False)
        except _Reached:
            pass
        finally:
            handle.remove()
        residual = seen[0].float()
        if pooled == "last":
            return residual[torch.arange(len(texts)), batch.mask.sum(dim=1) - 1]
        weights = batch.own / reduce(batch.own.float(), "text pos -> text 1", "sum")
        return einsum(residual, weights, "text pos d, text pos -> text d")

    def log_probabilities(self, texts: Sequence[Encoded], *, before: bool = False) -> Float[Tensor, " text"]:
        """Returns, for each text, the sum of the log probabilities of the tokens that training learns to predict, in nats.

        Args:
            texts: the texts.
            before: whether the log probabilities of the model before training are returned. These log probabilities have no
                gradients.
        """
        batch = self.pad_all(texts)
        asked = torch.zeros_like(batch.learned)
        asked[:, :-1] = batch.learned[:, 1:]  # predicted at the token before
        with self._without_adapter() if before else nullcontext(), self._at(asked):
            logits = self.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits[0].float()
        each = torch.nn.functional.cross_entropy(logits, batch.ids[batch.learned], reduction="none")
        found = torch.zeros(batch.ids.shape, device=self.device).masked_scatter(batch.learned, -each)
        return found.sum(dim=1)

    def nll(self, texts: Sequence[Encoded]) -> Float[Tensor, ""]:
        """Returns the language-model loss: the negative log likelihood of the tokens that training learns to predict, in nats per
        token.

        Args:
            texts: the texts.
        """
        return -self.log_probabilities(texts).sum() / sum(text.learned for text in texts)

    def check(self, texts: Sequence[Encoded], base: LensModel, tolerance: float = 1e-2) -> None:
        """Checks that logits that are computed only at some tokens equal the logits of a complete forward pass. Also checks that
        the model that will be trained equals the base model.

        Args:
            texts: a few texts.
            base: the model as ``sl.load`` returned it, before its files were read again for training.
            tolerance: the largest allowed difference of a log probability. The allowed difference of a residual, relative to its
                norm, is ten times larger.

        Raises:
            ModelError: the architecture changes the logits in a way that steerlens does not know, or the model files have changed
                since the base model was loaded.
        """
        batch = self.pad_all(texts)
        with torch.no_grad():
            logits = self.model(input_ids=batch.ids, attention_mask=batch.mask, use_cache=False).logits.float()
            each = logits[:, :-1].log_softmax(-1).gather(-1, batch.ids[:, 1:, None])[..., 0]
            plain = (each * batch.learned[:, 1:]).sum(dim=1)
            ours = self.log_probabilities(texts)
        if not torch.allclose(ours, plain, rtol=tolerance, atol=tolerance):
            raise ModelError(
                f"{type(self.model.get_base_model()).__name__} gives different logits when only some tokens are unembedded "
                f"(log probabilities {ours.tolist()}) than when all tokens are unembedded ({plain.tolist()}), so steerlens "
                "cannot train this model. Expected a decoder-only model that applies its output weights to each token "
                "separately."
            )

        self._check_base(texts, base, tolerance)

    def _check_base(self, texts: Sequence[Encoded], base: LensModel, tolerance: float) -> None:
        """Compares the last block's residual in the trained model with the same residual in the base model."""
        layer = len(self.blocks) - 1
        batch = base.batch([base.row(text.ids) for text in texts])
        with torch.no_grad():
            seen = base.backend.residuals_after(batch, [layer], torch.Tensor.clone)[layer].float()
        before = seen[torch.arange(len(texts)), torch.tensor([len(text.ids) - 1 for text in texts])]
        own = self.residuals(texts, layer, "last", before=True)
        apart = (own - before).norm(dim=1) / before.norm(dim=1)
        if not (apart < 10 * tolerance).all():
            raise ModelError(
                f"the model that was read from {base.name} for training differs from the given model (residuals differ by "
                f"{apart.max().item():.0%}): the files or the revision have changed. Load the model again, with revision=…."
            )

    @contextmanager
    def _at(self, asked: Tensor) -> Iterator[None]:
        """Inside the ``with`` block, the output weights are applied only to the requested tokens. The logits have the shape
        ``[1, asked, vocabulary]``."""
        chosen: Callable[..., tuple[Tensor]] = partial(_chosen, asked)
        handle = self.model.get_base_model().get_output_embeddings().register_forward_pre_hook(chosen)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def _without_adapter(self) -> Iterator[None]:
        """Inside the ``with`` block, the model runs as it was before training, without the adapter, dropout and gradients."""
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad(), self.model.disable_adapter():
                yield
        finally:
            self.model.train(training)


def _chosen(asked: Tensor, _module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    """Returns the hidden states at the requested tokens, ``[1, asked, d_model]``."""
    return (inputs[0][asked][None],)
