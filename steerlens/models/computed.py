"""Keeps results of a model until a hook is added or removed, or a weight changes."""

from collections.abc import Callable
from typing import Any, TypeVar

from steerlens.models.lens import LensModel

T = TypeVar("T")


class Computed:
    """Results that were computed with the hooks and weights that the model had when ``refresh`` was last called."""

    def __init__(self, model: LensModel) -> None:
        self.model = model
        self.version = 0
        """The number of times that all results were dropped."""
        self._state: object = None
        self._found: dict[str, Any] = {}

    def refresh(self) -> None:
        """Drops all results if the model's hooks or weights have changed. Do not call this method while your own hooks are
        active."""
        state = (self.model.backend.hooks_on(), self.model.backend.weights_stamp())
        if state != self._state:
            self._state, self._found, self.version = state, {}, self.version + 1

    def __call__(self, name: str, make: Callable[[], T]) -> T:
        """Returns the result that is kept under ``name``. If there is none, ``make`` computes the result."""
        if name not in self._found:
            self._found[name] = make()
        found: T = self._found[name]
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def put(self, name: str, value: object) -> None:
        """Keeps ``value`` under ``name``."""
        self._found[name] = value
