"""A job in a process of its own, and the moment of its run at which it is interrupted.

A process is forked from one that has imported everything, so that a job takes one or two seconds and not ten. Its moments are
counted in touches: how often Python opened, renamed or removed something in the job's folder. They are the same in every run.
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
"""Seconds after which a job hangs."""
_PAUSE = 0.002


@dataclass(frozen=True)
class Moment:
    """When a run is interrupted, and what then happens in its process."""

    touches: int
    """The touches before it."""
    act: Callable[[], bool]
    """Is called at this touch; where it returns false, again at the next one."""
    in_worker: bool = False
    """Whether this happens in a process that the run has started, which counts its own touches, and not in its own one."""


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    status: int
    """As ``subprocess`` gives it: below zero, the signal that ended the process."""
    output: str
    """What was written to stdout and stderr."""
    touches: int
    """How often the job's folder was touched, if the run ended by itself."""
    seconds: float
    hung: bool = False
    """Whether it had to be ended from outside."""


class Run:
    """A job that runs in a process group of its own."""

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
            job: what is run; it ends by returning or by ``SystemExit``.
            place: the folder whose touches count.
            log: the file for what it writes.
            moment: when it is interrupted; never for ``None``.
            limit: what is called in the process before the job.
        """
        self._log, self._counted, self.began = log, log.with_suffix(".touches"), time.monotonic()
        self._counted.unlink(missing_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _child(job, place, log, self._counted, moment, limit)

    def send(self, number: int, at: float) -> None:
        """Sends a signal, unless the run has ended by then.

        Args:
            number: the signal.
            at: when, in seconds of ``time.monotonic``.
        """
        while time.monotonic() < at:
            if self._is_over():
                return
            time.sleep(_PAUSE)
        os.kill(self.pid, number)  # which has not been waited for: the number is still its own

    def wait(self) -> Ended:
        """Waits for the end, and ends what the run has started and left."""
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
        """Says whether the process has ended; its number stays its own, since it is not waited for."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def by_signal(number: int) -> Callable[[], bool]:
    """Returns what sends a signal to the process itself.

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
    """Runs a job and ends the process; it never returns."""
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
    """Returns the status that Python would end with."""
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
    """Counts the touches of a folder from here on, and does what is to be done at one of them.

    Returns:
        What returns their number.
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
