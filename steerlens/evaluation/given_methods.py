"""Turns the methods that users give, by name, into ``Method`` objects."""

from collections.abc import Mapping, Sequence
from typing import Any

from steerlens.data import ENGLISH, Items
from steerlens.errors import SettingsError
from steerlens.evaluation.methods import EXPLICIT, Checkpoint, Hooked, Method, Steered
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.models import LensModel
from steerlens.models.hooks import Hook
from steerlens.steering import UNSTEERED, SteeringPlan

GivenMethod = Method | SteeringPlan | Mapping[str, SteeringPlan] | Chosen | LensModel | Sequence[Hook]
"""The types that can be given as a method: a ``Method``, a plan, a mapping from locales to plans, a choice, another loaded
model, or hooks."""


def method_of(given: Any, name: str = "a method") -> Method:
    """Returns the ``Method`` object for an object that a user gives as a method.

    Raises:
        SettingsError: the given object cannot be used as a method.
    """
    if isinstance(given, Method):
        return given
    if isinstance(given, LensModel):
        return Checkpoint(given)
    if isinstance(given, Chosen):
        return Steered(given.plans() if given.locales else given.plan(""))
    if isinstance(given, SteeringPlan) or (
        isinstance(given, Mapping) and given and all(isinstance(p, SteeringPlan) for p in given.values())
    ):
        return Steered(given)
    if isinstance(given, list | tuple) and given and all(isinstance(hook, tuple) and len(hook) == 2 for hook in given):
        return Hooked(given)
    what = type(given).__name__ if given or not isinstance(given, Mapping) else "an empty mapping"
    raise SettingsError(
        f"{what} given as method {name!r}: expected a plan, the plan of each locale, a choice, a Checkpoint, "
        "another model, hooks [(name, function)], or another Method."
    )


def methods_of(given: Mapping[str, Any]) -> dict[str, Method]:
    """Returns the ``Method`` objects for the given methods, by name.

    Raises:
        SettingsError: there are no methods, a given object is not a method, or a name is ``unsteered`` or ``explicit
            prompt``.
    """
    if given is not None and not isinstance(given, Mapping):
        raise SettingsError(
            f"{type(given).__name__} given as methods: expected a dict of methods by name, such as {{'mine': …}}."
        )
    if not given:
        raise SettingsError("no methods given: expected at least one, such as {'surgical': chosen.surgical}.")
    taken = [name for name in given if name in (UNSTEERED, EXPLICIT)]
    if taken:
        raise SettingsError(
            f"the name {taken[0]!r} was given to a method, but every table already includes a method with this name. "
            "Give your method another name."
        )
    return {name: method_of(own, name) for name, own in given.items()}


def locales_of(items: Items, methods: Mapping[str, Method], wanted: Sequence[str] | None = None) -> tuple[str, ...]:
    """Returns the locales in which methods are scored: the requested locales, or else the locales of the methods, or else all
    locales of the items except English.

    Raises:
        SettingsError: methods are for different locales, methods are not for all requested locales, or there are no locales.
    """
    own = {name: set(method.locales) for name, method in methods.items() if method.locales is not None}
    first = next(iter(own.values()), None)
    if any(found != first for found in own.values()) or (wanted and first is not None and not set(wanted) <= first):
        named = {name: sorted(found) for name, found in own.items()}
        raise SettingsError(
            "the methods are for different locales: expected all methods for the same "
            f"locales{f', with {wanted} among them' if wanted else ''}. The given methods are for: {named}"
        )
    if wanted:
        return tuple(wanted)
    ordered = next((method.locales for method in methods.values() if method.locales is not None), None)
    codes = ordered if ordered is not None else tuple(code for code in items.locales if code != ENGLISH)
    if not codes:
        raise SettingsError(
            f"there are no locales to score: {items!r} contain only {', '.join(items.locales)}. Give locales=[…], or items in "
            "other locales."
        )
    return codes
