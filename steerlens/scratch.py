"""Makes temporary folders next to the final files. If a process was killed, the next process removes the temporary folder of the
killed process."""

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
"""The name of the file in a temporary folder that stays locked while the folder is in use."""


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Makes a hidden temporary folder inside another folder, and removes it at the end.

    A file in the temporary folder stays locked until the folder is removed or the process dies. ``remove_abandoned`` checks this
    lock to recognize a folder in use.

    Args:
        parent: the folder in which the temporary folder is made.
        name: a part of the temporary folder's name, by which ``remove_abandoned`` finds the folder.

    Yields:
        The temporary folder, and the permission bits of a new file.
    """
    folder, lock = _locked_folder(parent, name)
    try:
        yield folder, stat.S_IMODE(os.fstat(lock).st_mode)
    finally:
        _remove(folder)
        os.close(lock)


def remove_abandoned(parent: Path, name: str | None = None) -> None:
    """Removes the temporary folders that killed processes left inside a folder. Temporary folders that a process on this or
    another machine uses are kept.

    If the file system does not support locks, all temporary folders are kept.

    Args:
        parent: the folder, which does not need to exist.
        name: the name that was given to ``scratch_folder``, or ``None`` for every name.
    """
    pattern = "*" if name is None else glob.escape(name)
    for folder in parent.glob(f".{pattern}.{'[a-z0-9_]' * 8}{_SCRATCH}"):
        with suppress(OSError):
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR)
            except FileNotFoundError:
                folder.rmdir()  # fails if the folder is not empty
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
        shutil.rmtree(folder, ignore_errors=True)  # another process removed its files before it was locked


def _remove(folder: Path) -> None:
    """Removes a temporary folder and its lock file. The lock file is removed last, because ``remove_abandoned`` does not remove a
    folder that has other files and no lock file."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(folder)


def _lock(descriptor: int) -> bool | None:
    """Locks an open file. Returns whether the lock succeeded, or ``None`` if the system or the file system does not support
    locks."""
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock

        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True
