"""Turns the state of an explorer into JSON values, and back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import traitlets

from steerlens.errors import SettingsError
from steerlens.notebook.hand import PINS, Moves
from steerlens.notebook.selection import Move

if TYPE_CHECKING:
    from steerlens.notebook.explorer import Explorer

_CHOICES = ("locale", "concept", "text", "vector", "layer", "strength", "tokens")
_MOVE = {"vector", "layer", "strength", "tokens"}
_ADVICE = "Give what explorer.state() returned, for the same model, vectors and items"


def state_of(explorer: "Explorer") -> dict[str, Any]:
    """Returns the selection, the kept steps, the pinned plans and the open views."""
    hand = explorer.hand
    return {
        "selection": {name: getattr(explorer.selection, name) for name in _CHOICES},
        "kept": _listed(hand.kept),
        "pinned": {name: _listed(moves) for name, moves in hand.pinned.items()},
        "shown": {name: control.value for name, control in explorer.shown.items()},
        "tab": explorer.tabs.get_title(explorer.tabs.selected_index or 0),
    }


def restore(explorer: "Explorer", state: object) -> None:
    """Sets the selection, the kept steps, the pinned plans and the open views from a state. Choices that are missing in the state
    do not change.

    Raises:
        SettingsError: ``state`` is not a state of an explorer with the same objects. After this error, only the selection may
            have changed.
    """
    parts = {"selection": dict, "kept": list, "pinned": dict, "shown": dict, "tab": str}
    if not isinstance(state, Mapping) or not set(state) <= set(parts):
        raise _refused(f"{state!r:.80}", f"a dict with {', '.join(parts)}")
    for name, kind in parts.items():
        if not isinstance(state.get(name, kind()), kind):
            raise _refused(f"{name} {state[name]!r:.60}", f"a {kind.__name__}")
    kept = _moves(explorer, state.get("kept", []))
    pinned = {name: _moves(explorer, moves) for name, moves in state.get("pinned", {}).items()}
    if not set(pinned) <= set(PINS):
        raise _refused(f"pins {', '.join(pinned)}", " and ".join(PINS))
    try:
        explorer.selection.set(**state.get("selection", {}))
        for name, value in state.get("shown", {}).items():
            explorer.shown[name].value = value
    except (traitlets.TraitError, KeyError, TypeError) as error:
        raise _refused(f"{error}", "choices that this explorer has") from error
    explorer.hand.kept, explorer.hand.pinned = kept, pinned
    titles = list(explorer.tabs.titles)
    if state.get("tab") in titles:
        explorer.tabs.selected_index = titles.index(state["tab"])


def _listed(moves: Moves) -> list[dict[str, Any]]:
    return [
        {"vector": list(move.vector), "layer": move.layer, "strength": move.strength, "tokens": move.tokens} for move in moves
    ]


def _moves(explorer: "Explorer", listed: object) -> Moves:
    """Returns the steps in a list, after a check that the explorer has their vectors.

    Raises:
        SettingsError: ``listed`` is not a list of steps.
        SteerlensError: the explorer does not have a vector or a layer of a step.
    """
    if not isinstance(listed, list) or not all(isinstance(each, dict) and set(each) == _MOVE for each in listed):
        raise _refused(f"steps {listed!r:.80}", f"a list of dicts with {', '.join(sorted(_MOVE))}")
    moves = tuple(Move(tuple(each["vector"]), each["layer"], each["strength"], each["tokens"]) for each in listed)
    explorer.hand.plan_of(moves)
    return moves


def _refused(given: str, expected: str) -> SettingsError:
    return SettingsError(f"a state with {given} was given: expected {expected}. {_ADVICE}.")
