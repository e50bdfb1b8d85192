"""The metadata at the front of a GGUF file.

The package ``gguf`` reads it too, in half a minute where a vocabulary has 262,144 tokens; this takes about a second. The
layout is that of GGUF versions 2 and 3, little-endian: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from pathlib import Path
from typing import Any, BinaryIO

_NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
"""Struct's letter for each type of number."""
_STRING, _ARRAY = 8, 9


def read_metadata(path: Path) -> dict[str, Any]:
    """Every key of a GGUF file with its value: numbers, texts, and lists of these.

    Raises:
        ValueError: the file is of another version, of the other byte order, or cut short.
    """
    try:
        with path.open("rb") as file:
            magic, version, _, count = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3):
                raise ValueError(f"begins with {magic!r} and version {version}: expected b'GGUF' and 2 or 3, little-endian")
            return {_text(file): _value(file, *_numbers(file, "I", 1)) for _ in range(count)}
    except struct.error as error:
        raise ValueError("its metadata is cut short") from error


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _text(file)
    if kind != _ARRAY:
        return _numbers(file, _NUMBERS[kind], 1)[0]
    (inner,), (count,) = _numbers(file, "I", 1), _numbers(file, "Q", 1)
    if inner in _NUMBERS:
        return list(_numbers(file, _NUMBERS[inner], count))
    return [_value(file, inner) for _ in range(count)]


def _numbers(file: BinaryIO, letter: str, count: int) -> tuple[Any, ...]:
    layout = struct.Struct(f"<{count}{letter}")
    return layout.unpack(file.read(layout.size))


def _text(file: BinaryIO) -> str:
    (length,) = _numbers(file, "Q", 1)
    text = file.read(length)
    if len(text) < length:
        raise ValueError("its metadata is cut short")
    return text.decode("utf-8")
