"""Runs one case: writes its files, loads the files, and judges what the loader did."""

import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from steerlens.errors import SteerlensError
from steerlens.testing.fuzz.mutations import Tree
from steerlens.testing.fuzz.target import Target

SECONDS = 10
"""The largest number of seconds that a load may take."""
GROWTH = 2 << 30
"""The largest number of bytes that a load may add to the memory of the process."""
_FORBIDDEN = {
    *("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"),
    *("socket.connect", "socket.getaddrinfo"),
}
"""The events of Python's audit hooks for actions that no load may do."""
_LONGEST = 25_000
"""The largest number of characters in an error's message."""


@dataclass(frozen=True)
class Verdict:
    """The result of one case."""

    outcome: Literal["loaded", "refused", "fault"]
    said: str = ""
    """The message of the error, or a description of the fault."""


class _HungError(BaseException):
    """The error that is raised in a load that takes too long. No loader catches this error."""


class _Watched:
    """Records the forbidden actions of a load. Audit hooks cannot be removed, so one hook stays installed. This hook records
    actions only during a load."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        self.installed = False

    @contextmanager
    def watching(self, folder: Path) -> Iterator[list[str]]:
        """Records forbidden actions inside the ``with`` block. Writing is allowed only inside ``folder``."""
        if not self.installed:
            sys.addaudithook(self._hook)
            self.installed = True
        self.seen, self.folder = [], f"{folder.resolve()}{os.sep}"
        try:
            yield self.seen
        finally:
            self.folder = None

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        folder = self.folder
        if folder is None:
            return
        if event in _FORBIDDEN:
            self.folder = None  # the next events come from the record itself
            self.seen.append(f"{event} {args!r:.200}")
            self.folder = folder
        elif event == "exec" and str(getattr(args[0], "co_filename", "")).startswith(folder):
            self.seen.append(f"code of {args[0].co_filename} was run")
        elif event == "open" and isinstance(args[0], str) and _writes(args) and not _below(args[0], folder):
            self.seen.append(f"{args[0]} was opened for writing")


_watched = _Watched()


def _writes(args: tuple[Any, ...]) -> bool:
    mode, flags = (*args[1:3], None, None)[:2]
    by_flags = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return by_flags or (isinstance(mode, str) and bool(set(mode) & set("wax+")))


def _below(path: str, folder: str) -> bool:
    return path == os.devnull or f"{os.path.abspath(path)}{os.sep}".startswith(folder)


def judged(target: Target, tree: Tree, around: Path) -> Verdict:
    """Loads the files of a case in a separate folder, which is removed afterwards, and returns the result.

    Args:
        target: the loader.
        tree: the files.
        around: an existing folder. The case's folder is made inside this folder.
    """
    folder = Path(tempfile.mkdtemp(dir=around))
    given = folder / "input"
    try:
        write_tree(tree, given)
        before = _listing(given)
        start = _peak(reset=True)
        with _surroundings(folder), _watched.watching(folder) as seen:
            verdict = _loaded(target, given)
        faults = [f"memory grew by {grown >> 20:,} MiB"] if (grown := _peak() - start) > GROWTH else []
        faults += seen
        if (folder / "executed").exists() or (given / "executed").exists():
            faults.append("code in the file was executed")
        if _listing(given) != before:
            faults.append("the files were changed")
        faults += [f"{name} was left behind" for name in _left(folder, refused=verdict.outcome == "refused")]
        return Verdict("fault", "; ".join(faults)) if faults and verdict.outcome != "fault" else verdict
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _loaded(target: Target, given: Path) -> Verdict:
    try:
        with _time_limit():
            target.load(given)
        return Verdict("loaded")
    except SteerlensError as error:
        long = len(str(error)) > _LONGEST
        return Verdict("fault", f"a message of {len(str(error)):,} characters") if long else Verdict("refused", str(error))
    except _HungError as error:
        return Verdict("fault", f"took more than {SECONDS} seconds, at {_place(error)}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of Rust code is not an Exception
        return Verdict("fault", f"{type(error).__name__}: {error!s:.300}, at {_place(error)}")


def _place(error: BaseException) -> str:
    """Returns two places from an error's traceback: the last line in the code of steerlens, and the last line in any code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"steerlens{os.sep}" in frame.filename and f"{os.sep}fuzz{os.sep}" not in frame.filename]
    chosen = [*own[-1:], *frames[-1:]]
    return ", ".join(dict.fromkeys(f"{Path(frame.filename).name}:{frame.lineno}" for frame in chosen))


@contextmanager
def _time_limit() -> Iterator[None]:
    def late(*_: object) -> None:
        raise _HungError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _surroundings(folder: Path) -> Iterator[None]:
    """Works in a folder, with caches and temporary files in this folder, and without log messages."""
    cache, here, temporary = os.environ.get("STEERLENS_CACHE"), Path.cwd(), tempfile.tempdir
    written = sys.dont_write_bytecode
    (folder / "tmp").mkdir()
    os.environ["STEERLENS_CACHE"], tempfile.tempdir, sys.dont_write_bytecode = str(folder / "cache"), str(folder / "tmp"), True
    os.chdir(folder)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), _own_cache(folder):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
        os.chdir(here)
        tempfile.tempdir, sys.dont_write_bytecode = temporary, written
        if cache is None:
            del os.environ["STEERLENS_CACHE"]
        else:
            os.environ["STEERLENS_CACHE"] = cache


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Gives the datasets library another cache, because the library reads the path of its cache only once."""
    import datasets

    before, datasets.config.HF_DATASETS_CACHE = datasets.config.HF_DATASETS_CACHE, folder / "cache"
    try:
        yield
    finally:
        datasets.config.HF_DATASETS_CACHE = before


def _left(folder: Path, *, refused: bool) -> list[str]:
    """Returns the files that should not exist after a load. After a refused load, only locks and the input files may exist."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir() and path.suffix != ".lock"]
    others = [path for path in found if path.parts[0] != "input"]
    return [str(path) for path in others if refused or path.parts[0] == "tmp" or path.suffix in (".part", ".incomplete")]


def _listing(folder: Path) -> dict[str, Any]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.stat().st_size if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _peak(*, reset: bool = False) -> int:
    """Returns the peak memory of the process in bytes: since the last reset if Linux reports this number, otherwise since the
    process began."""
    status, peak = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        if reset:
            peak.write_text("5")
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) << 10
    except (OSError, KeyError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def write_tree(tree: Tree, folder: Path) -> None:
    """Writes the files of a case.

    Args:
        tree: the files.
        folder: the new folder for the files.
    """
    folder.mkdir(parents=True)
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)


def read_tree(folder: Path) -> Tree:
    """Returns the files inside a folder.

    Args:
        folder: the folder.
    """
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
