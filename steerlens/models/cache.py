"""Manages the folder where converted models are kept between runs."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from steerlens.storage import json_value, readable_errors, write_text

_SIZES = "steerlens-files.json"
"""The file with the name and size of every file of a converted model. The list of files is written last. A copy is incomplete if
the list is missing, or if a file does not have its listed size."""


def cache_folder() -> Path:
    """Returns the cache folder: ``$STEERLENS_CACHE``, or ``steerlens`` in ``$XDG_CACHE_HOME``, or ``~/.cache/steerlens``."""
    if chosen := os.environ.get("STEERLENS_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "steerlens"


def cached(name: str, build: Callable[[Path], None]) -> Path:
    """Returns the folder ``name`` of the cache, which ``build`` fills the first time.

    The folder is built next to its final place and then renamed, so that an interrupted build never leaves an incomplete model.
    The next build removes the files of an interrupted build. If two processes need the same folder, one process builds it and the
    other process waits.

    Raises:
        FileError: the cache cannot be written, or the disk is full.
    """
    from filelock import FileLock

    target, part = cache_folder() / name, cache_folder() / f".{name}.part"
    if is_complete(target):
        return target
    with readable_errors(target, "write the converted model to"):
        cache_folder().mkdir(parents=True, exist_ok=True)
        with FileLock(cache_folder() / f".{name}.lock"):
            if is_complete(target):
                return target
            for stale in (target, part):
                shutil.rmtree(stale, ignore_errors=True)
            part.mkdir()
            try:
                build(part)
                write_text(part / _SIZES, json.dumps({p.name: p.stat().st_size for p in part.iterdir()}))
                part.rename(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return target


def is_complete(folder: Path) -> bool:
    """Returns whether a cached folder contains every file that was written into it, at its full size."""
    try:
        sizes = json_value((folder / _SIZES).read_bytes())
        return (
            bool(sizes)
            and isinstance(sizes, dict)
            and all((folder / name).stat().st_size == size for name, size in sizes.items())
        )
    except (OSError, ValueError):
        return False
