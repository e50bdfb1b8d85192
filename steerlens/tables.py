"""Result tables: a data frame with a name, saved as Parquet."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from steerlens.errors import FileError, UnknownNameError
from steerlens.storage import readable_errors, write_atomically

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class ResultTable:
    """One result, a row per thing measured. Subclasses say what the columns are and how it is drawn."""

    frame: "pd.DataFrame"

    columns: ClassVar[tuple[str, ...]] = ()

    def to_frame(self) -> "pd.DataFrame":
        """A copy of the table."""
        return self.frame.copy()

    def having(self, column: str, value: str) -> str:
        """The value, if the column holds it.

        Raises:
            UnknownNameError: it does not, with what it holds.
        """
        known = tuple(dict.fromkeys(self.frame[column]))
        if value not in known:
            raise UnknownNameError(column, value, known)
        return value

    def save(self, path: str | Path) -> Path:
        """Writes the table as Parquet.

        Raises:
            FileError: the file cannot be written.
        """
        return write_atomically(path, lambda part: self.frame.to_parquet(part, index=False))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a table that ``save`` wrote.

        Raises:
            FileError: missing, truncated, another kind of table, or of another version.
        """
        import pandas as pd

        with readable_errors(Path(path), "read"):
            try:
                frame = pd.read_parquet(path)
            except ValueError as error:  # pyarrow's errors about a file's content
                raise FileError(f"{path} is truncated or not Parquet ({error}). Write it again, or copy it whole.") from error
        missing = [name for name in cls.columns if name not in frame.columns]
        if missing:
            raise FileError(
                f"{path} lacks columns {', '.join(missing)}: expected a table of {cls.__name__}. Give one; if another version of "
                "steerlens wrote this one, read it with that version, or make it again."
            )
        return cls(frame)
