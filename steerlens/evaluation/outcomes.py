"""The results of a model on an item: the scores of its choices, and the text that it wrote."""

import math
from dataclasses import dataclass

import numpy as np

from steerlens.data import Item


@dataclass(frozen=True)
class Outcome:
    """The scores of the choices of one item."""

    item: Item
    scores: tuple[float, ...]
    """For each choice: the sum of its tokens' log probabilities, divided by the divisor."""

    @property
    def valid(self) -> bool:
        """Whether all scores are finite. If they are not, no choice won: the numbers of the model overflowed."""
        return bool(np.isfinite(self.scores).all())

    @property
    def predicted(self) -> int | None:
        """The index of the best choice; ``None`` if the scores are not valid."""
        return int(np.argmax(self.scores)) if self.valid else None

    @property
    def correct(self) -> bool:
        """Whether the right answer, or the locale's own, won."""
        return self.predicted == self.item.answer

    @property
    def english_centric(self) -> bool:
        """Whether the English locale's answer of a cultural item won, and is not the locale's own."""
        return self.valid and self.predicted == self.item.english_answer != self.item.answer

    @property
    def margin(self) -> float:
        """The score of the answer minus that of the best other choice; NaN if the scores are not valid."""
        if not self.valid:
            return math.nan
        return self.scores[self.item.answer] - self.scores[self.runner_up]

    @property
    def runner_up(self) -> int:
        """The index of the best choice that is not the answer."""
        return max((index for index in range(len(self.scores)) if index != self.item.answer), key=self.scores.__getitem__)

    def moved(self, change: float) -> "Outcome":
        """Returns the outcome with the answer's score changed so that its margin is the predicted one.

        Args:
            change: the number that is added to the answer's score, in nats per token (or in the unit of the scoring's
                normalisation).
        """
        at = self.item.answer
        return Outcome(self.item, (*self.scores[:at], self.scores[at] + change, *self.scores[at + 1 :]))


@dataclass(frozen=True)
class Writing:
    """The text that a model wrote after an item's prompt."""

    item: Item
    text: str
    tokens: tuple[int, ...]
    """The text's tokens, without special tokens."""
    expected: str = ""
    """The right text if it differs from the answer, such as the answer's letter in the letter format."""

    @property
    def answer(self) -> str:
        """The right text: the item's answer, or ``expected`` if there is one."""
        return self.expected or self.item.choices[self.item.answer]


@dataclass(frozen=True)
class Reading:
    """How well a model predicted a text that it did not write."""

    locale: str
    text: str
    nats: float
    """The mean negative log probability of the text's tokens after the first one."""
