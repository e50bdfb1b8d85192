"""Judges cases in a separate process. A case that hangs or ends the process does not affect other cases."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from steerlens.testing.fuzz.judging import SECONDS, Verdict, judged
from steerlens.testing.fuzz.mutations import Tree
from steerlens.testing.fuzz.targets import TARGETS

_PATIENCE = 6 * SECONDS
"""The number of seconds after which a process that reports nothing is ended. Python cannot interrupt compiled code from inside
the process."""
_NET = 6 << 30
"""The number of bytes that the process may use in addition to its memory at the start. Because of this limit, a case that uses
too much memory cannot end other processes."""
_SETTINGS = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


class Judge:
    """A process that judges cases of all targets. If a case ends the process, another process is started."""

    def __init__(self) -> None:
        self._process: Any = None
        self._ready: set[str] = set()

    def judged(self, name: str, tree: Tree) -> Verdict:
        """Returns the result of a case.

        Args:
            name: the name of the target.
            tree: the files.

        Raises:
            RuntimeError: the target does not load its valid files.
        """
        if name not in self._ready:
            first = self._asked((name, None), 10 * _PATIENCE)
            if first is None or first.outcome != "loaded":
                raise RuntimeError(f"{name} does not load its valid files: {first.said if first else 'the process ended'}")
            self._ready.add(name)
        found = self._asked((name, tree), _PATIENCE)
        if found is None:
            self.close()
        return found or Verdict("fault", "the process ended, or did nothing for a minute")

    def _asked(self, case: tuple[str, Tree | None], seconds: float) -> Verdict | None:
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._ours, theirs = context.Pipe()
            os.environ.update(_SETTINGS)
            self._folder = TemporaryDirectory(prefix="steerlens-fuzz-")  # made here, because the process may be killed
            self._process = context.Process(target=_work, args=(theirs, self._folder.name), daemon=True)
            self._process.start()
            theirs.close()
        try:
            self._ours.send(case)
            return self._ours.recv() if self._ours.poll(seconds) else None
        except (EOFError, OSError):
            return None

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._ours.close()
            self._process.kill()
            self._process.join()
            self._folder.cleanup()
        self._process, self._ready = None, set()


def _work(pipe: Any, folder: str) -> None:
    """Judges the cases that arrive through a pipe. Valid files are loaded twice, because the first load also imports modules."""
    os.environ["HF_HOME"] = tempfile.tempdir = folder
    import torch

    torch.set_num_threads(1)
    while True:
        try:
            name, tree = pipe.recv()
        except EOFError:
            return
        target = TARGETS[name]
        if tree is None:
            judged(target, target.valid, Path(folder))
            _limit()
        pipe.send(judged(target, target.valid if tree is None else tree, Path(folder)))


def _limit() -> None:
    """Limits the memory of the process to the memory that it uses now plus ``_NET`` bytes, if Linux reports the memory."""
    import resource

    if sys.platform == "linux":
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + _NET, resource.RLIM_INFINITY))
