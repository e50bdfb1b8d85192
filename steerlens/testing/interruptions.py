"""Interrupts jobs: ``python -m steerlens.testing.interruptions [--rounds 50] [--jobs study,…] [--harms kill,…] [--seed 0]``.

The jobs are a study, a sweep, a search, a training, a conversion and a sweep by a pool of processes, on tiny random models. Each
job runs in its own process, and is interrupted at random moments that depend on a seed. The same command is then run again. The
second run must end with the same files, bit for bit, as a run without an interruption. The second run must not repeat finished
work, and must leave no other files in the job's folder. If a job cannot write a file, the job must name the file in its error
message and end with status 2.

For a full disk and a read-only folder, a small file system in memory is used, which only root may mount. For other users, the
size of each file is limited (``RLIMIT_FSIZE``), and permissions are removed. This command needs Linux and the extra ``demo``.
"""

import argparse
import importlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import steerlens as sl
from steerlens.testing import places
from steerlens.testing.children import Run
from steerlens.testing.harms import HARMS, Harm, Round, Whole
from steerlens.testing.jobs import IMPORTED, Job, jobs

_NAMES = ("study", "sweep", "search", "alignment", "conversion", "pool")
_QUIET = {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns 0 if no fault was found."""
    given = _parsed(arguments)
    os.environ.update(_QUIET)
    import torch

    torch.set_num_threads(1)
    for name in IMPORTED:
        importlib.import_module(name)
    began, faults, struck, done = time.monotonic(), 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for told, line in _rounds(Path(folder), given):
            done, struck, faults = done + 1, struck + bool(told.struck), faults + bool(told.faults)
            _say(line)
            for fault in told.faults:
                _say(f"    {fault}")
    _say(f"{done} rounds, {struck} of them interrupted, {faults} with faults; {time.monotonic() - began:.0f} s.")
    return 1 if faults else 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="steerlens.testing.interruptions", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--rounds", type=int, default=3, help="The number of rounds of each job and kind of interruption. Default: %(default)s."
    )
    parser.add_argument("--jobs", default=",".join(_NAMES), help="The jobs, separated by commas. Default: %(default)s.")
    parser.add_argument("--harms", default=",".join(HARMS), help="The interruptions, separated by commas. Default: %(default)s.")
    parser.add_argument("--seed", type=int, default=0, help="The seed of the first round. Default: %(default)s.")
    given = parser.parse_args(arguments)
    for name, known in (("jobs", _NAMES), ("harms", HARMS)):
        listed = getattr(given, name).split(",")
        for one in listed:
            if one not in known:
                raise sl.errors.UnknownNameError(name.removesuffix("s"), one, known)
        setattr(given, name, listed)
    return given


def _rounds(root: Path, given: argparse.Namespace) -> Iterator[tuple[Round, str]]:
    """Runs every round, and yields its observations with a line for a terminal."""
    place = root / "place"
    made = jobs(root, place)
    wholes = [_whole(root, place, made[name]) for name in given.jobs]
    for seed in range(given.seed, given.seed + given.rounds):
        for whole in wholes:
            for harm in (HARMS[name] for name in given.harms):
                if harm.pooled and not whole.job.pooled:
                    continue
                began = time.monotonic()
                told = harm.befall(whole, seed)
                yield told, _line(harm, told, seed, time.monotonic() - began)


def _whole(root: Path, place: Path, job: Job) -> Whole:
    """Runs a job in an empty folder without an interruption.

    Raises:
        ModelError: the job does not finish.
    """
    ended = Run(job.run, places.emptied(place), root / "log.txt").wait()
    if ended.status != 0:
        raise sl.errors.ModelError(f"the {job.name} ends with status {ended.status} though nobody interrupts it:\n{ended.output}")
    return Whole(job, place, places.copied(place, root / "right" / job.name), root, ended.touches, ended.seconds)


def _line(harm: Harm, told: Round, seed: int, seconds: float) -> str:
    state = "wrong" if told.faults else "right" if told.struck else "too late"
    again = f"--jobs {told.whole.job.name} --harms {harm.name} --seed {seed} --rounds 1"
    return f"{state:8} {again:64} {seconds:5.1f} s  {'; '.join(told.told)}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
