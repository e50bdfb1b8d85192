"""The newest wish, worked off in slices between the kernel's other messages; a newer one ends an older one."""

import asyncio
import threading
from collections.abc import Callable, Iterator

Steps = Iterator[None]
"""Work that pauses at each ``yield``. What it has set up must be taken down before it pauses: others run then."""

WAIT = 0.1
"""Seconds that a wish must be the newest before it is begun: a slider that is dragged wishes many times."""
_PAUSE = 0.005


class Latest:
    """Runs one job at a time on the event loop that cells run on, so that no cell ever sees it half done.

    JupyterLab may deliver a slider's moves in a thread of their own (a subshell of the kernel), while a cell runs. Nothing is
    done there: it is handed to the loop of the thread that made this, and waits until the cell has ended. Where no event loop
    runs (a script, a test) a job waits until ``settle``.
    """

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        self._on_error = on_error
        self._steps: Steps | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.get_ident()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    @property
    def busy(self) -> bool:
        """A job waits or runs."""
        return self._steps is not None

    def call(self, work: Callable[[], None]) -> None:
        """Does something now if this is the cells' thread, and else as soon as no cell runs."""
        if self._loop is None or threading.get_ident() == self._thread:
            work()
        else:
            self._loop.call_soon_threadsafe(work)

    def submit(self, steps: Steps) -> None:
        """Forgets the job before and begins this one soon. Belongs into ``call``."""
        self.cancel()
        self._steps = steps
        if self._loop is not None and self._loop.is_running():
            self._task = self._loop.create_task(self._run(steps))

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
