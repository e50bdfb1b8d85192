"""Reads text files line by line, so a file may be larger than the memory. An error names the place in the file that is not
UTF-8."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steerlens.errors import FileError
from steerlens.storage import json_value

_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}


def lines_of(path: Path) -> Iterator[str]:
    """Yields the lines of a UTF-8 file, with their line ends and without a byte order mark.

    Raises:
        FileError: the file does not exist or is not UTF-8. The message gives the line and byte of the error and says what to do.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(_BOM)
                yield _decoded(path, number, line)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}. Expected a UTF-8 file that exists.") from error


def _decoded(path: Path, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte, found = line[error.start], _OTHER_BOMS.get(line[:2]) if number == 1 else None
        raise FileError(
            f"cannot read {path}: line {number}, byte {error.start + 1} (0x{byte:02x}) is not UTF-8. The file seems to be in "
            f"{found or 'another encoding'}. Convert the file to UTF-8, for example with: iconv -f {found or 'ENCODING'} -t "
            f"UTF-8 {path.name} > utf8-{path.name}"
        ) from error


def parsed(line: str) -> dict[str, Any] | str:
    """Returns the JSON object of one line, or a text that says what is wrong with the line."""
    try:
        row = json_value(line)
    except json.JSONDecodeError as error:
        return f"not JSON ({error.msg} at column {error.colno})"
    except ValueError as error:
        return f"not JSON ({error})"
    return row if isinstance(row, dict) else f"a JSON {type(row).__name__}"
