"""The criteria for choosing a plan: the plan's gains, an objective that is computed from the gains, and limits on the plan's
costs."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from steerlens.errors import UnknownNameError
from steerlens.evaluation.scores import ANSWER
from steerlens.scores import SCORES, Score, score_of
from steerlens.settings import LESSER_GAIN, Limits


@dataclass(frozen=True, eq=False)
class Gains(Mapping[str, float]):
    """The mean changes of scores under a plan, compared with the unsteered model. For example, ``gains["transfer"]`` is the
    mean change of transfer over items."""

    changes: Mapping[str, float]
    """The mean change of each measured score; NaN if the model's scores were not finite. Scores that were not measured are left
    out."""
    aims: tuple[str, ...]
    """The scores that the contrasts are meant to raise."""

    def __getitem__(self, score: str) -> float:
        if score not in self.changes:
            raise UnknownNameError(
                "score of these gains",
                score,
                self.changes,
                "Other scores were not measured, or could not be measured on any item.",
            )
        return self.changes[score]

    def __contains__(self, score: object) -> bool:
        return score in self.changes

    def get(self, score: str, default: Any = None) -> Any:
        """Returns the change of a score, or ``default`` if the score was not measured.

        Args:
            score: the name of the score.
            default: the value that is returned for a score that was not measured.
        """
        return self.changes.get(score, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    @property
    def valid(self) -> bool:
        """Whether all changes are finite. A change is NaN if the model's scores of an item overflow under the plan."""
        return all(map(math.isfinite, self.changes.values()))

    def gain(self, score: str) -> float:
        """Returns the gain of a score: its change, with the sign reversed if lower values are better.

        Args:
            score: the name of the score.

        Raises:
            UnknownNameError: the score was not measured, or there were no items of its kind.
        """
        change = self[score]
        return change if score_of(score).higher_is_better else -change

    def finer(self, score: str) -> float:
        """Returns the gain of a score's companion, such as the margin for transfer; 0 if there is no measured companion.

        Args:
            score: the name of the score whose companion is used.
        """
        companion = score_of(score).companion
        return self.gain(companion) if companion in self else 0.0

    def by_degrees(self) -> "Gains":
        """Returns gains in which each aim is replaced by its graded form, such as the preference for the right answer.
        Choices are made by graded forms, because graded forms need fewer items. An aim without a graded form is replaced by
        its companion. An aim without a graded form and without a companion is kept."""
        changes = dict(self.changes)
        for aim in self.aims:
            known = score_of(aim)
            finer = next((name for name in (known.graded, known.companion) if name in self), aim)
            if finer != aim:
                turned = -1 if score_of(finer).higher_is_better != known.higher_is_better else 1
                changes[aim] = turned * self.changes[finer]
        return replace(self, changes=changes)

    @property
    def worst(self) -> float:
        """The smallest gain among the scores that the contrasts are meant to raise."""
        return min(map(self.gain, self.aims))

    @property
    def total(self) -> float:
        """The sum of the gains of the scores that the contrasts are meant to raise."""
        return sum(map(self.gain, self.aims))

    @property
    def margins(self) -> float:
        """The sum of the gains of the companions of the scores that the contrasts are meant to raise."""
        return sum(map(self.finer, self.aims))

    @property
    def perplexity(self) -> float | None:
        """The perplexity of the text of the right and local answers, divided by the unsteered perplexity; ``None`` if it was
        not measured.

        A ratio above 1 means that steering makes the text of the answers less probable.
        """
        change = self.changes.get(ANSWER.name, math.nan)
        return None if math.isnan(change) else math.exp(-change)

    def plus(self, other: "Gains") -> "Gains":
        """Returns the sum of the gains of two plans. The sum is the gain of the combined plan if the two plans do not affect
        each other. Only scores that were measured for both plans are included.

        Args:
            other: the gains of the other plan on the same items.
        """
        return replace(self, changes={name: value + other[name] for name, value in self.changes.items() if name in other})

    def to_dict(self) -> dict[str, float]:
        """Returns the changes as plain JSON values."""
        return dict(self.changes)


Objective = Callable[[Gains], float]
"""An objective is a function that returns one number for the gains of a plan. A larger value is better, and a plan is chosen
only if its value is larger than the value for the unsteered model, whose gains are all 0."""

OBJECTIVES: dict[str, Objective] = {LESSER_GAIN: lambda gains: gains.worst, "sum of gains": lambda gains: gains.total}
"""The built-in objectives: the smallest gain, or the sum of the gains, over all scores that the contrasts are meant to raise.
The name of a score can also be used as an objective."""


def objective_of(given: str | Score | Objective) -> tuple[str, Objective]:
    """Returns an objective and its name.

    Raises:
        UnknownNameError: there is no such objective.
        SettingsError: one of your own scores has the name of a built-in score.
    """
    if isinstance(given, Score):
        return objective_of(score_of(given).name)
    if not isinstance(given, str):
        return getattr(given, "__name__", "own objective"), given
    if given in OBJECTIVES:
        return given, OBJECTIVES[given]
    if given in SCORES:
        return given, lambda gains: gains.gain(given)
    raise UnknownNameError(
        "objective", given, (*OBJECTIVES, *SCORES), "You can also give a function that takes Gains and returns a number."
    )


NO_LIMITS = Limits(None, None)
