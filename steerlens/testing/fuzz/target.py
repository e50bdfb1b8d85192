"""Defines a target: a loader with valid files that it can load."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from steerlens.testing.fuzz.mutations import Tree, mutated


class WrongResultError(AssertionError):
    """The error that is raised if a load succeeded but its result is wrong."""


@dataclass(frozen=True)
class Target:
    """A loader with valid files that it can load."""

    name: str
    write: Callable[[Path], None]
    """The function that writes valid files into an empty folder."""
    load: Callable[[Path], object]
    """The function that loads the files in a folder and uses the result. The function raises ``WrongResultError`` if the result
    is wrong."""
    share: int = 10
    """The target's share of the cases, relative to the other targets. The share is small if a load takes long."""
    damage: Callable[[Tree, Random], Tree] = mutated
    """The function that damages valid files."""
    needs: str = ""
    """The package that the loader needs; empty if it needs none."""

    @property
    def available(self) -> bool:
        """Whether the package that the loader needs is installed."""
        return not self.needs or find_spec(self.needs) is not None

    @cached_property
    def valid(self) -> Tree:
        """The valid files."""
        with TemporaryDirectory() as folder:
            self.write(Path(folder))
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    def case(self, seed: int, number: int) -> Tree:
        """Returns the files of a case. The files depend only on the seed and the number.

        Args:
            seed: the seed of the run.
            number: the number of the case.
        """
        return self.damage(self.valid, Random(f"{seed}/{self.name}/{number}"))


def right(condition: bool, what: str) -> None:
    """Raises an error for a result if a condition is false.

    Args:
        condition: the condition that the result must fulfil.
        what: a description of the fault if the condition is false.

    Raises:
        WrongResultError: the condition is false.
    """
    if not condition:
        raise WrongResultError(what)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON into a file, and makes the folder of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes one JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)


def read_any(path: Path) -> Any:
    """Returns the JSON content of a file of a case. This function itself is not a target.

    Raises:
        SteerlensError: the file does not contain JSON.
    """
    from steerlens.errors import FileError

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(str(error)[:200]) from error
