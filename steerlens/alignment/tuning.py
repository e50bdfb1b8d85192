"""Multilingual tuning, which trains a model to answer questions in every language."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from steerlens.alignment.learner import Learner
from steerlens.alignment.objectives import Example, Objective, Stream
from steerlens.alignment.texts import single_texts, some
from steerlens.data import ENGLISH
from steerlens.data.parallel import ParallelCorpus
from steerlens.models.tokens import Tokenizer


@dataclass(frozen=True)
class MultilingualTuning(Objective):
    """The negative log likelihood of answers to the same questions in every language.

    Questions that exist in only one locale are also used. A corpus can therefore contain questions about a country's culture with
    the answers of this country.
    """

    name: ClassVar[str] = "multilingual tuning"
    source: ClassVar[str] = (
        "Supervised fine-tuning on translated instructions, as in Muennighoff et al. (arXiv 2211.01786). Differences "
        "from the paper: only a LoRA adapter is trained, and the answers are short."
    )

    def streams(self, corpus: ParallelCorpus, locales: Sequence[str], tokenizer: Tokenizer) -> tuple[Stream, ...]:
        """Returns every question with an answer, in English and in every locale.

        Args:
            corpus: the parallel texts.
            locales: the locales that are aligned with English.
            tokenizer: the model's tokenizer.
        """
        found = single_texts(corpus, (ENGLISH, *locales), tokenizer, answered=True)
        return (some(found, "questions with answers"),)

    def losses(self, learner: Learner, batch: Sequence[Example], stream: int) -> dict[str, Float[Tensor, ""]]:  # noqa: ARG002
        """Returns the negative log likelihood of the answers, in nats per token.

        Args:
            learner: the model that is trained.
            batch: the examples of one batch.
            stream: the index of the stream, which is 0 because this method has only one stream.
        """
        return {"answers": learner.nll([text for example in batch for text in example.texts])}
