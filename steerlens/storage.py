"""Reads and writes files in the formats of steerlens: safetensors with a JSON header, and text. A file is written completely or
not at all."""

import codecs
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from steerlens.errors import FileError, SteerlensError
from steerlens.scratch import remove_abandoned, scratch_folder

T = TypeVar("T")

_HEADER = "steerlens"
"""The key of the steerlens header in the safetensors metadata. The metadata maps strings to strings, so the header is stored as
JSON."""
_FORMAT = 1
_OF_SYSTEM = re.compile(r"\(os error \d+\)")
"""A pattern for the end of a Rust error message, if the operating system caused the error."""


@contextmanager
def readable_errors(path: Path, doing: str) -> Iterator[None]:
    """Turns the operating system's errors about a file (missing, unwritable, disk full) into a ``FileError``.

    If the operating system reports an error, the libraries safetensors and tokenizers raise their own error types. The system's
    error number is then at the end of the message.
    """
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and (isinstance(error, SteerlensError) or not _OF_SYSTEM.search(str(error))):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        check = " and its" if doing == "read" else ", the free space and the"
        raise FileError(f"cannot {doing} {path}: {reason}. Check the path{check} permissions.") from error


def write_atomically(path: str | Path, write: Callable[[Path], None]) -> Path:
    """Calls ``write`` with the path of a file in a temporary folder, and then moves the file to ``path``. Other processes
    therefore see the complete file or no file.

    The temporary folder is in the same folder as ``path``. Old temporary folders for the same file are removed if the processes
    that made them were killed.

    Raises:
        FileError: the folder cannot be made or written to, or the disk is full. The incomplete file is removed.
    """
    path = Path(path)
    with readable_errors(path, "write"):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, path.name)
        with scratch_folder(path.parent, path.name) as (folder, mode):
            part = folder / path.name
            write(part)
            os.chmod(part, mode)  # some libraries let only the owner read the file
            os.replace(part, path)
    return path


def write_text(path: str | Path, text: str) -> Path:
    """Writes UTF-8 text, completely or not at all."""

    def write(part: Path) -> None:
        part.write_text(text, encoding="utf-8")

    return write_atomically(path, write)


def json_value(text: str | bytes) -> Any:
    """Returns the values of a JSON text. This function reads all JSON from other sources.

    Args:
        text: the text as a string, or as bytes in UTF-8 with or without a byte order mark.

    Raises:
        ValueError: the text is not JSON, is nested too deeply or contains a number with thousands of digits. The error is also
            raised if an object has a key twice, or if a string contains half a surrogate pair.
    """
    text = text.removeprefix(codecs.BOM_UTF8).decode("utf-8") if isinstance(text, bytes) else text
    try:
        found = json.loads(text, object_pairs_hook=_each_once)
        if "\\ud" in text or "\\uD" in text:  # half a surrogate pair cannot be written to a file
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise ValueError(f"a text in the JSON is not Unicode, because it contains {error.object[error.start]!a}") from error
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"key {twice!r:.80} is twice in one object")
    return found


def read_json(path: Path, again: str) -> Any:
    """Returns the values of a JSON file.

    Args:
        again: a sentence that says what to do about a damaged file. The error message ends with this sentence.

    Raises:
        FileError: the file is missing or damaged.
    """
    with readable_errors(path, "read"):
        try:
            return json_value(path.read_bytes())
        except ValueError as error:
            raise FileError(f"{path} contains damaged JSON ({error}). {again}") from error


def save_tensors(path: str | Path, kind: str, tensors: Mapping[str, Any], header: Mapping[str, Any]) -> Path:
    """Writes tensors as safetensors, with ``kind`` and ``header`` as JSON in the metadata.

    Raises:
        FileError: the file cannot be written, or the header contains values that JSON cannot represent.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        content = json.dumps({"kind": kind, "format": _FORMAT, **header}, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise FileError(
            f"cannot write {path}: the description of the {kind} cannot be written as JSON ({error}). In notes and names, use "
            "only texts, numbers, lists and dictionaries of Python."
        ) from error

    def write(part: Path) -> None:
        try:
            save_file(_apart(tensors), part, {_HEADER: content})
        except SafetensorError as error:
            raise FileError(f"cannot write {path}: {error}. Check the free space.") from error

    return write_atomically(path, write)


def _apart(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tensors with separate memory, because safetensors refuses shared memory. A direction that is used twice is
    copied."""
    seen: set[int] = set()
    apart = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone().contiguous() if memory in seen else tensor.contiguous()
        seen.add(memory)
    return apart


def load_tensors(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the tensors and the header of a file that ``save_tensors`` wrote with the same ``kind``. ``restored`` makes an
    object from the tensors and the header.

    Raises:
        FileError: the file does not exist, is truncated, is not safetensors, was not written by steerlens, or has another kind.
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
                f"{path} is truncated or not a safetensors file ({error}). Write the file again, or copy the whole file."
            ) from error
    try:
        header = json_value(metadata.get(_HEADER, "{}"))
    except ValueError as error:
        raise FileError(f"{path} has a damaged steerlens header ({error}). Write the file again.") from error
    if not isinstance(header, dict) or header.get("kind") != kind or header.get("format") != _FORMAT:
        header = header if isinstance(header, dict) else {}
        said = f"a {header.get('kind')!s:.80}, format {header.get('format')!r:.80}"
        found = said if "kind" in header else "a file that other software wrote"
        raise FileError(f"{path} contains {found}: expected a {kind}, format {_FORMAT}. Give a file that steerlens saved.")
    return tensors, {name: value for name, value in header.items() if name not in ("kind", "format")}


def under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the tensors whose names begin with a prefix. The keys of the result are the names without the prefix."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def tensor_bytes(tensor: Any) -> bytes:
    """Returns the bytes of a tensor on the CPU, for a digest. The tensor may have any dtype."""
    import torch

    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())


def restored(cls: type[T], values: Any, whose: str, *, every: bool = False, **given: Any) -> T:
    """Returns the dataclass object that a file describes. The type of every field is checked. All objects from JSON are made by
    this function.

    JSON lists become tuples. A dictionary becomes a dataclass object if the field's type is a dataclass. A field with a default
    may be missing, because an old file may have been written before the field was added.

    Args:
        values: the JSON value of each field, by the field's name.
        whose: a description of the file and the place in the file, for errors.
        every: whether every field must be present, including fields with a default.
        given: the values of fields from other sources, such as tensors.

    Raises:
        FileError: a field is missing, unknown or of another type, or the dataclass does not accept the values.
    """
    if not isinstance(values, Mapping):
        raise _other_version(f"{whose} contains {values!r:.80}: expected fields and their values")
    hints, known = get_type_hints(cls), {field.name: field for field in fields(cast(Any, cls))}
    if unknown := [name for name in (*values, *given) if name not in known or (name in values and name in given)]:
        raise _other_version(f"{whose} has unknown fields: {', '.join(map(repr, unknown))}")
    needed = [n for n, f in known.items() if every or (f.default is MISSING and f.default_factory is MISSING)]
    if missing := [name for name in needed if name not in values and name not in given]:
        raise _other_version(f"{whose} lacks fields: {', '.join(map(repr, missing))}")
    own = {name: parsed(value, hints[name], f"{whose}: field {name!r}") for name, value in values.items()}
    try:
        return cls(**own, **given)
    except FileError:
        raise
    except SteerlensError as error:
        raise FileError(f"{whose} cannot be used: {error}") from error


def parsed(value: Any, hint: Any, place: str) -> Any:
    """Returns a JSON value, converted to the declared type of a field.

    Raises:
        FileError: the value has another type.
    """
    origin, args = get_origin(hint), get_args(hint)
    optional = [one for one in args if one is not type(None)] if origin is UnionType and type(None) in args else []
    if len(optional) == 1 and value is not None:
        return parsed(value, optional[0], place)
    if is_dataclass(hint):
        return restored(cast(type, hint), value, place)
    if origin is tuple and isinstance(value, list | tuple) and (args[-1] is ... or len(args) == len(value)):
        return tuple(parsed(one, args[0], place) for one in value)
    if origin in (dict, Mapping) and isinstance(value, dict):
        return {name: parsed(one, args[1], place) for name, one in value.items()}
    plain: dict[Any, Any] = {float: (float, int), int: int, str: str, bool: bool, type(None): type(None)}
    kinds = args if origin is UnionType else (hint,)
    right = any(isinstance(value, plain.get(kind, ())) and (kind is bool or not isinstance(value, bool)) for kind in kinds)
    fits = int in kinds or not isinstance(value, int) or abs(value) < 1 << 1000  # no float is larger
    if (right and fits) or hint is Any or (origin is Literal and value in args):
        return value
    raise _other_version(f"{place} contains {value!r:.80}: expected {hint.__name__ if isinstance(hint, type) else hint}")


def is_parsed(value: Any, hint: Any) -> bool:
    """Returns whether a JSON value has the declared type of a field."""
    try:
        parsed(value, hint, "")
    except FileError:
        return False
    return True


def field_of(values: Any, names: Sequence[str], hint: Any, whose: str) -> Any:
    """Returns one field from JSON values. The field may be nested, and the other fields are not checked.

    Args:
        names: the names of the nested fields, from the outermost field to the innermost field.
        hint: the type of the field.
        whose: a description of the file, for errors.

    Raises:
        FileError: the field is missing or has another type.
    """
    for name in names:
        if not isinstance(values, Mapping) or name not in values:
            raise _other_version(f"{whose} lacks field {'.'.join(names)!r}")
        values = values[name]
    return parsed(values, hint, f"{whose}: field {'.'.join(names)!r}")


def _other_version(fault: str) -> FileError:
    return FileError(
        f"{fault:.1000}. The file was written by another version of steerlens, or was changed later. Read the file with the "
        "version that wrote it, or make the file again with this version."
    )
