"""Reads the metadata at the start of a GGUF file.

The package ``gguf`` can read the metadata too, but needs half a minute for a vocabulary of 262,144 tokens. The function
``read_metadata`` of steerlens needs about a second. The layout of GGUF versions 2 and 3 is supported, little-endian:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

_NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
"""The letter in Python's ``struct`` for each type of number."""
_STRING, _ARRAY = 8, 9
_DEEPEST, _SHORT = 4, 1 << 16
"""The largest number of levels of nested lists in a value, and the number of bytes that are read without checking the file's
size."""


def read_metadata(path: Path) -> dict[str, Any]:
    """Returns every key of a GGUF file with its value. A value is a number, a text, or a list.

    Raises:
        ValueError: the file has an unsupported version or byte order, or is truncated; a key occurs twice; or a value has an
            unknown type.
    """
    found: dict[str, Any] = {}
    with path.open("rb") as file:
        magic, version, _, count = struct.unpack("<4sIQQ", _read(file, 24))
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError(
                f"the file begins with {magic!r} and version {version}: expected b'GGUF' and version 2 or 3, little-endian"
            )
        for _ in range(count):
            key = _text(file)
            if key in found:
                raise ValueError(f"the metadata contains the key {key!r:.80} twice")
            found[key] = _value(file, *_numbers(file, "I", 1))
    return found


def _value(file: BinaryIO, kind: int, depth: int = 0) -> Any:
    if kind == _STRING:
        return _text(file)
    if kind in _NUMBERS:
        return _numbers(file, _NUMBERS[kind], 1)[0]
    if kind != _ARRAY or depth == _DEEPEST:
        raise ValueError(f"the metadata contains a value of the unknown type {kind}, or lists that are nested too deeply")
    (inner,), (count,) = _numbers(file, "I", 1), _numbers(file, "Q", 1)
    if inner in _NUMBERS:
        return list(_numbers(file, _NUMBERS[inner], count))
    return [_value(file, inner, depth + 1) for _ in range(count)]


def _numbers(file: BinaryIO, letter: str, count: int) -> tuple[Any, ...]:
    found = _read(file, count * struct.calcsize(f"<{letter}"))
    return struct.unpack(f"<{count}{letter}", found)


def _text(file: BinaryIO) -> str:
    (length,) = _numbers(file, "Q", 1)
    return _read(file, length).decode("utf-8")


def _read(file: BinaryIO, length: int) -> bytes:
    """Returns the next ``length`` bytes of the file. A damaged header may contain any length, so a long piece is compared with
    the file's size before memory is used."""
    found = file.read(length) if length <= _SHORT or length <= os.fstat(file.fileno()).st_size else b""
    if len(found) < length:
        raise ValueError("the metadata is cut short")
    return found
