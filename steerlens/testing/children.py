"""Runs a job in a separate process, and interrupts the job at a given moment.

The process is forked from a process that has already imported all modules, so that a job takes one or two seconds and not ten.
The moment of an interruption is given as a number of touches. A touch happens when Python opens, renames or removes something in
the job's folder. The touches are the same in every run.
"""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TOUCHES = frozenset(
    ("open", "os.chmod", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir", "shutil.rmtree")
)
"""Events of ``sys.addaudithook`` whose first argument is a path."""
_LONGEST = 120.0
"""The number of seconds after which a job counts as hung."""
_PAUSE = 0.002


@dataclass(frozen=True)
class Moment:
    """The moment at which a run is interrupted, and the action that then happens in its process."""

    touches: int
    """The number of touches before the interruption."""
    act: Callable[[], bool]
    """The function that is called at the moment of interruption. If the function returns false, the function is called again at
    the next touch."""
    in_worker: bool = False
    """Whether the interruption happens in a process that the run has started, and not in the run's own process. The started
    process counts its own touches."""


@dataclass(frozen=True)
class Ended:
    """The way in which a run ended."""

    status: int
    """The exit status as in ``subprocess``. A negative status is the number of the signal that ended the process."""
    output: str
    """The text that the run wrote to stdout and stderr."""
    touches: int
    """The number of touches of the job's folder, if the run ended by itself."""
    seconds: float
    hung: bool = False
    """Whether the run took too long and was therefore killed."""


class Run:
    """A job that runs in its own process group."""

    def __init__(
        self,
        job: Callable[[], None],
        place: Path,
        log: Path,
        moment: Moment | None = None,
        limit: Callable[[], None] = lambda: None,
    ) -> None:
        """Starts the job.

        Args:
            job: the function that is run. The function ends by returning or by ``SystemExit``.
            place: the folder whose touches count.
            log: the file for the job's output.
            moment: the moment of the interruption; ``None`` for no interruption.
            limit: a function that is called in the process before the job.
        """
        self._log, self._counted, self.began = log, log.with_suffix(".touches"), time.monotonic()
        self._counted.unlink(missing_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _child(job, place, log, self._counted, moment, limit)

    def send(self, number: int, at: float) -> None:
        """Sends a signal at a given time, unless the run has already ended.

        Args:
            number: the signal.
            at: the time at which the signal is sent, in seconds of ``time.monotonic``.
        """
        while time.monotonic() < at:
            if self._is_over():
                return
            time.sleep(_PAUSE)
        os.kill(self.pid, number)  # nobody has waited for the process, so its number is not reused

    def wait(self) -> Ended:
        """Waits for the end of the run, and ends processes that the run has left running."""
        hung, last = False, self.began + _LONGEST
        while not self._is_over():
            if time.monotonic() > last:
                hung = True
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(_PAUSE)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        touches = int(self._counted.read_text(encoding="utf-8")) if self._counted.is_file() else 0
        output = self._log.read_text(encoding="utf-8", errors="replace")
        return Ended(status, output, touches, time.monotonic() - self.began, hung)

    def _is_over(self) -> bool:
        """Returns whether the process has ended. The operating system does not yet reuse the process id, because no code has
        called ``waitpid`` for this process."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def by_signal(number: int) -> Callable[[], bool]:
    """Returns a function that sends a signal to its own process.

    Args:
        number: the signal.
    """

    def act() -> bool:
        os.kill(os.getpid(), number)
        return True

    return act


def _child(
    job: Callable[[], None], place: Path, log: Path, counted: Path, moment: Moment | None, limit: Callable[[], None]
) -> None:
    """Runs a job and ends the process. This function never returns."""
    status = 1
    try:
        os.setpgrp()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, 1)
        os.dup2(written, 2)
        touches = _watched(place, moment)
        limit()
        status = _status(job)
        sys.stdout.flush()
        sys.stderr.flush()
        counted.write_text(str(touches()), encoding="utf-8")
    finally:
        os._exit(status)


def _status(job: Callable[[], None]) -> int:
    """Runs a job, and returns the exit status with which Python would end."""
    try:
        job()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        return 128 + signal.SIGINT
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _watched(place: Path, moment: Moment | None) -> Callable[[], int]:
    """Counts the touches of a folder from now on, and calls the function of ``moment`` at the touch that ``moment`` names.

    Returns:
        A function that returns the number of touches.
    """
    here, prefix, seen, busy, over = os.getpid(), str(place), 0, False, moment is None

    def hook(event: str, given: tuple[object, ...]) -> None:
        nonlocal seen, busy, over
        if busy or event not in _TOUCHES or not given or not isinstance(given[0], str | os.PathLike):
            return
        if not str(given[0]).startswith(prefix):
            return
        seen += 1
        if over or moment is None or seen <= moment.touches or moment.in_worker == (os.getpid() == here):
            return
        busy = True
        try:
            over = moment.act()
        finally:
            busy = False

    sys.addaudithook(hook)
    return lambda: seen
