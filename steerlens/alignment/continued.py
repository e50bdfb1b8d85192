"""Continued training with the language-model loss. This method is the control for alignment methods, because it does not align
languages."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from steerlens.alignment.examples import encoded
from steerlens.alignment.learner import Learner
from steerlens.alignment.objectives import Example, Objective, Stream
from steerlens.alignment.texts import about, some
from steerlens.data import ENGLISH
from steerlens.data.parallel import ParallelCorpus
from steerlens.models.tokens import Tokenizer


@dataclass(frozen=True)
class ContinuedTraining(Objective):
    """The language-model loss on complete texts. All texts about one concept are in the same language.

    For each concept of the parallel texts, the concept's id decides which of its languages is kept. If the rows of a concept
    share no language, one language is drawn for each row. The model therefore learns texts in the same languages as with other
    methods, and learns no text in two languages.
    """

    name: ClassVar[str] = "continued training"
    source: ClassVar[str] = "A control that shows the effect of training on such texts without alignment."

    def streams(self, corpus: ParallelCorpus, locales: Sequence[str], tokenizer: Tokenizer) -> tuple[Stream, ...]:
        """Returns each parallel text in one of its languages. Texts about the same concept are returned in the same language.

        Args:
            corpus: the parallel texts.
            locales: the locales that other methods align with English.
            tokenizer: the model's tokenizer.
        """
        codes = (ENGLISH, *locales)
        there: dict[str, list[str]] = {}
        for row in corpus:
            own = there.setdefault(about(row), list(codes))
            there[about(row)] = [code for code in own if code in row.texts]
        drawn = [(row, _drawn(about(row), there[about(row)] or [code for code in codes if code in row.texts])) for row in corpus]
        found = tuple(
            Example((encoded(tokenizer, row.full(code), code),), about(row)) for row, code in drawn if code in row.texts
        )
        return (some(found, f"texts in {', '.join(codes)}"),)

    def losses(self, learner: Learner, batch: Sequence[Example], stream: int) -> dict[str, Float[Tensor, ""]]:  # noqa: ARG002
        """Returns the negative log likelihood of the texts, in nats per token.

        Args:
            learner: the model that is trained.
            batch: the examples of one batch.
            stream: the index of the stream, which is 0 because this method has only one stream.
        """
        return {"language model": learner.nll([text for example in batch for text in example.texts])}


def _drawn(name: str, codes: Sequence[str]) -> str:
    """Returns one of the given languages, or an empty text if there are no languages. The result for a name is the same on every
    machine."""
    return codes[int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % len(codes)] if codes else ""
