"""Numbers that are kept as long as the model computes the same: until a hook comes or goes, or a weight changes."""

from collections.abc import Callable
from typing import Any, TypeVar

from steerlens.models.lens import LensModel
from steerlens.models.passes import hooks_on

T = TypeVar("T")


class Kept:
    """What was computed under the hooks and weights that a model has now. Not to be asked while hooks of one's own are on it."""

    def __init__(self, model: LensModel) -> None:
        self.model = model
        self._state: object = None
        self._found: dict[str, Any] = {}

    def __call__(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once."""
        found = self._now()
        if name in found:
            kept: T = found[name]
            return kept
        made = make()
        self.put(name, made)
        return made

    def __contains__(self, name: str) -> bool:
        return name in self._now()

    def put(self, name: str, value: object) -> None:
        """Keeps a value that was computed under the hooks and weights of now."""
        self._now()[name] = value

    def _now(self) -> dict[str, Any]:
        state = (hooks_on(self.model.tl), self.model.weights_stamp())
        if state != self._state:
            self._state, self._found = state, {}
        return self._found
