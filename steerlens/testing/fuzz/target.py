"""A target: a loader with valid files for it."""

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
    """Raised if a load succeeded and its result cannot be right."""


@dataclass(frozen=True)
class Target:
    """A loader with valid files for it."""

    name: str
    write: Callable[[Path], None]
    """Writes valid files into an empty folder."""
    load: Callable[[Path], object]
    """Loads the files in the folder, uses the result, and raises ``WrongResultError`` if it cannot be right."""
    share: int = 10
    """The target's share of the cases, relative to the other targets. It is small if a load takes long."""
    damage: Callable[[Tree, Random], Tree] = mutated
    """Damages valid files."""
    needs: str = ""
    """A package without which nothing can be loaded."""

    @property
    def available(self) -> bool:
        """Whether the package that it needs is installed."""
        return not self.needs or find_spec(self.needs) is not None

    @cached_property
    def valid(self) -> Tree:
        """The valid files."""
        with TemporaryDirectory() as folder:
            self.write(Path(folder))
            files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    def case(self, seed: int, number: int) -> Tree:
        """Returns the files of a case. They depend only on the seed and the number.

        Args:
            seed: the seed of the run.
            number: the number of the case.
        """
        return self.damage(self.valid, Random(f"{seed}/{self.name}/{number}"))


def right(condition: bool, what: str) -> None:
    """Refuses a result if a condition is false.

    Args:
        condition: the condition that the result must fulfil.
        what: a description of the fault if it does not.

    Raises:
        WrongResultError: the condition is false.
    """
    if not condition:
        raise WrongResultError(what)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON into a file, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes one JSON object per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path)


def read_any(path: Path) -> Any:
    """Returns the JSON content of a file of a case. This reading is not itself tested.

    Raises:
        SteerlensError: the file does not contain JSON.
    """
    from steerlens.errors import FileError

    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(str(error)[:200]) from error
