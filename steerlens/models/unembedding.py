"""Log probabilities of a few tokens, and their derivative, without ever holding a row of logits.

The unembedding of a multilingual model is larger than all its blocks (Gemma 3 270M: 168 of 268 million parameters). It is
gone through once in blocks of the vocabulary, small enough that a block's logits stay in the processor's cache; the
normaliser is put together from theirs, as in online softmax (Milakov and Gimelshein, arXiv 1805.02867).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 1 << 21
"""Logits held at once on a CPU: 8 MiB in float32."""
_BLOCK_GPU = 1 << 26


@dataclass(frozen=True, eq=False)
class Targets:
    """Tokens whose log probabilities are asked for."""

    places: Int[Tensor, " n"]
    """Which of the places given predicts each of them."""
    tokens: Int[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Unembedding:
    """From normed final residuals to logits, with the soft cap that Gemma 2 puts on them."""

    weight: Float[Tensor, "d_vocab d_model"]
    bias: Float[Tensor, " d_vocab"] | None
    cap: float | None

    @classmethod
    def of(cls, tl: Any) -> "Unembedding":
        """That of a model, as its weights are now."""
        cap = getattr(tl.original_model.config.get_text_config(), "final_logit_softcapping", None)
        bias = tl.unembed.b_U
        return cls(tl.unembed.W_U.T, bias if bias is not None and bool(bias.any()) else None, cap)

    def logits(self, final: Float[Tensor, "n d_model"], rows: slice | Tensor = slice(None)) -> Float[Tensor, "n rows"]:
        """Logits of some rows of the vocabulary, in float32."""
        raw = (final @ self.weight[rows].T).float()
        if self.bias is not None:
            raw = raw + self.bias[rows].float()
        return raw if self.cap is None else torch.tanh(raw / self.cap) * self.cap

    def log_probabilities(self, final: Float[Tensor, "place d_model"], targets: Targets) -> Float[Tensor, " n"]:
        """Log probability of each target at its place, in float32."""
        chosen, normaliser = self._read(final, targets)
        return chosen - normaliser[targets.places]

    def gradient(
        self, final: Float[Tensor, "place d_model"], targets: Targets, weights: Float[Tensor, " n"]
    ) -> Float[Tensor, "place d_model"]:
        """Derivative of the targets' weighted sum of log probabilities with respect to ``final``."""
        chosen, normaliser = self._read(final, targets)
        total = torch.zeros(len(final), device=final.device).index_add_(0, targets.places, weights)[:, None]
        expected = torch.zeros(final.shape, device=final.device)
        for rows in self._blocks(len(final)):
            logits = self.logits(final, rows)
            pull = (logits - normaliser[:, None]).exp() * self._slope(logits)
            expected += (pull.to(final.dtype) @ self.weight[rows]).float()
        pull = (weights * self._slope(chosen))[:, None] * self.weight[targets.tokens].float()
        return (torch.zeros_like(expected).index_add_(0, targets.places, pull) - total * expected).to(final.dtype)

    def _read(self, final: Float[Tensor, "place d_model"], targets: Targets) -> tuple[Tensor, Tensor]:
        """The targets' logits ``[n]`` and the places' normalisers ``[place]``, from one product: what rounding does to a logit
        in half precision, it does to both."""
        chosen, parts = torch.zeros(len(targets.tokens), device=final.device), []
        for rows in self._blocks(len(final)):
            logits = self.logits(final, rows)
            parts.append(logits.logsumexp(dim=1))
            column = targets.tokens - rows.start
            inside = (column >= 0) & (column < logits.shape[1])
            chosen = torch.where(inside, logits[targets.places, column.clamp(0, logits.shape[1] - 1)], chosen)
        return chosen, torch.stack(parts).logsumexp(dim=0)

    def _slope(self, logits: Tensor) -> Tensor:
        """Derivative of a capped logit with respect to the one before the cap."""
        return torch.ones_like(logits) if self.cap is None else 1 - (logits / self.cap) ** 2

    def _blocks(self, places: int) -> Iterator[slice]:
        size = max(1024, (_BLOCK_GPU if self.weight.is_cuda else _BLOCK) // max(1, places))
        for start in range(0, len(self.weight), size):
            yield slice(start, start + size)
