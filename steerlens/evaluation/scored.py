"""Result tables of scores, some of which an evaluation harness may have measured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from steerlens.scores import register_read
from steerlens.tables import ResultTable


@dataclass(frozen=True, eq=False)
class ScoredTable(ResultTable):
    """A result table with scores."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a table that ``save`` wrote, and makes the scores known that it has from an evaluation harness.

        Args:
            path: the Parquet file.

        Raises:
            FileError: the file is missing or truncated, contains another kind of table, or is of another version.
            SettingsError: a score of your own has the name of one of the harness.
        """
        found = super().load(path)
        register_read(found.meta)
        return found
