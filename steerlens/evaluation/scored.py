"""Result tables with scores, including scores that were measured by an evaluation harness."""

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
        """Reads a table that ``save`` wrote. If the table contains scores of an evaluation harness, the scores are registered.

        Args:
            path: the Parquet file.

        Raises:
            FileError: the file is missing or truncated, contains another kind of table, or has another format version.
            SettingsError: one of your own scores has the same name as a score of the harness.
        """
        found = super().load(path)
        register_read(found.meta)
        return found
