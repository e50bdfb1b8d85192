"""Manages the plans that the user sets in an explorer: kept steps, the chosen step, and plans that are pinned for comparison."""

from steerlens.errors import UnknownNameError
from steerlens.notebook.selection import Move, Selection
from steerlens.notebook.specimen import Specimen
from steerlens.steering import SteeringPlan, no_steering

Moves = tuple[Move, ...]
PINS = ("A", "B")


class Hand:
    """The kept steps and the pinned plans of an explorer."""

    def __init__(self, specimen: Specimen, selection: Selection) -> None:
        self._specimen, self._selection = specimen, selection
        self.kept: Moves = ()
        """The steps that stay while the user tries other steps."""
        self.pinned: dict[str, Moves] = {}
        """The pinned plans, by their names ``A`` and ``B``."""

    @property
    def moves(self) -> Moves:
        """The kept steering steps and the chosen steering step. A chosen step with strength 0 is left out if other steps are
        kept."""
        move = self._selection.move
        return self.kept if move is None or (self.kept and move.strength == 0) else (*self.kept, move)

    @property
    def plan(self) -> SteeringPlan:
        """The plan of the kept steps and the chosen step."""
        return self.plan_of(self.moves)

    def plan_of(self, moves: Moves) -> SteeringPlan:
        """Returns the plan of some steps."""
        return sum((move.plan(self._specimen.vectors) for move in moves), no_steering(self._specimen.model.fingerprint))

    def said(self, moves: Moves) -> str:
        """Returns a description of some steps in words."""
        return str(self.plan_of(moves))

    def keep(self) -> None:
        """Adds the chosen step to the kept steps, and sets the slider back to 0."""
        self.kept = self.moves
        self._selection.set(strength=0.0)

    def forget(self) -> None:
        """Removes the kept steps."""
        self.kept = ()

    def pin(self, name: str) -> None:
        """Pins the current plan as ``A`` or ``B``. If the plan is already pinned under this name, the pin is removed.

        Raises:
            UnknownNameError: the name is neither ``A`` nor ``B``.
        """
        if name not in PINS:
            raise UnknownNameError("pin", name, PINS)
        moves = acting(self.moves)
        pinned = {**self.pinned, name: moves}
        if self.pinned.get(name) == moves:
            del pinned[name]
        self.pinned = dict(sorted(pinned.items()))

    def code(self) -> str:
        """Returns the line of code that makes ``plan`` from ``vectors``. The line is empty if nothing is steered."""
        return f"plan = {' + '.join(move.code() for move in self.moves)}\n" if self.moves else ""


def acting(moves: Moves) -> Moves:
    """Returns the steps that change the model. These are all steps with a strength other than 0."""
    return tuple(move for move in moves if move.strength)
