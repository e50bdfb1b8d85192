"""One item under the slider: its margin predicted at once, its choices scored for real, both kept."""

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
"""Strengths that the predicted line is drawn through."""


class LiveItem:
    """One item, the vectors that it may be steered by, and what is known of it so far."""

    def __init__(
        self,
        model: LensModel,
        item: Item,
        vectors: Sequence[Intervention],
        layers: Sequence[int],
        tokens: SteeredTokens,
        kept: SteeringPlan | None = None,
    ) -> None:
        """Nothing is run yet.

        Args:
            layers: that all of the vectors have.
            kept: steps that every plan here begins with. Derivatives are those of the unsteered model all the same.
        """
        self.item, self.kept = item, kept
        self._wanted, self._tokens = [(vector, layers) for vector in vectors], tokens
        self._scorer = Scorer(model, [item])
        self._exact: dict[tuple[str, int], dict[float, Outcome]] = {}
        self._before: dict[tuple[str, int, float], float] = {}

    @cached_property
    def _predicted(self) -> dict[str, Attribution]:
        """From one pass forward and one backward."""
        added = [(vector, layers) for vector, layers in self._wanted if isinstance(vector, SteeringVector)]
        found = attributions(self._scorer, added, self._tokens) if added else {}
        return {vector.name: found.get(vector.name) or Attribution.unknown(vector.name) for vector, _ in self._wanted}

    @property
    def derived(self) -> bool:
        """A prediction costs no pass."""
        return "_predicted" in self.__dict__ and "base" in self.__dict__

    def derive(self) -> None:
        """Takes the derivative and what it starts from, if they were not taken."""
        _ = self._predicted, self.base

    @cached_property
    def base(self) -> Outcome:
        """Strength 0: how it is answered under the kept steps alone."""
        return self.unsteered if self.kept is None else self._scorer.score(self.kept)[0]

    @property
    def unsteered(self) -> Outcome:
        """How it is answered unsteered."""
        return finite(self._scorer.base, self._scorer.model)[0]

    def known(self, name: str, layer: int) -> dict[float, Outcome]:
        """Outcomes that were run with one vector at one layer, by strength."""
        return self._exact.setdefault((name, layer), {})

    def run(self, plan: SteeringPlan, step: StepSpec) -> Outcome:
        """Returns the outcome for real of the kept steps and one more.

        Args:
            plan: the plan of the one more.
            step: which vector it adds where.
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
        """The margin at one strength: the line with the derivative at 0; where strengths were run, bent through the nearest."""
        attribution, base = self._predicted[name], self.base.margin
        run = [one for one, outcome in self.known(name, layer).items() if one * strength > 0 and outcome.valid]
        if run:
            nearest = min(run, key=lambda one: abs(one - strength))
            change = np.array([self.known(name, layer)[nearest].margin - base])
            attribution = attribution.anchored(layer, nearest, change)
        if layer not in attribution.slopes:  # an intervention that is no addition, and nothing was run yet
            return base if strength == 0 else float("nan")
        return base + float(attribution.predict(layer, strength)[0])

    def said_before(self, name: str, layer: int, strength: float) -> float:
        """The margin that was predicted before this strength was run: right or wrong, it stays. The present one until then."""
        before = self._before.get((name, layer, strength))
        return self.predicted(name, layer, strength) if before is None else before

    def curve(self, name: str, layer: int, limit: float) -> pd.DataFrame:
        """The margin by strength, in nats per token.

        Returns:
            Columns strength, predicted (bent through what was run), exact and before (what was predicted before it was run);
            both are NaN where nothing was run.
        """
        known = {0.0: self.base, **self.known(name, layer)}
        strengths = sorted({*np.linspace(-limit, limit, _CURVE).tolist(), *known})
        none = float("nan")
        rows = [
            (s, self.predicted(name, layer, s), known[s].margin if s in known else none, self._before.get((name, layer, s), none))
            for s in strengths
        ]
        return pd.DataFrame(rows, columns=["strength", "predicted", "exact", "before"])
