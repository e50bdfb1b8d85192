"""What a plan is chosen by: its gains, a number made of them, and limits on what it may cost."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from steerlens.errors import UnknownNameError
from steerlens.settings import LESSER_GAIN, Limits, ObjectiveName


@dataclass(frozen=True)
class Gains:
    """What a plan did to some items against unsteered: means over items."""

    transfer: float
    """Change of T."""
    localization: float
    """Change of L."""
    english_centric: float
    """Change of the English-centric rate."""
    transfer_margin: float
    """Change of the right answers' margin over the best other choice, in nats per token (or as the scoring normalises)."""
    localization_margin: float
    """The same of the local answers'."""
    perplexity: float | None = None
    """Perplexity of the right (and local) answers' text over what it is unsteered: above 1 where steering makes even the
    right text unlikely. ``None`` if it was not measured."""

    @property
    def valid(self) -> bool:
        """All are finite. Under a plan that takes some item's scores out of the model's numbers, they are NaN."""
        return all(math.isfinite(value) for value in asdict(self).values() if value is not None)

    @property
    def margin(self) -> float:
        """Both margins' changes."""
        return self.transfer_margin + self.localization_margin

    def plus(self, other: "Gains") -> "Gains":
        """What both would do if nothing of the one touched the other."""
        perplexity = self.perplexity * other.perplexity if self.perplexity and other.perplexity else None
        return Gains(
            self.transfer + other.transfer,
            self.localization + other.localization,
            self.english_centric + other.english_centric,
            self.transfer_margin + other.transfer_margin,
            self.localization_margin + other.localization_margin,
            perplexity,
        )


Objective = Callable[[Gains], float]
"""The larger, the better; unsteered has gains of 0 and perplexity 1, and a plan is taken only if it is better than that."""

OBJECTIVES: dict[ObjectiveName, Objective] = {
    LESSER_GAIN: lambda gains: min(gains.transfer, gains.localization),
    "sum of gains": lambda gains: gains.transfer + gains.localization,
    "transfer": lambda gains: gains.transfer,
    "localization": lambda gains: gains.localization,
}


def objective_of(given: str | Objective) -> tuple[str, Objective]:
    """An objective and its name.

    Raises:
        UnknownNameError: no such objective.
    """
    if not isinstance(given, str):
        return getattr(given, "__name__", "own objective"), given
    if given not in OBJECTIVES:
        raise UnknownNameError("objective", given, OBJECTIVES, "Or give a function from Gains to a number.")
    return given, OBJECTIVES[given]


NO_LIMITS = Limits(None, None)
