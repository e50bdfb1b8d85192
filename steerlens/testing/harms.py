"""Interrupts a running job: by signals, a full disk, a read-only folder, a lost worker, or a second process in the job's
folder."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from steerlens.testing import places
from steerlens.testing.children import Ended, Moment, Run, by_signal
from steerlens.testing.jobs import Job

_SOON = 0.03
"""The number of seconds for which a file is still being written after a touch. A touch is an operation on a file of the job."""
_SAID = 8192
"""A number of bytes that is larger than all output of a job to stdout and stderr."""
_MOST = 2
"""The largest number of interruptions of a job before the job is run to its end."""


@dataclass(frozen=True)
class Whole:
    """The result of a job that is not interrupted."""

    job: Job
    place: Path
    """The folder into which the job writes. The folder is always the same, because some files contain paths."""
    right: Path
    """A copy of the folder's content after the job has ended."""
    log: Path
    touches: int
    seconds: float

    def run(self, moment: Moment | None = None, limit: Callable[[], None] = lambda: None, log: str = "log") -> Run:
        """Starts the job.

        Args:
            moment: the moment of the interruption.
            limit: a function that is called in the job's process before the job.
            log: the name of the file for the job's output.
        """
        return Run(self.job.run, self.place, self.log / f"{log}.txt", moment, limit)


@dataclass
class Round:
    """The observations in one round. In a round, a job is interrupted and then run to its end."""

    whole: Whole
    random: Random
    told: list[str] = field(default_factory=list)
    """The descriptions of the actions in this round, in words."""
    faults: list[str] = field(default_factory=list)
    struck: int = 0
    """The number of runs that were interrupted. The other runs ended before they could be interrupted."""
    mounted: bool = False
    """Whether the job's folder is a separate disk."""
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    """The finished work that existed when the last run ended."""

    def tell(self, what: str, ended: Ended) -> None:
        """Records how a run ended, and checks whether a reader would find a half-written file.

        Args:
            what: a description of the interruption.
            ended: how the run ended.
        """
        self.told.append(f"{what}: status {ended.status}")
        self.struck += ended.status != 0
        if ended.hung:
            self.faults.append("the run hangs")
        self.faults += places.half_written(self.whole.place, self.whole.right)
        self._look_for_kept()

    def finish(self) -> None:
        """Runs the job to its end, and compares its folder with the result of an uninterrupted run."""
        ended = self.whole.run().wait()
        if ended.status != 0:
            self.faults.append(f"the same command, run again, ends with status {ended.status}: {last_words(ended)}")
            return
        self.told.append(f"{len(self.kept)} finished parts were kept")
        self._look_for_kept()
        self.faults += places.unlike(self.whole.place, self.whole.right)

    def _look_for_kept(self) -> None:
        """Checks that the finished work of earlier runs still exists and was not done again."""
        self.faults += places.lost(self.whole.place, self.kept)
        self.kept = places.kept(self.whole.place)


@dataclass(frozen=True)
class Harm:
    """One kind of interruption."""

    name: str
    strike: Callable[[Round], None]
    """Interrupts the job of a round, and checks the messages of the job."""
    on_disk: bool = False
    """Whether the job's folder is put on a separate disk. Only root can mount a disk."""
    pooled: bool = False
    """Whether this kind of interruption applies only to jobs that a pool of processes runs."""

    def befall(self, whole: Whole, seed: int) -> Round:
        """Runs one round: starts a job in an empty folder, interrupts the job, and then runs it to its end.

        Args:
            whole: the job.
            seed: the seed for drawing the moments of interruption.
        """
        told = Round(whole, Random(f"{self.name} {whole.job.name} {seed}"))
        places.emptied(whole.place)
        with self._disk(told):
            if self.strike is _closed and not told.mounted and not places.permissions_count(whole.place):
                told.told.append("not done: this user may write into every folder, and may not mount a disk")
                return told
            self.strike(told)
            told.finish()
        return told

    @contextmanager
    def _disk(self, told: Round) -> Iterator[None]:
        if not self.on_disk:
            yield
            return
        size = _too_small(told) if self.strike is _full else None
        with places.disk(told.whole.place, size) as told.mounted:
            yield


def last_words(ended: Ended) -> str:
    """Returns the last line of a run's output.

    Args:
        ended: how the run ended.
    """
    return (ended.output.strip().splitlines() or ["it said nothing"])[-1][:300]


def _signalled(number: int, right: Callable[[Ended], bool], told: Round) -> None:
    """Sends a signal to the job once or twice: at a touch of the job's folder, shortly after a touch, or at any time."""
    for _ in range(told.random.randint(1, _MOST)):
        how, whole = told.random.choice(("touch", "soon", "time")), told.whole
        touch, soon = told.random.randrange(whole.touches), told.random.uniform(0, _SOON)
        if how == "touch":
            ended, what = whole.run(Moment(touch, by_signal(number))).wait(), f"at touch {touch}"
        elif how == "soon":
            ended, what = _sent_soon(whole, number, touch, soon), f"{1000 * soon:.0f} ms after touch {touch}"
        else:
            run, after = whole.run(), told.random.uniform(0, whole.seconds)
            run.send(number, run.began + after)
            ended, what = run.wait(), f"after {after:.2f} s"
        told.tell(f"{signal.Signals(number).name} {what}", ended)
        if ended.status != 0 and not right(ended):
            told.faults.append(f"a run that got {signal.Signals(number).name} ends with {ended.status}: {last_words(ended)}")


def _sent_soon(whole: Whole, number: int, touch: int, soon: float) -> Ended:
    """Sends a signal to the job from this process, some time after the job touched its folder."""
    reader, writer = os.pipe()

    def act() -> bool:
        os.write(writer, b"x")
        return True

    run = whole.run(Moment(touch, act))
    os.close(writer)
    began = bool(os.read(reader, 1))  # empty if the run ended before and closed the pipe
    os.close(reader)
    if began:
        run.send(number, time.monotonic() + soon)
    return run.wait()


def _full(told: Round) -> None:
    """Makes the disk too small, and larger again before the next run. If no disk is mounted, limits the size of each file
    instead."""
    limit = (lambda: None) if told.mounted else places.no_larger_files(_too_short(told))
    ended = told.whole.run(limit=limit).wait()
    told.tell("a full disk" if told.mounted else "a limit on the size of files", ended)
    _check_words(told, ended)
    if told.mounted:
        places.enlarge(told.whole.place)


def _too_small(told: Round) -> int:
    """Draws the size of a disk that becomes full in the middle of one of the job's files. Each file is equally likely."""
    sizes = places.sizes(told.whole.right)
    at = told.random.randrange(len(sizes))
    return max(1 << 14, sum(sizes[:at]) + told.random.randrange(max(1, sizes[at])))


def _too_short(told: Round) -> int:
    """Draws a size that is smaller than one of the job's files, but larger than the job's messages."""
    return told.random.randrange(_SAID, told.random.choice([size for size in places.sizes(told.whole.right) if size > _SAID]))


def _closed(told: Round) -> None:
    """Makes the folder read-only from a random touch of the folder onward."""
    place, touch = told.whole.place, told.random.randrange(told.whole.touches) if told.random.random() < 0.8 else 0
    ended = told.whole.run(Moment(touch, partial(places.closed, place, told.mounted))).wait()
    told.tell(f"read-only from touch {touch} on", ended)
    _check_words(told, ended)
    places.opened(place, told.mounted)


def _check_words(told: Round, ended: Ended) -> None:
    """Checks that a run that cannot write names the file in its message, and ends with status 2."""
    if ended.status == 0:
        return
    words = [line for line in ended.output.splitlines() if line.startswith("steerlens: ")]
    if ended.status != 2 or not words:
        told.faults.append(f"a run that cannot write ends with {ended.status} and no error message: {last_words(ended)}")
    elif str(told.whole.place) not in words[-1]:
        told.faults.append(f"the error message of a run that cannot write names no file: {words[-1]}")
    else:
        told.told.append(words[-1].replace(str(told.whole.place), "…")[:160])


def _worker_lost(told: Round) -> None:
    """Ends one process of a pool."""
    touch = told.random.randrange(max(2, told.whole.touches // 4))
    ended = told.whole.run(Moment(touch, by_signal(signal.SIGKILL), in_worker=True)).wait()
    told.tell(f"a worker ends at its touch {touch}", ended)
    if ended.status not in (0, 2):
        told.faults.append(f"a run that lost a worker ends with {ended.status} and no error message: {last_words(ended)}")


def _together(told: Round) -> None:
    """Runs the job in two processes at once. The second process starts a little later, and sometimes the first process is ended
    early."""
    random, whole = told.random, told.whole
    killed = random.random() < 0.3
    moment = Moment(random.randrange(whole.touches), by_signal(signal.SIGKILL)) if killed else None
    first = whole.run(moment)
    time.sleep(random.uniform(0, whole.seconds) if random.random() < 0.5 else random.uniform(0, _SOON))
    second = whole.run(log="second")
    ends = {"the first": first.wait(), "the second": second.wait()}
    for which, ended in ends.items():
        told.tell(f"{which} of two at once", ended)
        told.struck += 1
        turned_away = whole.job.exclusive and ended.status == 2 and "another process" in ended.output
        expected = killed and which == "the first" and ended.status == -signal.SIGKILL
        if ended.status != 0 and not turned_away and not expected:
            told.faults.append(f"{which} of two at once ends with {ended.status}: {last_words(ended)}")


def _by_ctrl_c(ended: Ended) -> bool:
    return ended.status == 128 + signal.SIGINT


HARMS: dict[str, Harm] = {
    harm.name: harm
    for harm in (
        Harm("kill", partial(_signalled, signal.SIGKILL, lambda ended: ended.status == -signal.SIGKILL)),
        Harm("term", partial(_signalled, signal.SIGTERM, lambda ended: ended.status == -signal.SIGTERM)),
        Harm("ctrl-c", partial(_signalled, signal.SIGINT, _by_ctrl_c)),
        Harm("disk", _full, on_disk=True),
        Harm("read-only", _closed, on_disk=True),
        Harm("worker", _worker_lost, pooled=True),
        Harm("two", _together),
    )
}
"""All kinds of interruption, by name."""
