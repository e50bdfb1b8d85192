"""The code that runs in the processes of Ray. The module imports few packages, so the processes of Ray start quickly."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from steerlens.errors import SettingsError
from steerlens.provenance import provenance

SECONDS = 0.5
"""The time in seconds between two progress reports."""
Key = tuple[int, int]
"""A key for progress reports: the number of a call of ``RayExecutor.run``, and the number of a value in this call."""


class Worker:
    """A process that applies functions to values, one at a time."""

    def ready(self, threads: int, versions: dict[str, str]) -> None:
        """Prepares the process.

        Args:
            threads: the number of PyTorch's threads.
            versions: the versions of packages in the process that sends work. The versions are part of the names of stored
                results.

        Raises:
            SettingsError: the worker's machine has other versions of the packages than the calling process.
        """
        own = provenance()["versions"]
        other = [f"{name} {own.get(name)}, not {version}" for name, version in versions.items() if own.get(name) != version]
        if other:
            raise SettingsError(
                f"a worker of Ray has other package versions than the process that sends work to it ({'; '.join(other)}): "
                "expected the same versions on every machine. Install the same environment everywhere, for example with the "
                "pins of constraints.txt."
            )
        import torch

        torch.set_num_threads(threads)

    def run(self, function: Callable[[Any, Callable[[float], None]], Any], value: Any, told: Any, key: Key) -> Any:
        """Applies a function to a value.

        Args:
            function: a function that is called with the value and a callback. The function reports its progress to the callback,
                as the amount of work that it has done since the last report.
            value: the value.
            told: the actor of class ``Told``, to which progress is reported.
            key: the key under which the progress of the value is reported.
        """
        return function(value, _Teller(told, key))


class Told:
    """The progress that workers reported since the last request."""

    def __init__(self) -> None:
        """Starts with no reported progress."""
        self._latest: dict[Key, float] = {}

    def tell(self, key: Key, done: float) -> None:
        """Records that an amount ``done`` of the work on a value was completed. ``key`` identifies the value."""
        self._latest[key] = done

    def taken(self) -> dict[Key, float]:
        """Returns the progress that was reported since the last request, and resets the progress."""
        found, self._latest = self._latest, {}
        return found


@dataclass(eq=False)
class _Teller:
    """Reports the progress on a value, with a minimum time between reports."""

    told: Any
    key: Key
    done: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def __call__(self, more: float) -> None:
        self.done += more
        if time.monotonic() - self.last > SECONDS:
            self.told.tell.remote(self.key, self.done)
            self.last = time.monotonic()
