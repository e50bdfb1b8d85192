"""The table of one item's choices, before and after steering."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from steerlens.data import Item
from steerlens.evaluation.finite import finite
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.scorer import Scorer
from steerlens.models.lens import LensModel
from steerlens.settings import Scoring
from steerlens.steering import UNSTEERED, SteeringPlan
from steerlens.tables import ResultTable

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

STEERED = "steered"


@dataclass(frozen=True, eq=False)
class ItemChoices(ResultTable):
    """The scores of one item's choices, with one row per choice for the unsteered and for the steered model.

    Columns: concept, locale, steering, choice, answer, owners, score, share (the softmax of the scores), predicted (whether
    the choice has the best score). ``answer`` says whether the choice is the right or the local answer. ``owners`` lists the
    locales that have the choice as their answer. ``score`` is the log probability of the choice, with the scoring's
    normalisation.
    """

    columns: ClassVar[tuple[str, ...]] = (
        *("concept", "locale", "steering", "choice", "answer", "owners", "score", "share", "predicted"),
    )

    def plot(self) -> "Figure":
        """Draws bars of every choice's share, before and after steering. The right or local answer is marked."""
        from steerlens.plotting import choice_bars

        return choice_bars(self.frame)


def item_choices(
    model: LensModel, item: Item, plan: SteeringPlan | None = None, *, scoring: Scoring | None = None
) -> ItemChoices:
    """Scores the choices of one item with the unsteered model and, if a plan is given, with the steered model.

    Args:
        model: the model that is asked.
        item: the item that is asked.
        plan: the plan that steers the model; ``None`` means no steering.
        scoring: how choices are presented and scored; ``None`` takes the defaults.

    Raises:
        FingerprintError: the plan belongs to another model.
        PromptError: no prompt can be made from the item.
        ModelError: scores of the unsteered model are not finite.
        VectorError: scores under the plan are not finite.
    """
    scorer = Scorer(model, [item], scoring)
    unsteered = finite(scorer.base, model)[0]
    return compared(unsteered, finite(scorer.score(plan), model, plan)[0] if plan is not None else None)


def compared(unsteered: Outcome, steered: Outcome | None = None) -> ItemChoices:
    """Returns the table of one item's outcomes. If scores are not finite, shares are NaN and no choice is predicted."""
    import pandas as pd

    runs = {UNSTEERED: unsteered} if steered is None else {UNSTEERED: unsteered, STEERED: steered}
    return ItemChoices(pd.DataFrame([row for steering, outcome in runs.items() for row in _rows(steering, outcome)]))


def _rows(steering: str, outcome: Outcome) -> list[dict[str, Any]]:
    item, scores = outcome.item, np.array(outcome.scores)
    shares = np.exp(scores - scores.max()) if outcome.valid else np.full(len(scores), np.nan)
    shares /= shares.sum()
    owners = [", ".join(own) for own in item.owners] or [""] * len(item.choices)
    return [
        {
            **{"concept": item.concept, "locale": item.locale, "steering": steering, "choice": choice},
            **{"answer": at == item.answer, "owners": owners[at], "score": float(scores[at]), "share": float(shares[at])},
            "predicted": at == outcome.predicted,
        }
        for at, choice in enumerate(item.choices)
    ]
