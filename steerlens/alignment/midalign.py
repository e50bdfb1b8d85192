"""MidAlign: a contrastive loss makes the middle-layer residuals of parallel texts more similar. Training steps with this loss
alternate with training steps with the language-model loss."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.alignment.learner import Learner
from steerlens.alignment.losses import contrastive_loss
from steerlens.alignment.objectives import Example, Objective, Stream, check_positive
from steerlens.alignment.texts import pairs_with_english, single_texts
from steerlens.data import ENGLISH
from steerlens.data.parallel import ParallelCorpus
from steerlens.models.tokens import Tokenizer

_log = logging.getLogger("steerlens")


@dataclass(frozen=True)
class MidAlign(Objective):
    """The contrastive loss of pooled middle-layer residuals, alternating with the language-model loss.

    One training step minimises ``contrastive_loss`` between the mean residuals of texts and of their translations, after one
    middle block. The next training step minimises the negative log likelihood of texts in all locales.
    """

    layer: int
    """The index of the block after which residuals are aligned."""
    temperature: float = 0.1
    """The number by which similarities are divided in the contrastive loss."""
    centred: bool = True
    """Whether the mean of the batch, over the two languages together, is subtracted before similarities are computed. In many
    models, one direction that all texts share accounts for nearly the complete norm. Without the subtraction, all cosines are
    then near 1, and the loss does not fall."""
    name: ClassVar[str] = "MidAlign"
    source: ClassVar[str] = (
        "Liu and Niehues, arXiv 2502.14830. Differences from the paper: the mean of the batch is subtracted from the residuals; "
        "the contrastive loss is computed in both directions and averaged; texts about the same concept are not used as "
        "negatives for each other; the language-model loss replaces the loss of the paper's task."
    )

    least_batch: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_positive(self.name, temperature=self.temperature)

    def streams(self, corpus: ParallelCorpus, locales: Sequence[str], tokenizer: Tokenizer) -> tuple[Stream, ...]:
        """Returns two streams: pairs of an English text and its translation, and single texts in English and all locales.

        Args:
            corpus: the parallel texts.
            locales: the locales that are aligned with English.
            tokenizer: the model's tokenizer.
        """
        pairs = pairs_with_english(corpus, locales, tokenizer)
        return pairs, single_texts(corpus, (ENGLISH, *locales), tokenizer)

    def losses(self, learner: Learner, batch: Sequence[Example], stream: int) -> dict[str, Float[Tensor, ""]]:
        """Returns the contrastive loss of pairs, or the language-model loss of single texts.

        Args:
            learner: the model that is trained.
            batch: examples of one stream.
            stream: 0 for pairs, 1 for single texts.
        """
        if stream == 1:
            return {"language model": learner.nll([text for example in batch for text in example.texts])}
        english, own = zip(*(example.texts for example in batch), strict=True)
        both = learner.residuals([*english, *own], self.layer)
        both = both - both.mean(dim=0) if self.centred else both
        if len({example.about for example in batch}) == 1:
            _log.warning(
                "all examples in a batch of %d are about %s, so the contrastive loss of this batch is 0",
                len(batch),
                batch[0].about,
            )
        same = torch.tensor([[_same(one, other) for other in batch] for one in batch], device=both.device)
        return {"contrastive": contrastive_loss(both[len(batch) :], both[: len(batch)], self.temperature, same)}


def _same(one: Example, other: Example) -> bool:
    """Returns whether two examples must not be negatives for each other, because they are about the same concept or share a
    text."""
    return one.about == other.about or any(a.ids == b.ids for a, b in zip(one.texts, other.texts, strict=True))
