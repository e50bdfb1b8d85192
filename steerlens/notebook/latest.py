"""The newest wish, worked off in slices between the kernel's other messages; a newer one ends an older one."""

import asyncio
from collections.abc import Callable, Iterator

Steps = Iterator[None]
"""Work that pauses at each ``yield``. What it has set up must be taken down before it pauses: others run then."""

WAIT = 0.1
"""Seconds that a wish must be the newest before it is begun: a slider that is dragged wishes many times."""
_PAUSE = 0.005


class Latest:
    """Runs one job at a time on the event loop of the kernel, in its own thread, so that no other code ever sees it half done.

    Where no event loop runs (a script, a test) a job waits until ``settle``.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._steps: Steps | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """A job waits or runs."""
        return self._steps is not None

    def submit(self, steps: Steps) -> None:
        """Forgets the job before and begins this one soon."""
        self.cancel()
        self._steps = steps
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._task = loop.create_task(self._run(steps))

    def cancel(self) -> None:
        """Ends the job at its next pause."""
        if self._task is not None:
            self._task.cancel()
        self._steps = self._task = None

    def settle(self) -> None:
        """Works the job off now, to its end.

        Raises:
            Exception: whatever the job raises.
        """
        steps = self._steps
        self.cancel()
        for _ in steps or ():
            pass

    async def _run(self, steps: Steps) -> None:
        await asyncio.sleep(WAIT)
        try:
            for _ in steps:
                await asyncio.sleep(_PAUSE)
        except Exception as error:
            self._on_error(error)
        if self._steps is steps:
            self._steps = self._task = None
