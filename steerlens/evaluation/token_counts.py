"""Counts the tokens of the choices of items. The counts matter because the scores of choices with different numbers of tokens
are compared."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pandas as pd

from steerlens.data import Items
from steerlens.evaluation.questions import ask
from steerlens.models.lens import LensModel
from steerlens.settings import Scoring
from steerlens.tables import ResultTable


@dataclass(frozen=True, eq=False)
class TokenCounts(ResultTable):
    """The number of tokens of each item's choices.

    Columns: locale, kind, concept, answer (the number of tokens of the answer), fewest and most (the smallest and the largest
    number of tokens of a choice), apart (``most`` minus ``fewest``).
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "kind", "concept", "answer", "fewest", "most", "apart")

    def within(self, items: Items, apart: int = 0) -> Items:
        """Returns the items whose choices differ by at most ``apart`` tokens.

        Args:
            items: the items that were counted, or other items with the same concepts and locales.
            apart: the largest allowed difference in tokens between the longest and the shortest choice.
        """
        near = self.frame[self.frame["apart"] <= apart]
        kept = set(zip(near["locale"], near["concept"], strict=True))
        return items.where(lambda item: (item.locale, item.concept) in kept)


def token_counts(model: LensModel, items: Items, *, scoring: Scoring | None = None) -> TokenCounts:
    """Counts the tokens of every choice, as the model's tokenizer splits the choice after its prompt. The model is not run.
    Aliases of choices are not counted.

    Args:
        model: the model whose tokenizer is used.
        items: the items whose choices are counted.
        scoring: how choices are presented; ``None`` takes the defaults.

    Raises:
        PromptError: no prompt can be made from an item.
    """
    rows, own = [], replace(scoring or Scoring(), aliases=False)
    for item in items:
        question = ask(model, item, own)
        counts = [len(choice) for choice in question.row.choices]
        numbers = {"answer": counts[item.answer], "fewest": min(counts), "most": max(counts), "apart": max(counts) - min(counts)}
        rows.append({"locale": item.locale, "kind": item.kind, "concept": item.concept, **numbers})
    return TokenCounts(pd.DataFrame(rows, columns=list(TokenCounts.columns)))
