"""Puts the folder of a job on a small disk, makes the folder read-only, and compares it with the folder of an uninterrupted
run."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

_VOLATILE = frozenset(("seconds", "started"))
"""Fields of JSON files that contain the time or the duration of a run."""
_BITS = (".parquet", ".safetensors")
"""The endings of the names of files that are the same in every run, bit for bit."""
_PAGE = 4096
_ROOMY = "256m"
_MARK = "whole"
"""The file that marks a checkpoint of a training as complete."""


@contextmanager
def disk(place: Path, size: int | None = None) -> Iterator[bool]:
    """Mounts a small disk at a folder. The disk is a file system in memory, which only root may mount.

    Args:
        place: an empty folder.
        size: the number of bytes of the disk; ``None`` makes a large disk.

    Yields:
        Whether the disk was mounted. If not, the folder is unchanged.
    """
    mounted = _mount("-t", "tmpfs", "-o", f"size={size or _ROOMY}", "tmpfs", str(place))
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def enlarge(place: Path) -> None:
    """Makes a small disk large, and makes it writable again.

    Args:
        place: the folder at which the disk is mounted.

    Raises:
        OSError: the disk cannot be mounted again.
    """
    if not _mount("-o", f"remount,rw,size={_ROOMY}", str(place)):
        raise OSError(f"cannot make the disk at {place} larger")


def closed(place: Path, mounted: bool) -> bool:
    """Makes a folder read-only. Returns whether the folder is now read-only. A disk cannot be made read-only while a file on the
    disk is being written.

    Args:
        place: the folder.
        mounted: whether the folder is a separate disk. Otherwise permissions are removed, which has no effect for root.
    """
    if mounted:
        return _mount("-o", "remount,ro", str(place))
    _permit(place, 0o555)
    return True


def permissions_count(place: Path) -> bool:
    """Returns whether permissions can prevent this user from writing into a folder. Permissions do not prevent root from writing.

    Args:
        place: an empty folder.
    """
    try:
        _permit(place, 0o555)
        (place / "written").touch()
        (place / "written").unlink()
    except PermissionError:
        return True
    finally:
        _permit(place, 0o755)
    return False


def opened(place: Path, mounted: bool) -> None:
    """Makes a folder writable again.

    Args:
        place: the folder.
        mounted: whether the folder is a separate disk.
    """
    enlarge(place) if mounted else _permit(place, 0o755)


def no_larger_files(size: int) -> Callable[[], None]:
    """Returns a function that limits the size of each file that a process writes. This limit is used if the user is not allowed
    to mount a small disk.

    Args:
        size: the number of bytes of the largest allowed file.
    """
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))


def sizes(place: Path) -> list[int]:
    """Returns the numbers of bytes that files take on a disk, in the order in which they were last written.

    Args:
        place: the folder.
    """
    found = sorted(_files(place).values(), key=lambda path: path.stat().st_mtime_ns)
    return [-(-path.stat().st_size // _PAGE) * _PAGE for path in found]


def emptied(place: Path) -> Path:
    """Empties a folder, and returns it.

    Args:
        place: the folder.
    """
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def copied(place: Path, to: Path) -> Path:
    """Copies a folder, with the times of its files.

    Args:
        place: the folder.
        to: the path of the copy.
    """
    return Path(shutil.copytree(place, to))


def unlike(place: Path, right: Path) -> list[str]:
    """Returns the differences between a folder and the folder of an uninterrupted run: files that are missing, that differ or
    that were left behind.

    Args:
        place: the folder.
        right: the folder of the uninterrupted run.
    """
    own, others = _entries(place), _entries(right)
    faults = [f"{name} was left" for name in own.keys() - others.keys()]
    faults += [f"{name} is missing" for name in others.keys() - own.keys()]
    faults += [f"{n} differs" for n in own.keys() & others.keys() if own[n].is_file() and _content(own[n]) != _content(others[n])]
    return sorted(faults)


def half_written(place: Path, right: Path) -> list[str]:
    """Returns incomplete files of an interrupted run that a reader would find. Hidden files are ignored, because no code reads
    them.

    Args:
        place: the folder.
        right: the folder of an uninterrupted run.
    """
    bad = []
    for name, path in _files(place).items():
        checkpoint = next((parent for parent in path.parents if parent.name.startswith("checkpoint-")), None)
        if name.startswith(".") or "/." in name or (checkpoint is not None and not (checkpoint / _MARK).is_file()):
            continue
        other = right / name
        try:
            found = _content(path)
            whole = found == _content(other) if path.suffix in _BITS and other.is_file() else bool(found)
        except ValueError:
            whole = False
        if not whole and path.name != _MARK:
            bad.append(f"{name} is incomplete")
    return sorted(bad)


def kept(place: Path) -> dict[str, tuple[int, int]]:
    """Returns the finished work from which a job continues. The inode and the time of each file show whether the file was
    written again.

    Args:
        place: the folder.
    """
    return {name: _stamp(path) for name, path in _files(place).items() if _is_kept(path)}


def lost(place: Path, before: dict[str, tuple[int, int]]) -> list[str]:
    """Returns the finished work that no longer exists, or was written again.

    Args:
        place: the folder.
        before: the result of ``kept``.
    """
    gone = [name for name in before if not (place / name).is_file()]
    again = [name for name, own in before.items() if name not in gone and _stamp(place / name) != own]
    return [*(f"{name} was lost" for name in gone), *(f"{name} was done again" for name in again)]


def _is_kept(path: Path) -> bool:
    finished_task = path.parent.name == "tasks" and not path.name.startswith(".")
    return finished_task or (path.suffix == ".safetensors" and (path.parent / _MARK).is_file())


def _stamp(path: Path) -> tuple[int, int]:
    return path.stat().st_ino, path.stat().st_mtime_ns


def _content(path: Path) -> Any:
    """Returns the part of a file that is compared: the bits of a table, whether an HTML page is complete, JSON without times,
    or the bytes of any other file.

    Raises:
        ValueError: a table or a JSON file is damaged.
    """
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text(encoding="utf-8"))) or "nothing"
    if path.suffix == ".parquet":
        return _bits(path)
    if path.suffix == ".html":  # plotly gives each figure a random name
        return path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    return path.read_bytes()


def _bits(path: Path) -> tuple[bytes, Any]:
    """Returns the numbers and texts of a table as bytes, and the table's metadata without times."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        table = pq.ParquetFile(file).read(use_threads=False)
    made, written = json.loads((table.schema.metadata or {}).get(b"steerlens", b"{}")), pa.BufferOutputStream()
    with pa.ipc.new_stream(written, table.schema.remove_metadata()) as stream:
        stream.write_table(table.replace_schema_metadata(None))
    return written.getvalue().to_pybytes(), _timeless(made)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(own) for name, own in value.items() if name not in _VOLATILE}
    return [_timeless(own) for own in value] if isinstance(value, list) else value


def _files(place: Path) -> dict[str, Path]:
    return {name: path for name, path in _entries(place).items() if path.is_file()}


def _entries(place: Path) -> dict[str, Path]:
    return {str(path.relative_to(place)): path for path in place.rglob("*")}


def _permit(place: Path, mode: int) -> None:
    for folder in (place, *(path for path in place.rglob("*") if path.is_dir())):
        os.chmod(folder, mode)


def _mount(*given: str) -> bool:
    return (
        shutil.which("mount") is not None and subprocess.run(["mount", *given], capture_output=True, check=False).returncode == 0
    )
