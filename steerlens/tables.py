"""Result tables, which are data frames with a record of how they were made. Result tables are saved as Parquet."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from steerlens.errors import FileError, SettingsError, UnknownNameError
from steerlens.parquet import check_unfolded
from steerlens.storage import json_value, readable_errors, write_atomically

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = frozenset({
    *("value", "base", "change", "low", "high", "n", "p", "p_corrected", "layer", "strength", "draw", "draws", "auroc"),
    *("accuracy", "above", "above_low", "above_high", "null_mean", "null_high", "selectivity", "log_probability", "probability"),
    *("concepts", "pairs", "regret"),
})  # fmt: skip
"""The names of number columns. In every table, a column with one of these names contains only numbers or is empty."""
_TEXTS = frozenset(["locale", "score", "method", "vector", "concept", "kind", "probe", "measure", "tokens"])
"""The names of text columns. In every table, a column with one of these names contains only texts or is empty."""
_META = b"steerlens"
"""The key under which the metadata of a result table is stored in a Parquet file."""


@dataclass(frozen=True, eq=False)
class ResultTable:
    """A table of results, with one row for each measurement. Subclasses define the columns and the figures."""

    frame: "pd.DataFrame"
    """The rows, with the columns named by the class."""
    meta: dict[str, Any] = field(default_factory=dict)
    """A record of how the table was made, as JSON values: the model's fingerprint, tokens, scoring, digests of items and vectors,
    versions. The record is empty for a table that was made by hand."""

    columns: ClassVar[tuple[str, ...]] = ()
    """The columns that every table of the class has."""

    def to_frame(self) -> "pd.DataFrame":
        """Returns a copy of the table."""
        return self.frame.copy()

    def having(self, column: str, value: str) -> str:
        """Returns ``value``, if the ``column`` contains it.

        Raises:
            UnknownNameError: the column does not contain the value. The message lists the values in the column.
        """
        known = tuple(dict.fromkeys(self.frame[column]))
        if value not in known:
            raise UnknownNameError(column, value, known)
        return value

    def check(self, **parts: Any) -> None:
        """Raises an error if a given part, such as the model's fingerprint, differs from the part with which the table was made.
        For a table without metadata, nothing is checked.

        Args:
            parts: the parts that are used with the table, such as the model's fingerprint, by their names in ``meta``. A part
                that is ``None`` is not compared.

        Raises:
            SettingsError: a part differs. The message names the part.
        """
        known = {name: value for name, value in parts.items() if value is not None and name in self.meta}
        wrong = [name for name, value in known.items() if _compared(name, value) != _compared(name, self.meta[name])]
        if wrong:
            listed = "; ".join(f"{name}: {_short(self.meta[name])} in the table, {_short(known[name])} given" for name in wrong)
            raise SettingsError(
                f"this {type(self).__name__} was made with other parts than the given ones ({listed}). Give the parts with which "
                "the table was made, or make the table again."
            )

    def save(self, path: str | Path) -> Path:
        """Writes the table as Parquet, with a record in the schema's metadata of how it was made.

        Args:
            path: the file that is written.

        Returns:
            The path.

        Raises:
            FileError: the file cannot be written.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.frame, preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _META: json.dumps(self.meta, ensure_ascii=False)})
        return write_atomically(path, lambda part: pq.write_table(table, part))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a table that ``save`` wrote.

        Args:
            path: the Parquet file.

        Raises:
            FileError: the file is missing or truncated, contains another kind of table, or has another version.
        """
        import pyarrow.parquet as pq

        with readable_errors(Path(path), "read"):
            try:
                check_unfolded(Path(path))
                table = pq.ParquetFile(path).read()
                frame, meta = table.to_pandas(), json_value((table.schema.metadata or {}).get(_META, b"{}"))
                if not isinstance(meta, dict) or not frame.columns.is_unique:
                    raise ValueError("the metadata is not a JSON object, or two columns have the same name")
            except Exception as error:  # pyarrow and pandas can raise any error, depending on the content
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                said = f"{type(error).__name__}: {error!s:.300}"
                raise FileError(
                    f"{path} is truncated or is not a Parquet file ({said}). Copy the whole file, or write the file again."
                ) from error
        missing = [name for name in cls.columns if name not in frame.columns]
        if missing:
            raise FileError(
                f"{path} lacks the columns {', '.join(missing)}: expected a table of {cls.__name__}. If another version "
                "of steerlens wrote the file, read the file with the version that wrote it, or make the table again."
            )
        if wrong := [f"{name} ({frame[name].dtype})" for name in cls.columns if not _is_of_its_type(frame[name])]:
            raise FileError(
                f"{path} has values of the wrong type for a table of {cls.__name__} in the columns {', '.join(wrong)}: "
                "expected texts in columns that name something, and numbers in the other columns. Write the table again with "
                "save."
            )
        return cls(frame, meta)


def _is_of_its_type(column: "pd.Series[Any]") -> bool:
    """Returns whether the values of a column have the type that columns with this name must have."""
    import pandas as pd

    if column.isna().all() or column.name not in _NUMBERS | _TEXTS:
        return True
    if column.name in _NUMBERS:
        return pd.api.types.is_numeric_dtype(column)
    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "categorical")


def markdown_table(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """Returns a Markdown table without a final newline. Missing numbers (``None``, NaN) become empty cells.

    Args:
        header: the names of the columns.
        rows: the cells of each row, written with ``str``.
    """
    names = list(map(str, header))
    lines = [names, ["---"] * len(names), *(["" if cell is None or cell != cell else str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _compared(name: str, value: Any) -> Any:
    """Returns the part of a value that is compared, as JSON values. The name of a model is left out, because two names can mean
    the same weights."""
    found = json.loads(json.dumps(value))
    named = name == "model" and isinstance(found, dict)
    return {key: own for key, own in found.items() if key != "name"} if named else found


def _short(value: Any) -> str:
    return repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}…"
