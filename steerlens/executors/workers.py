"""What runs in Ray's processes. This module imports little, so that these start soon."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from steerlens.errors import SettingsError
from steerlens.provenance import provenance

SECONDS = 0.5
"""How often progress is reported."""
Key = tuple[int, int]
"""A call of ``RayExecutor.run``, and the number of a value in it."""


class Worker:
    """A process that applies functions to values, one at a time."""

    def ready(self, threads: int, versions: dict[str, str]) -> None:
        """Prepares the process.

        Args:
            threads: the threads of PyTorch.
            versions: the versions of packages in the process that sends work. Results are named by them.

        Raises:
            SettingsError: this machine has others.
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
            function: is called with the value, and with a function to call with the work done since the last call.
            value: the value that it is applied to.
            told: the actor of ``Told``.
            key: the key of this value's progress.
        """
        return function(value, _Teller(told, key))


class Told:
    """The progress that workers reported since the last request."""

    def __init__(self) -> None:
        """Starts without progress."""
        self._latest: dict[Key, float] = {}

    def tell(self, key: Key, done: float) -> None:
        """Notes how much of a value is ``done``, by its ``key``."""
        self._latest[key] = done

    def taken(self) -> dict[Key, float]:
        """Returns the reported progress, and clears it."""
        found, self._latest = self._latest, {}
        return found


@dataclass(eq=False)
class _Teller:
    """Tells how much of a value is done, at most every so often."""

    told: Any
    key: Key
    done: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def __call__(self, more: float) -> None:
        self.done += more
        if time.monotonic() - self.last > SECONDS:
            self.told.tell.remote(self.key, self.done)
            self.last = time.monotonic()
