"""The results of a model on an item: the scores of the item's choices, and the generated text."""

import math
from dataclasses import dataclass

import numpy as np

from steerlens.data import Item


@dataclass(frozen=True)
class Outcome:
    """The scores of the choices of one item."""

    item: Item
    scores: tuple[float, ...]
    """The score of each choice: the sum of the log probabilities of its tokens, divided by the divisor that the scoring
    chooses (for example the number of tokens)."""

    @property
    def valid(self) -> bool:
        """Whether all scores are finite. If a score is NaN or infinite, the model's numbers overflowed, and no choice
        wins."""
        return bool(np.isfinite(self.scores).all())

    @property
    def predicted(self) -> int | None:
        """The index of the choice with the best score; ``None`` if the scores are not valid."""
        return int(np.argmax(self.scores)) if self.valid else None

    @property
    def correct(self) -> bool:
        """Whether the right answer (of a factual item) or the local answer (of a cultural item) has the best score."""
        return self.predicted == self.item.answer

    @property
    def english_centric(self) -> bool:
        """Whether the English locale's answer of a cultural item has the best score and is not also the local answer."""
        return self.valid and self.predicted == self.item.english_answer != self.item.answer

    @property
    def margin(self) -> float:
        """The score of the answer minus the score of the best other choice; NaN if the scores are not valid."""
        if not self.valid:
            return math.nan
        return self.scores[self.item.answer] - self.scores[self.runner_up]

    @property
    def runner_up(self) -> int:
        """The index of the best choice that is not the answer."""
        return max((index for index in range(len(self.scores)) if index != self.item.answer), key=self.scores.__getitem__)

    def moved(self, change: float) -> "Outcome":
        """Returns the outcome with ``change`` added to the answer's score, so that the margin becomes the predicted margin.

        Args:
            change: the number that is added to the answer's score, in nats per token (or in the unit of the scoring's
                normalisation).
        """
        at = self.item.answer
        return Outcome(self.item, (*self.scores[:at], self.scores[at] + change, *self.scores[at + 1 :]))


@dataclass(frozen=True)
class Writing:
    """The text that a model generated after an item's prompt."""

    item: Item
    text: str
    tokens: tuple[int, ...]
    """The tokens of the generated text, without special tokens."""
    expected: str = ""
    """The right text if it differs from the item's answer. In the letter format, the right text is the answer's letter."""

    @property
    def answer(self) -> str:
        """The right text: ``expected`` if it is not empty, or else the item's answer."""
        return self.expected or self.item.choices[self.item.answer]


@dataclass(frozen=True)
class Reading:
    """The result of a model on a held-out text, which says how well the model predicts the text."""

    locale: str
    text: str
    nats: float
    """The mean negative log probability of all tokens of the text except the first token."""
