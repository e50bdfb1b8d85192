"""Paths of methods. A path has one method for each number, such as a checkpoint for each training step, or a plan for each
strength."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, SupportsFloat

from steerlens.errors import SettingsError, VectorError
from steerlens.evaluation.given_methods import GivenMethod, method_of
from steerlens.evaluation.methods import EXPLICIT, Method, Steered
from steerlens.evaluation.searching.chosen import Chosen
from steerlens.numeric import finite_number, finite_numbers
from steerlens.steering import UNSTEERED, SteeringPlan


class HasPoints(Protocol):
    """An object that has the points of a path, such as an aligned model with its checkpoints by training step."""

    def points(self) -> Mapping[Any, GivenMethod]:
        """Returns a method for each number along the path."""


GivenPath = GivenMethod | Mapping[Any, GivenMethod] | HasPoints
"""The types that can be given as a path: a mapping from numbers to methods, an object whose ``points()`` returns such a
mapping, or one method."""
Point = tuple[str, float]
"""A path's name, and the number of one of its points."""


def strengths(given: SteeringPlan | Mapping[str, SteeringPlan] | Chosen, factors: Iterable[SupportsFloat]) -> dict[float, Method]:
    """Returns a path of plans. For each number, the path contains the plan with all of its strengths multiplied by the
    number.

    Args:
        given: a plan, the plan of each locale, or a choice.
        factors: the numbers, such as ``(0.5, 1, 2)``; 0 leaves the model unsteered.

    Raises:
        SettingsError: the given object is not a plan, or there are no numbers.
        VectorError: a number is not finite.
    """
    method, numbers = method_of(given, "strengths"), finite_numbers(factors, "factor", "a path of strengths")
    if not isinstance(method, Steered):
        raise SettingsError(f"{type(given).__name__} given to strengths: expected a plan, the plan of each locale, or a choice.")
    if not numbers:
        raise SettingsError("no factors given to strengths: expected at least one, such as (0.5, 1, 2).")
    plans = method.plans
    if isinstance(plans, SteeringPlan):
        return {number: Steered(number * plans) for number in numbers}
    return {number: Steered({code: number * plan for code, plan in plans.items()}) for number in numbers}


def points_of(paths: Mapping[str, GivenPath]) -> dict[str, tuple[Point, Method]]:
    """Returns every point with its method, by the point's name on the plane. The points of each path are sorted by ascending
    number.

    Args:
        paths: the paths given to ``frontier``.

    Raises:
        SettingsError: there are no paths, or one of the paths cannot be used.
    """
    if not isinstance(paths, Mapping) or not paths:
        what = "no paths" if isinstance(paths, Mapping) or paths is None else f"{type(paths).__name__} as paths"
        raise SettingsError(f"{what} given: expected a dict of paths by name, such as {{'LOC': strengths(plan, (0.5, 1, 2))}}.")
    found: dict[str, tuple[Point, Method]] = {}
    for path, given in paths.items():
        if not isinstance(path, str) or path in (UNSTEERED, EXPLICIT):
            raise SettingsError(
                f"a path called {path!r} given: expected a text other than the reserved names {UNSTEERED!r} and "
                f"{EXPLICIT!r}. Give paths by name, such as {{'LOC': strengths(plan, (0.5, 1, 2))}}."
            )
        for at, method in sorted(_path(path, given), key=lambda point: point[0]):
            name = point_name(path, at)
            if name in found:
                raise SettingsError(f"path {path!r} has two points at {at:.15g}: expected each number only once.")
            found[name] = (path, at), method_of(method, name)
    return found


def _path(name: str, given: Any) -> Iterator[tuple[float, Any]]:
    """Yields the numbers of one path, each with the method that was given for it.

    Raises:
        SettingsError: the path has no points, or the number of a point is not a finite number.
    """
    own = given.points() if callable(getattr(given, "points", None)) else given
    if own is given and (not isinstance(own, Mapping) or _by_locale(own)):
        yield 1.0, given
        return
    if not isinstance(own, Mapping) or not own:
        raise SettingsError(
            f"path {name!r} has no points: expected a dict with a method for each number, such as {{100: …, 200: …}}, or one "
            "method."
        )
    for key, method in own.items():
        try:
            yield finite_number(key, "number", "a path") + 0.0, method  # -0.0 becomes 0.0
        except VectorError as error:
            raise SettingsError(
                f"path {name!r} has a point at {key!r}: expected a finite number, such as a training step or a strength. To "
                f"give the plan of each locale as one method, use the codes of the locales: {{'es-ES': plan}}."
            ) from error


def _by_locale(own: Mapping[Any, Any]) -> bool:
    """Returns whether a mapping is one method (the plan of each locale) and not the points of a path."""
    return bool(own) and all(isinstance(key, str) and isinstance(plan, SteeringPlan) for key, plan in own.items())


def point_name(path: str, at: float) -> str:
    """Returns the name that a point has as a method of a plane.

    Args:
        path: the name of the point's path.
        at: the number of the point.
    """
    return path if path == UNSTEERED else f"{path} at {at:.15g}"
