"""The number of tokens of the choices of items. It matters because choices with many tokens are compared with choices with
few."""

from dataclasses import dataclass
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

    Columns: locale, kind, concept, answer (tokens of the answer), fewest and most (over the shown names of all choices), apart
    (``most`` minus ``fewest``).
    """

    columns: ClassVar[tuple[str, ...]] = ("locale", "kind", "concept", "answer", "fewest", "most", "apart")

    def within(self, items: Items, apart: int = 0) -> Items:
        """Returns the items whose choices differ by at most ``apart`` tokens.

        Args:
            items: the items that were counted, or others with the same concepts and locales.
            apart: the largest allowed difference in tokens between the longest and the shortest choice.
        """
        near = self.frame[self.frame["apart"] <= apart]
        kept = set(zip(near["locale"], near["concept"], strict=True))
        return items.where(lambda item: (item.locale, item.concept) in kept)


def token_counts(model: LensModel, items: Items, *, scoring: Scoring | None = None) -> TokenCounts:
    """Counts the tokens of every choice, as the model's tokenizer splits it after its prompt. The model does not run.

    Args:
        model: the model whose tokenizer is used.
        items: the items.
        scoring: how choices are presented; the defaults for ``None``. Aliases are not counted.

    Raises:
        PromptError: an item cannot be asked.
    """
    rows = []
    for item in items:
        question = ask(model, item, scoring or Scoring(aliases=False))
        counts = [len(choice) for choice in question.row.choices]
        numbers = {"answer": counts[item.answer], "fewest": min(counts), "most": max(counts), "apart": max(counts) - min(counts)}
        rows.append({"locale": item.locale, "kind": item.kind, "concept": item.concept, **numbers})
    return TokenCounts(pd.DataFrame(rows, columns=list(TokenCounts.columns)))
