"""Result tables of scores. An evaluation harness may have measured some of the scores."""

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
        """Reads a table that ``save`` wrote, and registers the scores in it that come from an evaluation harness.

        Args:
            path: the Parquet file.

        Raises:
            FileError: the file is missing or truncated, contains another kind of table, or has another version.
            SettingsError: one of your own scores has the name of a score of the harness.
        """
        found = super().load(path)
        register_read(found.meta)
        return found
