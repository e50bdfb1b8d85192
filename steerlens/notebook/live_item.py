"""Predicts and measures the effect of the slider's strength on one item. The margin is predicted at once, and the choices are
scored exactly later. All results are kept."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from steerlens.data import Item
from steerlens.evaluation import Attribution, Outcome, Scorer, attributions
from steerlens.evaluation.finite import finite
from steerlens.models import LensModel
from steerlens.steering import Intervention, SteeredTokens, SteeringPlan, SteeringVector, StepSpec

_CURVE = 33
"""The number of strengths at which the predicted line is computed."""


class LiveItem:
    """One item, the vectors that can steer the model on this item, and the results that were computed so far."""

    def __init__(
        self,
        model: LensModel,
        item: Item,
        vectors: Sequence[Intervention],
        layers: Sequence[int],
        tokens: SteeredTokens,
        kept: SteeringPlan | None = None,
    ) -> None:
        """Makes the object without running the model.

        Args:
            layers: the layers that all vectors have.
            kept: the steps that are part of every plan of this item. Derivatives are computed without these steps, on the
                unsteered model.
        """
        self.item, self.kept = item, kept
        self._wanted, self._tokens = [(vector, layers) for vector in vectors], tokens
        self._scorer = Scorer(model, [item])
        self._exact: dict[tuple[str, int], dict[float, Outcome]] = {}
        self._before: dict[tuple[str, int, float], float] = {}

    @cached_property
    def _predicted(self) -> dict[str, Attribution]:
        """The predictions, from one forward and one backward pass."""
        added = [(vector, layers) for vector, layers in self._wanted if isinstance(vector, SteeringVector)]
        found = attributions(self._scorer, added, self._tokens) if added else {}
        return {vector.name: found.get(vector.name) or Attribution.unknown(vector.name) for vector, _ in self._wanted}

    @property
    def derived(self) -> bool:
        """Whether a prediction can be made without another pass."""
        return "_predicted" in self.__dict__ and "base" in self.__dict__

    def derive(self) -> None:
        """Computes the derivative and the outcome at strength 0, if these two results are not known yet."""
        _ = self._predicted, self.base

    @cached_property
    def base(self) -> Outcome:
        """The outcome at strength 0, with only the kept steps."""
        return self.unsteered if self.kept is None else self._scorer.score(self.kept)[0]

    @property
    def unsteered(self) -> Outcome:
        """The unsteered outcome."""
        return finite(self._scorer.base, self._scorer.model)[0]

    def known(self, name: str, layer: int) -> dict[float, Outcome]:
        """Returns the outcomes that were computed for one vector at one layer, by strength."""
        return self._exact.setdefault((name, layer), {})

    def run(self, plan: SteeringPlan, step: StepSpec) -> Outcome:
        """Runs the kept steps and one more step, and returns the outcome.

        Args:
            plan: the plan of the additional step.
            step: the vector and the layer of the additional step.
        """
        known = self.known(step.vector, step.layer)
        if step.strength not in known:
            self._before[step.vector, step.layer, step.strength] = self.predicted(step.vector, step.layer, step.strength)
            whole = plan if self.kept is None else self.kept + plan
            known[step.strength] = self.base if step.strength == 0 else self._scorer.score(whole)[0]
        return known[step.strength]

    def score(self, plan: SteeringPlan) -> Outcome:
        """Returns the outcome under any plan."""
        return self._scorer.score(plan)[0]

    def predicted(self, name: str, layer: int, strength: float) -> float:
        """Returns the predicted margin at one strength. The prediction is a straight line, whose slope is the derivative at
        strength 0. If outcomes at other strengths were computed, the prediction is a curve through the nearest of these
        outcomes."""
        attribution, base = self._predicted[name], self.base.margin
        run = [one for one, outcome in self.known(name, layer).items() if one * strength > 0 and outcome.valid]
        if run:
            nearest = min(run, key=lambda one: abs(one - strength))
            change = np.array([self.known(name, layer)[nearest].margin - base])
            attribution = attribution.anchored(layer, nearest, change)
        if layer not in attribution.slopes:  # the intervention adds no vector, and no outcome was computed yet
            return base if strength == 0 else float("nan")
        return base + float(attribution.predict(layer, strength)[0])

    def said_before(self, name: str, layer: int, strength: float) -> float:
        """Returns the margin that was predicted before the exact margin at this strength was computed. If there is no exact
        margin yet, returns the current prediction."""
        before = self._before.get((name, layer, strength))
        return self.predicted(name, layer, strength) if before is None else before

    def curve(self, name: str, layer: int, limit: float) -> pd.DataFrame:
        """Returns the margin by strength, in nats per token.

        Returns:
            Columns strength, predicted (a curve through the exact margins), exact, and before (the prediction before the exact
                margin was computed). The columns exact and before are NaN at strengths without an exact margin.
        """
        known = {0.0: self.base, **self.known(name, layer)}
        strengths = sorted({*np.linspace(-limit, limit, _CURVE).tolist(), *known})
        none = float("nan")
        rows = [
            (s, self.predicted(name, layer, s), known[s].margin if s in known else none, self._before.get((name, layer, s), none))
            for s in strengths
        ]
        return pd.DataFrame(rows, columns=["strength", "predicted", "exact", "before"])
