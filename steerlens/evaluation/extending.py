"""Extends the strengths of a sweep. If a vector's best cell is at the largest strength, twice the largest strength is also
run."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from steerlens.errors import SettingsError
from steerlens.evaluation.searching.expected import ranked
from steerlens.evaluation.searching.objectives import Gains
from steerlens.evaluation.searching.steps import at_other_layers, own_score, weakest_of_best
from steerlens.evaluation.sweeps import CELL, cell_means
from steerlens.numeric import whole_number
from steerlens.scores import Score
from steerlens.settings import Mode
from steerlens.steering import PlanSpec, StepSpec

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("steerlens")

Run = Callable[[Sequence[StepSpec], str], "pd.DataFrame"]
"""A function that runs cells and returns their rows. The function gets the cells and the name of the progress bar."""


def check_extend(extend: int, mode: Mode, strengths: Iterable[float]) -> None:
    """Raises an error if a sweep cannot double its largest strength ``extend`` times.

    Args:
        extend: the largest number of times that the largest strength is doubled.
        mode: the mode of the sweep.
        strengths: the strengths of the sweep, at least one.

    Raises:
        SettingsError: ``extend`` is not a whole number of 0 or more; the mode does not run every cell; or the largest
            strength is 0 or less.
    """
    if (whole_number(extend) or 0) < 0 or whole_number(extend) is None:
        raise SettingsError(
            f"extend {extend!r} given: expected a whole number, 0 or more (how many times the largest strength may be doubled)."
        )
    if extend and mode != "exact":
        raise SettingsError(
            f"extend {extend} given for mode {mode!r}: expected mode 'exact', because the best cell is known only if every "
            "cell is run. Use mode 'exact', or give extend=0 and larger strengths."
        )
    if extend and max(strengths) <= 0:
        raise SettingsError(
            f"extend {extend} given with strengths {list(strengths)}: expected at least one strength above 0, because the "
            "largest strength is doubled."
        )


def extended(frame: "pd.DataFrame", times: int, scores: Mapping[str, Score], run: Run) -> "pd.DataFrame":
    """Returns the rows of a sweep. Rows of larger strengths are added for vectors whose best cell is at their largest
    strength.

    For a vector whose best cell is at the largest strength, twice the largest strength is run. The doubled strength is run at
    the layers of the vector's three best cells with the largest strength. The doubling is repeated while the best cell is at
    the largest strength, at most ``times`` times.

    Args:
        frame: the rows of a sweep in which all cells were run.
        times: the largest number of times that a vector's largest strength is doubled.
        scores: for each vector by name, the score that decides which of its cells is best.
        run: a function that runs more cells and returns their rows.
    """
    import pandas as pd

    for _ in range(times):
        more = [cell for name, score in scores.items() for cell in _beyond(frame[frame["vector"] == name], score)]
        if not more:
            break
        log.info("The best cell is at the largest strength, so twice this strength is also run: %s", ", ".join(map(str, more)))
        frame = pd.concat([frame, run(more, "Sweep, larger strengths")], ignore_index=True)
    return frame


def _beyond(own: "pd.DataFrame", score: Score) -> list[StepSpec]:
    """Returns the cells to run at twice the largest strength of one vector. The list is empty if the vector's best cell is at
    a smaller strength."""
    rank = own_score(score.name)
    ranks = {cell: ranked(rank, gains) for cell, gains in _gains(own, score).items()}
    ordered = sorted((cell for cell in ranks if ranks[cell]), key=lambda cell: (ranks[cell], -cell.strength), reverse=True)
    if not ordered:  # no cell could be measured, or no cell has finite gains
        return []
    largest = float(own["strength"].max())
    if _strength(weakest_of_best(ordered, [ranks[cell] for cell in ordered])) < largest:
        return []
    at_largest = [cell for cell in ordered if _strength(cell) == largest]
    return [replace(step, strength=2 * largest) for cell in at_other_layers(at_largest) for step in cell.steps]


def _strength(cell: PlanSpec) -> float:
    return cell.steps[0].strength


def _gains(own: "pd.DataFrame", score: Score) -> dict[PlanSpec, Gains]:
    """Returns the gains of each cell of one vector in the scores by which ``choose`` orders cells: the graded score, the
    score itself, and the score's companion."""
    there = set(own["score"])
    names = [name for name in (score.name, score.graded, score.companion) if name in there]
    if score.name not in names:  # there are no items on which the score is measured
        return {}
    means = {name: cell_means(own, CELL, name).set_index(CELL)["change"] for name in names}
    return {
        PlanSpec.of(str(vector), int(layer), float(strength), tokens): Gains(
            {name: float(changes.get((vector, layer, strength, tokens), math.nan)) for name, changes in means.items()},
            (score.name,),
        )
        for vector, layer, strength, tokens in means[score.name].index
    }
