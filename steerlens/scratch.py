"""Temporary folders next to the final ones. If a process was killed, the next process removes its folder."""

import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SCRATCH = ".part"
"""The ending of the names of temporary folders."""
_LOCK = ".lock"
"""The file of a temporary folder that is locked while the folder is in use."""


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Makes a hidden temporary folder inside another folder, and removes it at the end.

    A file in it stays locked until then, or until the process dies. By this lock, ``remove_abandoned`` recognizes a folder in
    use.

    Args:
        parent: the folder in which it is made.
        name: a part of its name, for ``remove_abandoned``.

    Yields:
        The folder, and the permissions of a new file.
    """
    folder, lock = _locked_folder(parent, name)
    try:
        yield folder, stat.S_IMODE(os.fstat(lock).st_mode)
    finally:
        _remove(folder)
        os.close(lock)


def remove_abandoned(parent: Path, name: str | None = None) -> None:
    """Removes the temporary folders that killed processes left inside a folder. Folders in use stay, including those of other
    machines.

    If the file system has no locks, all of them stay.

    Args:
        parent: the folder; it need not exist.
        name: the name given to ``scratch_folder``; any for ``None``.
    """
    pattern = "*" if name is None else glob.escape(name)
    for folder in parent.glob(f".{pattern}.{'[a-z0-9_]' * 8}{_SCRATCH}"):
        with suppress(OSError):
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR)
            except FileNotFoundError:
                folder.rmdir()  # refused unless it is empty
                continue
            try:
                if _lock(lock):
                    _remove(folder)
            finally:
                os.close(lock)


def _locked_folder(parent: Path, name: str) -> tuple[Path, int]:
    """Returns a new temporary folder, and the descriptor of its locked file."""
    while True:
        folder = Path(tempfile.mkdtemp(_SCRATCH, f".{name}.", parent))
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            if _lock(lock) is not False and (folder / _LOCK).exists():
                return folder, lock
            os.close(lock)
        except FileNotFoundError:
            pass
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)  # another process took it for abandoned before it was locked


def _remove(folder: Path) -> None:
    """Removes a temporary folder, its lock file last: a folder without a lock file that is not empty is treated as someone
    else's."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(folder)


def _lock(descriptor: int) -> bool | None:
    """Locks an open file. Returns whether this was possible, or ``None`` if the system or the file system has no locks."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock

        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
