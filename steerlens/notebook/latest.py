"""Runs only the newest request from the page. The request runs in short slices between the kernel's other messages. A new request
stops the previous request."""

import asyncio
import threading
from collections.abc import Callable, Iterator

Steps = Iterator[None]
"""A job that pauses at each ``yield``. Before each pause, the job must remove everything that it has set up, because other code
runs during the pause."""

WAIT = 0.1
"""The number of seconds that a request waits before it starts. If a newer request arrives in this time, the older request is
dropped. This is needed because dragging a slider makes many requests."""
_PAUSE = 0.005


class Latest:
    """Runs one job at a time on the event loop of the notebook's cells, so that no cell ever sees a half-done job.

    JupyterLab may deliver a slider's moves in another thread (a subshell of the kernel) while a cell runs. No job runs in this
    other thread. The job is passed to the event loop of the thread that made this object, and waits until the cell has ended. If
    no event loop runs (in a script or a test), a job waits until ``settle``.
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
        """Whether a job waits or runs."""
        return self._steps is not None

    def call(self, work: Callable[[], None]) -> None:
        """Runs ``work`` now if the current thread is the thread of the cells, and otherwise as soon as no cell runs."""
        if self._loop is None or threading.get_ident() == self._thread:
            work()
        else:
            self._loop.call_soon_threadsafe(work)

    def submit(self, steps: Steps) -> None:
        """Drops the previous job, and starts a new job soon. Use this method inside ``call``."""
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
        """Runs the current job now, to its end.

        Raises:
            Exception: any error that the job raises.
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
