"""Computes the log probabilities of a few tokens, and their derivative, without keeping a full row of logits in memory.

The unembedding of a multilingual model is larger than all its blocks (Gemma 3 270M: 168 of 268 million parameters). So steerlens
reads the unembedding once, in blocks of the vocabulary. The logits of one block fit into the processor's cache. The softmax
normaliser is computed from the normalisers of the blocks, as in online softmax (Milakov and Gimelshein, arXiv 1805.02867).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_BLOCK = 1 << 21
"""The number of logits in memory at once on a CPU: 8 MiB in float32."""
_BLOCK_GPU = 1 << 26
_LIKELY = 1e-4
"""The smallest probability that puts a token on the short list. A token is on the list if it has at least this probability at one
or more of the places."""


@dataclass(frozen=True, eq=False)
class Targets:
    """The tokens whose log probabilities are requested."""

    places: Int[Tensor, " n"]
    """The index of the place (a row and column of a batch) at which each token is predicted."""
    tokens: Int[Tensor, " n"]


@dataclass(frozen=True, eq=False)
class Unembedding:
    """The function from final residuals, after the final norm, to logits. Some architectures also have a factor on the logits
    (Cohere, Granite) or a soft cap (Gemma 2, RecurrentGemma)."""

    weight: Float[Tensor, "d_vocab d_model"]
    bias: Float[Tensor, " d_vocab"] | None
    cap: float | None
    scale: float = 1.0
    """The factor on the logits, before the cap."""
    rest: Float[Tensor, " place"] | None = None
    """The log-sum-exp of the logits of all tokens outside the short list, at each place. ``None`` if the unembedding contains the
    whole vocabulary."""
    device: torch.device | None = None
    """The device on which logits are computed; ``None`` means the device of the weight. If the weight is on another device,
    blocks of the weight are copied to this device."""

    @property
    def place(self) -> torch.device:
        """The device on which logits are computed."""
        return self.device or self.weight.device

    def logits(self, final: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
        """Returns all logits in float32, on the device of ``final``."""
        return next(self._logits(final.to(self.place), len(self.weight)))[1].T.to(final.device)

    def log_probabilities(self, final: Float[Tensor, "place d_model"], targets: Targets) -> Float[Tensor, " n"]:
        """Returns the log probability of each target at its place, in float32, on the CPU.

        The check for an overflow of the exponentials runs on the CPU, so that the CPU waits for the device only once. The device
        computes the normalisers again only after an overflow.
        """
        final, targets = self._brought(final, targets)
        chosen, normaliser = self._read(final, targets)
        found = (chosen - self._of_all(normaliser)[targets.places]).cpu()
        if bool(found.isfinite().all()):
            return found
        return (chosen - self._of_all(self._checked(final, normaliser))[targets.places]).cpu()

    def shortened(
        self, final: Float[Tensor, "place d_model"], targets: Targets
    ) -> tuple[Float[Tensor, " n"], "Unembedding", Targets]:
        """Returns an unembedding for a short list of tokens. It is accurate enough to find out which of many changes of ``final``
        have an effect.

        The list contains all targets, and the tokens that have most of the probability mass at the places. The contribution of
        all other tokens to the normaliser is computed once, at ``final``, and is then kept constant. So the log probabilities at
        ``final`` equal the log probabilities with the whole vocabulary.

        Returns:
            Three values: the log probability of each target at its place, on the CPU; the short unembedding, for one or more
                copies of the places; and the targets, numbered as in the short unembedding.
        """
        home = final.device
        final, targets = self._brought(final, targets)
        likely = torch.zeros(len(self.weight), dtype=torch.bool, device=final.device)
        chosen, normaliser = self._read(final, targets, likely)
        normaliser = self._checked(final, normaliser)
        likely[targets.tokens] = True
        own = Targets(targets.places, (likely.cumsum(0) - 1)[targets.tokens])
        short = replace(self, weight=self._rows(likely), bias=None if self.bias is None else self.bias.to(final.device)[likely])
        covered = short._checked(final, short._read(final, own)[1])
        beside = torch.log1p(-(covered - normaliser).exp().clamp(max=1.0))
        found, own = chosen - normaliser[targets.places], Targets(own.places.to(home), own.tokens.to(home))
        return found.cpu(), replace(short, rest=normaliser + beside), own

    def gradient(
        self, final: Float[Tensor, "place d_model"], targets: Targets, weigh: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "place d_model"]:
        """Returns the derivative of a weighted sum of the targets' log probabilities with respect to ``final``.

        Args:
            weigh: a function that returns the targets' weights ``[n]``, given their log probabilities ``[n]``.
        """
        home = final.device
        final, targets = self._brought(final, targets)
        device, chosen = final.device, torch.zeros(len(targets.tokens), device=final.device)
        most = self._reference(final, targets)  # the largest logits so far; exponentials are relative to these
        total, expected = torch.zeros(len(final), device=device), torch.zeros(final.shape, device=device)
        for rows, logits in self._logits(final):
            chosen = _picked(chosen, rows, logits, targets)
            higher, slope = torch.maximum(most, logits.amax(dim=0)), self._slope(logits)
            pull, shrink, most = logits.sub(higher).exp_(), (most - higher).exp(), higher
            total = total * shrink + pull.sum(dim=0)
            expected = expected * shrink[:, None] + (self._rows(rows).T @ pull.mul_(slope).to(final.dtype)).T.float()
        weights = weigh(chosen - (most + total.log())[targets.places])
        asked = torch.zeros(len(final), device=device).index_add_(0, targets.places, weights)[:, None]
        own = (weights * self._slope(chosen))[:, None] * self._rows(targets.tokens).float()
        found = torch.zeros_like(expected).index_add_(0, targets.places, own) - asked * expected / total[:, None]
        return (self.scale * found).to(home, final.dtype)

    def _brought(self, final: Float[Tensor, "place d_model"], targets: Targets) -> tuple[Tensor, Targets]:
        """Returns both arguments on the device that computes logits."""
        place = self.place
        return final.to(place), Targets(targets.places.to(place), targets.tokens.to(place))

    def _rows(self, rows: slice | Tensor) -> Float[Tensor, "row d_model"]:
        """Returns rows of the weight, on the device that computes logits."""
        return self.weight[rows.to(self.weight.device) if isinstance(rows, Tensor) else rows].to(self.place)

    def _read(
        self, final: Float[Tensor, "place d_model"], targets: Targets, likely: Bool[Tensor, " d_vocab"] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns the targets' logits ``[n]`` and the places' normalisers ``[place]``. Logits and normalisers come from the same
        matrix product, so that rounding in half precision affects them in the same way. Tokens that are likely at one of the
        places are marked in ``likely``."""
        chosen, total = torch.zeros(len(targets.tokens), device=final.device), torch.zeros(len(final), device=final.device)
        reference = self._reference(final, targets)
        for rows, logits in self._logits(final):
            chosen = _picked(chosen, rows, logits, targets)
            total += logits.sub_(reference).exp_().sum(dim=0)
            if likely is not None:
                likely[rows] = (logits > _LIKELY * total).any(dim=1)
        return chosen, reference + total.log()

    def _reference(self, final: Float[Tensor, "place d_model"], targets: Targets) -> Float[Tensor, " place"]:
        """Returns the largest logit of the targets at each place. This logit is usually close to the largest logit of all tokens,
        so that exponentials relative to it neither vanish nor overflow."""
        logits = self.scale * (final[targets.places].float() * self._rows(targets.tokens).float()).sum(dim=1)
        least = torch.full((len(final),), -torch.inf, device=final.device)
        most = least.scatter_reduce(0, targets.places, logits, "amax")
        return torch.where(most.isfinite(), most, 0.0) if self.cap is None else most.clamp(-self.cap, self.cap)

    def _checked(self, final: Float[Tensor, "place d_model"], normaliser: Float[Tensor, " place"]) -> Float[Tensor, " place"]:
        """Returns the normalisers, computed again if the exponentials overflowed or vanished. Exponentials overflow or vanish if
        a target is about 80 nats from the likeliest token."""
        wrong = ~normaliser.isfinite()
        if bool(wrong.any()):
            parts = [logits.logsumexp(dim=0) for _, logits in self._logits(final[wrong])]
            normaliser[wrong] = torch.stack(parts).logsumexp(dim=0)
        return normaliser

    def _of_all(self, normaliser: Float[Tensor, " place"]) -> Float[Tensor, " place"]:
        """Returns the normalisers of the whole vocabulary, computed from the normalisers of a short list. There may be several
        copies of the places."""
        if self.rest is None:
            return normaliser
        joined = torch.logaddexp(normaliser.view(-1, len(self.rest)), self.rest).flatten()
        return torch.where(normaliser.isfinite(), joined, normaliser)

    def _slope(self, logits: Tensor) -> Tensor:
        """Returns the derivative of a capped logit with respect to the logit before the cap."""
        return torch.ones_like(logits) if self.cap is None else 1 - (logits / self.cap) ** 2

    def _logits(self, final: Float[Tensor, "place d_model"], size: int | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yields float32 logits ``[row, place]`` for each block of the vocabulary, one block after another. The logits of a block
        are valid only until the next block is requested.

        The vocabulary is the first dimension, because the product is then up to a third faster on a CPU. All blocks share one
        buffer, as a new buffer for each block would cause page faults.
        """
        size = size or max(1024, (_BLOCK_GPU if final.is_cuda else _BLOCK) // max(1, len(final)))
        states, float32 = final.T.contiguous(), self.weight.dtype == torch.float32
        buffer = torch.empty(min(size, len(self.weight)), len(final), dtype=self.weight.dtype, device=final.device)
        for start in range(0, len(self.weight), size):
            rows = slice(start, min(start + size, len(self.weight)))
            raw = torch.mm(self._rows(rows), states, out=buffer[: rows.stop - start])
            logits = raw if float32 else raw.float()
            if self.bias is not None:
                logits += self.bias[rows, None].to(logits.device)
            if self.scale != 1.0:
                logits *= self.scale
            yield rows, logits if self.cap is None else logits.div_(self.cap).tanh_().mul_(self.cap)


def _picked(
    chosen: Float[Tensor, " n"], rows: slice, logits: Float[Tensor, "row place"], targets: Targets
) -> Float[Tensor, " n"]:
    """Adds the logits of the targets that are in a block of the vocabulary."""
    column = targets.tokens - rows.start
    inside = (column >= 0) & (column < len(logits))
    return torch.where(inside, logits[column.clamp(0, len(logits) - 1), targets.places], chosen)
