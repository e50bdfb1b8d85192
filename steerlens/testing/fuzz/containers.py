"""Damages the content of binary files within their format: tensors, tables, archives of arrays, and GGUF."""

import io
import json
import zipfile
from random import Random
from typing import Any

from steerlens.testing.fuzz.values import damaged_json

PAYLOAD = b"cos\nmkdir\n(S'executed'\ntR."
"""A serialized Python object. Restoring the object makes a folder ``executed``."""


_ODD: tuple[Any, ...] = (
    *(None, float("nan"), float("inf"), -1, 2**63 - 1, True, "", "x", "x" * 100_000, "\x00", b"\xff"),
    *([], [[1]], {"a": 1}, ["a", None]),
)
"""Values that do not belong in a column of a table."""
_KINDS = ("|O", "<f4", "<f8", ">f4", "<c8", "|S5", "<U3", "|b1", "<M8[s]", "|V3", "<f2", "<i8", "x", "<f4,<f4")
_SHAPES = (
    *("()", "(0,)", "(-1,)", "(2**40,)", f"({2**40},)", f"({2**31}, {2**31})", f"({2**29},)"),
    *("(1,)", "(4, 4)", "1", "'a'"),
)
"""NumPy's names for number types and shapes, including wrong names."""
_KEYS = (
    *(b"general.architecture", b"tokenizer.ggml.tokens", b"tokenizer.ggml.bos_token_id", b"block_count"),
    *(b"token_type", b"direction.", b"weight"),
)
_NUMBERS = (0, 1, 6, 7, 8, 9, 10, 13, 255, 2**20, 2**31, 2**32 - 1, 2**40, 2**61, 2**62, 2**63, 2**64 - 1)
"""Numbers that are written after keys of GGUF: lengths, types and offsets."""


def safetensors(content: bytes, random: Random) -> bytes:
    """Changes the header of a tensor file, steerlens' data in the header, the length of the header, or the numbers."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    data, how = content[8 + length :], random.randrange(5)
    own = _steerlens(header)
    if how == 0:
        number = random.choice((0, 1, length - 1, length + 1, len(content), 2**31, 2**40, 2**63, 2**64 - 1))
        return number.to_bytes(8, "little") + content[8:]
    if how == 1 and len(data) >= 4:
        at = 4 * random.randrange(len(data) // 4)
        bits = random.choice((0x7FC00000, 0x7F800000, 0xFF800000, 0x7F7FFFFF, 1)).to_bytes(4, "little")
        return content[: 8 + length + at] + bits + content[8 + length + at + 4 :]
    if how < 4 and own is not None:
        header["__metadata__"]["steerlens"] = damaged_json(own, random)
        text = json.dumps(header)
    else:
        text = damaged_json(header, random)
    raw = text.encode("utf-8", errors="surrogatepass")
    return len(raw).to_bytes(8, "little") + raw + data


def _steerlens(header: Any) -> Any:
    """Returns the data of steerlens in the header; ``None`` if there is none, or if the data cannot be read."""
    try:
        return json.loads(header["__metadata__"]["steerlens"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def parquet(content: bytes, random: Random) -> bytes:
    """Changes a column of a table, or the metadata in its schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    columns, names, meta = list(table.columns), list(table.column_names), dict(table.schema.metadata or {})
    if not names or (meta and random.random() < 0.35):
        key = random.choice([*meta]) if meta else b"steerlens"
        try:
            meta[key] = damaged_json(json.loads(meta.get(key, b"{}")), random).encode("utf-8", errors="surrogatepass")
        except (ValueError, RecursionError):
            meta[key] = b"\xff\x00"
    else:
        at, how, n = random.randrange(len(names)), random.randrange(6), table.num_rows
        if how == 0:
            del columns[at], names[at]
        elif how == 1:
            names[at] = random.choice(("x", "", names[0], names[-1], "__index_level_0__", names[at].upper(), "\x00"))
        elif how == 2:
            columns, names = [*columns, columns[at]], [*names, names[at]]
        elif how == 3:
            columns = [column.slice(0, 0) for column in columns]
        else:
            columns[at] = pa.chunked_array([_column(pa, n, random)])
    written = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, names=names).replace_schema_metadata(meta), written)
    return written.getvalue()


def _column(pa: Any, n: int, random: Random) -> Any:
    """Returns a column of values that do not belong in this column."""
    value: Any = random.choice(_ODD)
    mixed = [value if random.random() < 0.7 else None for _ in range(n)]
    if random.random() < 0.15:
        return pa.array([0] * n).cast(pa.timestamp("us"))
    return pa.array(mixed) if random.random() < 0.5 else pa.array([value] * n)


def object_array(descr: str = "|O", shape: str = "(1,)", data: bytes = PAYLOAD) -> bytes:
    """Returns the bytes of a NumPy array file. By default, the file contains an array of objects, which runs code when the array
    is restored.

    Args:
        descr: NumPy's name for the number type.
        shape: the shape in the header.
        data: the bytes after the header.
    """
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def npz(content: bytes, random: Random) -> bytes:
    """Changes a member of an archive of arrays: its name, its type or its shape."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, how = random.choice([*members]), random.randrange(4)
    if how == 0:
        members[random.choice(("../../executed.npy", "/executed.npy", "..\\x.npy", "x.npy", "", "x"))] = members.pop(name)
    elif how == 1:
        members[name] = object_array()
    else:
        members[name] = object_array(random.choice(_KINDS), random.choice(_SHAPES), members[name][-64:])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for own, data in members.items():
            archive.writestr(zipfile.ZipInfo(own), data)
    return packed.getvalue()


def gguf(content: bytes, random: Random) -> bytes:
    """Overwrites a length, a type or an offset with another number. The overwritten number is near the start of the file, or
    after the name of a key."""
    found = [content.find(key) + len(key) for key in _KEYS if key in content]
    at = random.choice([*found, 4, 8, 16]) + random.choice((0, 0, 4, 8, 12, 16))
    width = random.choice((4, 8))
    number = random.choice(_NUMBERS) % 256**width
    return content[:at] + number.to_bytes(width, "little") + content[at + width :]
