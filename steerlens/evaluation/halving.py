"""Successive halving: all cells are run on a few concepts, and then the better half of the cells on more concepts. Halving
stops when few cells are left or the time is used up."""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from steerlens.data import Items
from steerlens.data.splits import group_of, place
from steerlens.evaluation.grid import LEAST, Cell, Found, Grid, Place, first_of
from steerlens.evaluation.outcomes import Outcome
from steerlens.evaluation.scores import MARGIN
from steerlens.scores import Score
from steerlens.steering import StepSpec

_FEW = 4
"""The smallest number of concepts of a kind on which all cells are run."""
Bases = Mapping[Place, Sequence[Outcome]]


def halved(grid: Grid, budget: float | None = None, seed: int = 0) -> Found:
    """Returns each cell's outcomes on the concepts on which the cell was run (Jamieson and Talwalkar, arXiv 1502.07943).

    Each round runs the remaining cells on concepts that were not used yet. After each round, the better half of each vector's
    cells is kept. Cells are compared by the mean gain of the graded score over all concepts used so far. The last cells are
    run on all concepts if there is enough time.

    Args:
        grid: the cells and items.
        budget: the time in seconds. A round is shortened if the speed so far shows that the remaining time is too short. The
            first round always runs in full.
        seed: the seed of the order in which concepts are used.
    """
    clock, bases, order = _Clock(budget), grid.bases(), _order(grid, seed)
    found: Found = {at: {} for at in grid.parts}
    left, done = list(grid.cells), 0.0
    most = max(map(len, _by_vector(left).values()))
    rounds = 1 + max(0, math.ceil(math.log2(most / LEAST)))
    for step in range(rounds):
        whole = 2.0 ** (step + 1 - rounds)
        share = clock.affordable(done, whole, _size(grid, left, _between(order, done, whole)))
        parts = {at: own for at, own in _between(order, done, share).items() if own}
        if parts:
            items = {at: Items(tuple(grid.parts[at][index] for index in own)) for at, own in parts.items()}
            run = replace(grid, parts=items, _bases={}).run(left, f"Sweep, {len(left)} cells")
            clock.note(_size(grid, left, parts))
            for at, cells in run.items():
                for cell, own in cells.items():
                    before = found[at].get(cell, Cell((), True, ()))
                    found[at][cell] = Cell([*before.outcomes, *own.outcomes], True, (*(before.items or ()), *parts[at]))
        if share < whole:  # the time is used up
            break
        done = share
        if step < rounds - 1:
            left = [cell for own in _by_vector(left).values() for cell in _better(grid, found, bases, own)]
    return found


@dataclass
class _Clock:
    """Estimates how much of a round fits into the remaining time."""

    budget: float | None
    begun: float = field(default_factory=time.monotonic)
    last: float = field(default_factory=time.monotonic)
    speed: float = math.inf
    """The speed of the previous round: the number of items per second, where an item counts once for each cell."""

    def affordable(self, done: float, whole: float, items: int) -> float:
        """Returns the share of the concepts that a round can reach in the remaining time. The share is at most ``whole``, the
        planned share."""
        self.last = time.monotonic()
        if self.budget is None or not items or math.isinf(self.speed):
            return whole
        enough = self.speed * max(0.0, self.budget - (self.last - self.begun)) / items
        return done + (whole - done) * min(1.0, enough)

    def note(self, items: int) -> None:
        """Records the speed of a round."""
        self.speed = items / max(time.monotonic() - self.last, 1e-9)


def _size(grid: Grid, cells: Sequence[StepSpec], parts: Mapping[Place, Sequence[int]]) -> int:
    """Returns the number of items that are run, where an item counts once for each cell."""
    return sum(len(own) for at, own in parts.items() for cell in cells if grid.measured(at, cell.vector))


def _by_vector(cells: Iterable[StepSpec]) -> dict[str, list[StepSpec]]:
    found: dict[str, list[StepSpec]] = {}
    for cell in cells:
        found.setdefault(cell.vector, []).append(cell)
    return found


def _order(grid: Grid, seed: int) -> dict[Place, list[list[int]]]:
    """Returns the indices of each part's items, grouped by concept, in the order in which concepts are used."""
    found = {}
    for at, part in grid.parts.items():
        groups: dict[str, list[int]] = {}
        for index, item in enumerate(part):
            groups.setdefault(group_of(item.concept), []).append(index)
        found[at] = [groups[name] for name in sorted(groups, key=lambda name: place(seed, f"halving/{name}"))]
    return found


def _between(order: Mapping[Place, Sequence[Sequence[int]]], done: float, share: float) -> dict[Place, list[int]]:
    """Returns the indices of each part's items between two positions in the order of concepts. A position is given as a share
    of the part's concepts."""
    found = {}
    for at, groups in order.items():
        first, last = (min(len(groups), max(_FEW, math.ceil(own * len(groups)))) if own else 0 for own in (done, share))
        found[at] = [index for group in groups[first:last] for index in group]
    return found


def _better(grid: Grid, found: Found, bases: Bases, cells: Sequence[StepSpec]) -> list[StepSpec]:
    """Returns the better half of a vector's cells, which includes cells at several layers."""
    score = _by_degrees(grid, cells[0].vector)
    gains = {cell: _gain(found, bases, cell, score) for cell in cells}
    ordered = sorted(cells, key=lambda cell: (gains[cell], -abs(cell.strength)), reverse=True)
    return first_of([ordered], max(LEAST, math.ceil(len(cells) / 2)))


def _by_degrees(grid: Grid, vector: str) -> Score:
    """Returns the score by which a vector's cells are compared. The score is the graded form of the vector's own score if
    this form is measured. Otherwise the score is the companion of the vector's own score. Without a companion, the score is
    the vector's own score itself. A vector without its own score uses its first score. A score that is not computed from
    choices is replaced by the margin."""
    by_name = {score.name: score for score in grid.scores[vector]}
    own = grid.own_score(vector)
    found = by_name.get(own.graded) or by_name.get(own.companion) or own
    return found if found.evidence == "choices" else MARGIN


def _gain(found: Found, bases: Bases, cell: StepSpec, score: Score) -> float:
    """Returns a cell's mean gain over the items on which the cell was run. A mean that is not finite is returned as minus
    infinity."""
    changes = []
    for at, cells in found.items():
        if cell in cells and at[1] in score.kinds:
            before = [bases[at][index] for index in cells[cell].items or ()]
            changes += [score.value(a) - score.value(b) for a, b in zip(cells[cell].outcomes, before, strict=True)]
    mean = float(np.mean(changes)) if changes else math.nan
    return (mean if score.higher_is_better else -mean) if math.isfinite(mean) else -math.inf
