"""How an item was answered."""

import math
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
    def valid(self) -> bool:
        """All scores are finite. Where they are not, nothing won: the numbers of the model ran over."""
        return bool(np.isfinite(self.scores).all())

    @property
    def picked(self) -> int | None:
        """Index of the best choice; ``None`` if the scores are not valid."""
        return int(np.argmax(self.scores)) if self.valid else None

    @property
    def hit(self) -> bool:
        """The right answer, or the locale's own, won."""
        return self.picked == self.item.answer

    @property
    def english_centric(self) -> bool:
        """The English locale's answer of a cultural item won, and is not the locale's own."""
        return self.valid and self.picked == self.item.english_answer != self.item.answer

    @property
    def margin(self) -> float:
        """Score of the answer minus that of the best other choice; NaN if the scores are not valid."""
        if not self.valid:
            return math.nan
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
