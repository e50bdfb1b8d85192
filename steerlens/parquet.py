"""Checks Parquet files from other sources, because a small file can unpack to a table that is larger than the memory."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_LEAST, _FOLD = 1 << 29, 256
"""Two limits on the memory of a table: a number of bytes, and a multiple of the file's size. The larger limit applies."""


def check_unfolded(path: Path) -> None:
    """Raises an error for a file whose table needs far more memory than the size of the file suggests.

    The check itself needs little memory, because a repeated text is read once and is then counted as often as it occurs.

    Args:
        path: the file.

    Raises:
        ValueError: the table is too large, or pyarrow cannot read the file. Other errors of pyarrow are raised unchanged.
    """
    import pyarrow.parquet as pq

    most, held = max(_LEAST, _FOLD * path.stat().st_size), 0
    schema = pq.ParquetFile(path).schema
    columns = (schema.column(at) for at in range(len(schema)))
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    for part in pq.ParquetFile(path, read_dictionary=texts).iter_batches():
        held += sum(map(_bytes_of, part.columns))
        if held > most:
            raise ValueError(f"its content takes more than {most:,} bytes, which is too much for a file of this size")


def _bytes_of(array: "pa.Array") -> int:
    """Returns the number of bytes of an array in which each text is stored separately."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type) and array.type.value_type in (pa.string(), pa.large_string(), pa.binary()):
        return int(array.indices.nbytes) + (pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0)
    if pa.types.is_struct(array.type) or pa.types.is_list(array.type):
        parts = array.flatten()
        return sum(map(_bytes_of, parts if isinstance(parts, list) else [parts]))
    return int(array.nbytes)
