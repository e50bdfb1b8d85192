"""Parquet files from other sources, in which a few bytes can unpack to more than fits in memory."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_LEAST, _FOLD = 1 << 29, 256
"""The memory limit of a table: this number of bytes, or this multiple of the bytes of its file."""


def check_unfolded(path: Path) -> None:
    """Refuses a file whose table takes far more memory than its size suggests.

    Repeated texts are read once and counted as often as they occur, so that checking the file costs little.

    Args:
        path: the file.

    Raises:
        ValueError: the table is too large, or pyarrow cannot read the file; pyarrow's other errors are raised unchanged.
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
    """The bytes that an array takes if each of its texts is stored separately."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type) and array.type.value_type in (pa.string(), pa.large_string(), pa.binary()):
        return int(array.indices.nbytes) + (pc.sum(pc.binary_length(array.dictionary).take(array.indices)).as_py() or 0)
    if pa.types.is_struct(array.type) or pa.types.is_list(array.type):
        parts = array.flatten()
        return sum(map(_bytes_of, parts if isinstance(parts, list) else [parts]))
    return int(array.nbytes)
