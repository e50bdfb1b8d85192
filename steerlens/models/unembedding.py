"""Log probabilities of a few tokens, and their derivative, without ever holding a row of logits.

The unembedding of a multilingual model is larger than all its blocks (Gemma 3 270M: 168 of 268 million parameters). It is
gone through once in blocks of the vocabulary, small enough that a block's logits stay in the processor's cache; the
normaliser is put together from theirs, as in online softmax (Milakov and Gimelshein, arXiv 1805.02867).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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
    """The function from normed final residuals to logits, with a factor (Cohere, Granite) and a soft cap (Gemma 2,
    RecurrentGemma)."""

    weight: Float[Tensor, "d_vocab d_model"]
    bias: Float[Tensor, " d_vocab"] | None
    cap: float | None
    scale: float = 1.0
    """Factor on the logits, before the cap."""

    def logits(self, final: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
        """All logits, in float32."""
        return next(self._logits(final, len(self.weight)))[1].T

    def log_probabilities(self, final: Float[Tensor, "place d_model"], targets: Targets) -> Float[Tensor, " n"]:
        """Log probability of each target at its place, in float32, on the CPU.

        Whether exponentials overflowed is looked at there: the device is waited for once, and works again only where they did.
        """
        chosen, normaliser = self._read(final, targets)
        found = (chosen - normaliser[targets.places]).cpu()
        if bool(found.isfinite().all()):
            return found
        return (chosen - self._checked(final, normaliser)[targets.places]).cpu()

    def gradient(
        self, final: Float[Tensor, "place d_model"], targets: Targets, weigh: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "place d_model"]:
        """Derivative of the targets' weighted sum of log probabilities with respect to ``final``.

        Args:
            weigh: the targets' weights ``[n]``, given their log probabilities ``[n]``.
        """
        chosen, normaliser = self._read(final, targets)
        normaliser = self._checked(final, normaliser)
        weights = weigh(chosen - normaliser[targets.places])
        total = torch.zeros(len(final), device=final.device).index_add_(0, targets.places, weights)[:, None]
        expected = torch.zeros(final.shape, device=final.device)
        for rows, logits in self._logits(final):
            pull = logits.sub(normaliser).exp_() * self._slope(logits)
            expected += (self.weight[rows].T @ pull.to(final.dtype)).T.float()
        pull = (weights * self._slope(chosen))[:, None] * self.weight[targets.tokens].float()
        found = torch.zeros_like(expected).index_add_(0, targets.places, pull) - total * expected
        return (self.scale * found).to(final.dtype)

    def _read(self, final: Float[Tensor, "place d_model"], targets: Targets) -> tuple[Tensor, Tensor]:
        """The targets' logits ``[n]`` and the places' normalisers ``[place]``, from one product: what rounding does to a logit
        in half precision, it does to both."""
        chosen, total = torch.zeros(len(targets.tokens), device=final.device), torch.zeros(len(final), device=final.device)
        reference = self._reference(final, targets)
        for rows, logits in self._logits(final):
            column = targets.tokens - rows.start
            inside = (column >= 0) & (column < len(logits))
            chosen = torch.where(inside, logits[column.clamp(0, len(logits) - 1), targets.places], chosen)
            total += logits.sub_(reference).exp_().sum(dim=0)
        return chosen, reference + total.log()

    def _reference(self, final: Float[Tensor, "place d_model"], targets: Targets) -> Float[Tensor, " place"]:
        """A logit of each place, near enough to its largest for exponentials against it neither to vanish nor to overflow."""
        logits = self.scale * (final[targets.places].float() * self.weight[targets.tokens].float()).sum(dim=1)
        least = torch.full((len(final),), -torch.inf, device=final.device)
        most = least.scatter_reduce(0, targets.places, logits, "amax")
        return torch.where(most.isfinite(), most, 0.0) if self.cap is None else most.clamp(-self.cap, self.cap)

    def _checked(self, final: Float[Tensor, "place d_model"], normaliser: Float[Tensor, " place"]) -> Float[Tensor, " place"]:
        """The normalisers, taken anew where the exponentials overflowed or vanished (a target 80 nats from the likeliest)."""
        wrong = ~normaliser.isfinite()
        if bool(wrong.any()):
            parts = [logits.logsumexp(dim=0) for _, logits in self._logits(final[wrong])]
            normaliser[wrong] = torch.stack(parts).logsumexp(dim=0)
        return normaliser

    def _slope(self, logits: Tensor) -> Tensor:
        """Derivative of a capped logit with respect to the one before the cap."""
        return torch.ones_like(logits) if self.cap is None else 1 - (logits / self.cap) ** 2

    def _logits(self, final: Float[Tensor, "place d_model"], size: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Float32 logits ``[row, place]`` of one block of the vocabulary after another, each good until the next is asked for.

        The vocabulary is the first dimension: so turned, the product is up to a third faster on a CPU, and one buffer that
        serves all blocks saves the pages that a new one each would fault in.
        """
        size = size or max(1024, (_BLOCK_GPU if self.weight.is_cuda else _BLOCK) // max(1, len(final)))
        states, float32 = final.T.contiguous(), self.weight.dtype == torch.float32
        buffer = torch.empty(min(size, len(self.weight)), len(final), dtype=self.weight.dtype, device=final.device)
        for start in range(0, len(self.weight), size):
            rows = slice(start, min(start + size, len(self.weight)))
            raw = torch.mm(self.weight[rows], states, out=buffer[: rows.stop - start])
            logits = raw if float32 else raw.float()
            if self.bias is not None:
                logits += self.bias[rows, None]
            if self.scale != 1.0:
                logits *= self.scale
            yield rows, logits if self.cap is None else logits.div_(self.cap).tanh_().mul_(self.cap)
