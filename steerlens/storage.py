"""Files of our own: safetensors with a JSON header, and text, written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steerlens.errors import FileError

_HEADER = "steerlens"
"""Key of our JSON in the safetensors metadata, which maps strings to strings."""
_FORMAT = 1


@contextmanager
def readable_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns the operating system's errors about a file (missing, unwritable, disk full) into a ``FileError``."""
    try:
        yield
    except OSError as error:
        reason, check = error.strerror or str(error), " and its" if doing == "read" else ", the free space and the"
        raise FileError(f"cannot {doing} {path}: {reason}. Check the path{check} permissions.") from error


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Has ``write`` fill a temporary file beside ``path`` and moves it there, so that a reader sees all of it or none.

    Raises:
        FileError: the folder cannot be made or written to, or the disk is full. Nothing is left behind.
    """
    path = Path(path)
    with readable_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        try:
            write(Path(name))
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # mkstemp makes it the owner's alone
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Writes UTF-8 text, whole or not at all."""

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8")

    return write_atomically(path, write)


def read_json(path: Path, again: str) -> Any:
    """What a JSON file holds.

    Args:
        again: what to do about a damaged one.

    Raises:
        FileError: missing or damaged.
    """
    with readable_errors(path, "read"):
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FileError(f"{path} holds damaged JSON ({error}). {again}") from error


def save_tensors(path: str | Path, kind: str, tensors: Mapping[str, Any], header: Mapping[str, Any]) -> Path:
    """Writes tensors as safetensors, with ``kind`` and ``header`` as JSON in its metadata.

    Raises:
        FileError: the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    content = json.dumps({"kind": kind, "format": _FORMAT, **header}, ensure_ascii=False)

    def write(part: Path) -> None:
        try:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part, {_HEADER: content})
        except SafetensorError as error:
            raise FileError(f"cannot write {path}: {error}. Check the free space.") from error

    return write_atomically(path, write)


def load_tensors(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and header of a file written by ``save_tensors`` with the same ``kind``.

    Raises:
        FileError: no such file, truncated or not safetensors, not ours, or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    with readable_errors(path, "read"):
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no iterator)
        except SafetensorError as error:
            raise FileError(
                f"{path} is truncated or not a safetensors file ({error}). Write it again, or copy it whole."
            ) from error
    try:
        header = json.loads(metadata.get(_HEADER, "{}"))
    except json.JSONDecodeError as error:
        raise FileError(f"{path} has a damaged steerlens header ({error}). Write it again.") from error
    if header.get("kind") != kind or header.get("format") != _FORMAT:
        found = f"a {header['kind']}, format {header.get('format')}" if "kind" in header else "a file of other software"
        raise FileError(f"{path} holds {found}: expected a {kind}, format {_FORMAT}. Give a file that steerlens saved as one.")
    return tensors, header
