"""CLO: the model learns to prefer the answer in the language of the question over the same answer in the other language."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from steerlens.alignment.examples import encoded
from steerlens.alignment.learner import Learner
from steerlens.alignment.losses import preference_loss
from steerlens.alignment.objectives import Example, Objective, Stream, Weights, check_positive
from steerlens.alignment.texts import about, some
from steerlens.data import ENGLISH
from steerlens.data.parallel import ParallelCorpus, ParallelText
from steerlens.models.tokens import Tokenizer


@dataclass(frozen=True)
class CrossLingualOptimization(Objective):
    """The preference loss for the answer in the question's language, plus the negative log likelihood of the locale's answers.

    Let (x, y) be a question and its answer in a locale, and (x', y') the same question and answer in English. ``preference_loss``
    prefers y to y' after x, and y' to y after x'. The negative log likelihood of y after x is multiplied by ``weight`` and added.
    """

    beta: float = 0.1
    """A number that limits how far the model moves away from the model before training. A larger number allows smaller
    changes."""
    weight: float = 1.0
    """The factor by which the negative log likelihood of the locale's answers is multiplied in the loss."""
    name: ClassVar[str] = "CLO"
    source: ClassVar[str] = (
        "Lee et al., arXiv 2505.14297. Differences from the paper: training changes a LoRA adapter on the attention weights "
        "instead of all attention weights; the answers are short answers to factual questions instead of long answers to "
        "instructions; the weights of the two loss terms are settings of this method."
    )
    weights: ClassVar[Weights] = "attention"

    def __post_init__(self) -> None:
        check_positive(self.name, beta=self.beta, weight=self.weight)

    def streams(self, corpus: ParallelCorpus, locales: Sequence[str], tokenizer: Tokenizer) -> tuple[Stream, ...]:
        """Returns the questions whose answers differ between the locale and English. Each example combines the question in both
        languages with the answer in both languages.

        Args:
            corpus: the parallel texts.
            locales: the locales that are aligned with English.
            tokenizer: the model's tokenizer.
        """
        found = tuple(self._example(row, code, tokenizer) for row in corpus for code in _differing(row, locales))
        return (some(found, f"questions whose answers differ between {ENGLISH} and one of {', '.join(locales)}"),)

    def _example(self, row: ParallelText, code: str, tokenizer: Tokenizer) -> Example:
        """Returns the chosen texts in the locale and in English, followed by the rejected texts."""
        asked = ((code, code), (ENGLISH, ENGLISH), (code, ENGLISH), (ENGLISH, code))
        texts = (encoded(tokenizer, row.texts[question], question, row.answers[answer]) for question, answer in asked)
        return Example(tuple(texts), about(row))

    def losses(self, learner: Learner, batch: Sequence[Example], stream: int) -> dict[str, Float[Tensor, ""]]:  # noqa: ARG002
        """Returns the preference loss and the negative log likelihood of the locale's answers, in nats per token.

        Args:
            learner: the model that is trained.
            batch: the examples of one batch.
            stream: the index of the stream, which is 0 because this method has only one stream.
        """
        texts = [text for column in zip(*(example.texts for example in batch), strict=True) for text in column]
        before = learner.log_probabilities(texts, before=True)
        after = learner.log_probabilities(texts)
        half, n = len(texts) // 2, len(batch)
        learned = sum(text.learned for text in texts[:n])
        return {
            "preference": preference_loss(after[:half], after[half:], before[:half], before[half:], self.beta),
            "target": -self.weight * after[:n].sum() / learned,
        }


def _differing(row: ParallelText, locales: Sequence[str]) -> Iterator[str]:
    """Returns the locales of a row whose answer differs from the English answer."""
    return (code for code in locales if ENGLISH in row.answers and row.answers.get(code) not in (None, row.answers[ENGLISH]))
