"""How an item was answered."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from steerlens.data import Item


@dataclass(frozen=True)
class Outcome:
    """How one item was answered."""

    item: Item
    scores: tuple[float, ...]
    """Of each choice: sum of its tokens' log probabilities over the divisor."""

    @property
    def picked(self) -> int:
        """Index of the best choice."""
        return int(np.argmax(self.scores))

    @property
    def hit(self) -> bool:
        """The right answer, or the locale's own, won."""
        return self.picked == self.item.answer

    @property
    def english_centric(self) -> bool:
        """The English locale's answer of a cultural item won, and is not the locale's own."""
        return self.picked == self.item.english_answer != self.item.answer

    @property
    def margin(self) -> float:
        """Score of the answer minus that of the best other choice."""
        return self.scores[self.item.answer] - self.scores[self.runner_up]

    @property
    def runner_up(self) -> int:
        """Index of the best choice that is not the answer."""
        return max((index for index in range(len(self.scores)) if index != self.item.answer), key=self.scores.__getitem__)

    def row(self) -> dict[str, Any]:
        """One line of a result table."""
        item = self.item
        return {
            "locale": item.locale,
            "kind": item.kind,
            "concept": item.concept,
            "hit": self.hit,
            "english_centric": self.english_centric,
            "margin": self.margin,
        }
