"""Damages files: changes their bytes, changes their content within the file's format, or replaces the files."""

import codecs
import gzip
import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from random import Random

from steerlens.testing.fuzz.containers import PAYLOAD, object_array
from steerlens.testing.fuzz.formats import FORMATS

Tree = dict[str, bytes | str | None]
"""The files of a case, by their path inside the case's folder. A value is the bytes of a file, the target of a symbolic link, or
``None`` for a folder."""

_ROUNDS = (1, 1, 1, 1, 2, 2, 3)
_NUMBERS = (0, 1, -1, 127, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
"""Lengths and offsets that are written into a header."""
_PIECES = (
    *(b"\x00", b"\x00" * 64, b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
    *(b"\r\n", b"\r", b"\n", b"\x1a", b"\x1b[31m", b"\xe2\x80\xa8", b"\x85", b"\t", b'"', b"'", b",", b"|", b"../../"),
    *(b"[" * 20_000, b'{"a":' * 20_000, b"NaN", b"Infinity", b"9" * 5_000, b"A" * 100_000),
)
"""Pieces of bytes that are inserted into files."""


def mutated(valid: Tree, random: Random) -> Tree:
    """Returns the damaged files of a case.

    Args:
        valid: files that the target can read.
        random: the source of random numbers for the damage.
    """
    tree = dict(valid)
    for _ in range(random.choice(_ROUNDS)):
        names = [name for name, content in tree.items() if isinstance(content, bytes)]
        if not names:
            break
        name = random.choice(names)
        content = tree[name]
        if not isinstance(content, bytes):
            continue
        if random.random() < 0.12:
            random.choice(_PLACES)(tree, name, random)
        else:
            tree[name] = damaged(name, content, random)
    return tree


def damaged(name: str, content: bytes, random: Random) -> bytes:
    """Returns the changed bytes of a file. The change either respects the file's format or ignores it.

    Args:
        name: the file's name, whose ending decides the format.
        content: the bytes.
        random: the source of random numbers for the damage.
    """
    known = FORMATS.get(name.rpartition(".")[2])
    if known is not None and random.random() < 0.75:
        with suppress(Exception):  # the file may have been damaged in an earlier round
            return known(content, random)
    if name.endswith(".gz") and random.random() < 0.7:
        with suppress(Exception):
            return _gzipped(name, content, random)
    return random.choice(_BYTES)(content, random)


def _gzipped(name: str, content: bytes, random: Random) -> bytes:
    return gzip.compress(damaged(name.removesuffix(".gz"), gzip.decompress(content), random), mtime=0)


def _flipped(content: bytes, random: Random) -> bytes:
    found = bytearray(content or b"\x00")
    for _ in range(random.choice((1, 1, 2, 8))):
        found[_at(found, random)] ^= 1 << random.randrange(8)
    return bytes(found)


def _overwritten(content: bytes, random: Random) -> bytes:
    """Writes a number into the file as a little-endian integer, because headers contain numbers in this form."""
    width, number = random.choice((1, 2, 4, 8)), random.choice(_NUMBERS)
    at = _at(content, random)
    return content[:at] + (number % 256**width).to_bytes(width, "little") + content[at + width :]


def _truncated(content: bytes, random: Random) -> bytes:
    return content[: _at(content, random)]


def _inserted(content: bytes, random: Random) -> bytes:
    at = _at(content, random)
    return content[:at] + random.choice(_PIECES) + content[at:]


def _random(content: bytes, random: Random) -> bytes:
    at, length = _at(content, random), random.choice((1, 4, 16, 200))
    return content[:at] + random.randbytes(length) + content[at + length :]


def _removed(content: bytes, random: Random) -> bytes:
    at = _at(content, random)
    return content[:at] + content[at + random.choice((1, 2, 8, 100)) :]


def _repeated(content: bytes, random: Random) -> bytes:
    at, length = _at(content, random), random.choice((1, 8, 100, 1_000))
    return content[:at] + content[at : at + length] * random.choice((2, 2, 50)) + content[at + length :]


def _moved(content: bytes, random: Random) -> bytes:
    first, second = sorted((_at(content, random), _at(content, random)))
    return content[second:] + content[first:second] + content[:first]


def _lines(content: bytes, random: Random) -> bytes:
    """Changes lines: a line is removed or repeated, or all lines get another line end."""
    lines, how = content.split(b"\n"), random.randrange(5)
    at = random.randrange(len(lines))
    if how == 0:
        return b"\n".join(lines[:at] + lines[at + 1 :])
    if how == 1:
        return b"\n".join([*lines[: at + 1], *lines[at:]])
    return (b"\r\n", b"\r", b"\n\n")[how - 2].join(lines)


def _encoded(content: bytes, random: Random) -> bytes:
    """Writes a text in another encoding, or with a byte order mark."""
    text = content.decode("utf-8", errors="replace")
    how = random.choice(("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037", "utf-7", "marked twice"))
    return codecs.BOM_UTF8 * 2 + content if how == "marked twice" else text.encode(how, errors="replace")


def _at(content: bytes | bytearray, random: Random) -> int:
    """Returns a random position in the bytes. In half of the cases, the position is among the first 256 bytes, which contain
    headers."""
    return random.randrange(max(1, min(len(content), 256) if random.random() < 0.5 else len(content)))


_BYTES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_flipped, _overwritten, _overwritten, _truncated, _inserted, _random, _removed, _repeated, _moved, _lines, _encoded),
)


def _gone(tree: Tree, name: str, _: Random) -> None:
    del tree[name]


def _folder(tree: Tree, name: str, _: Random) -> None:
    tree[name] = None


def _linked(tree: Tree, name: str, random: Random) -> None:
    tree[name] = random.choice((name.rpartition("/")[2], "nowhere", "/etc/hostname", "../../..", "."))


def _replaced(tree: Tree, name: str, random: Random) -> None:
    tree[name] = random.choice(_CONTENTS)()


def _other(tree: Tree, name: str, random: Random) -> None:
    """Replaces a file of the case by another file of the case."""
    tree[name] = random.choice([content for content in tree.values() if isinstance(content, bytes)])


def _renamed(tree: Tree, name: str, random: Random) -> None:
    content = tree.pop(name)
    tree[random.choice((f"{name}.bak", name.upper(), f"x/{name}", name.replace(".", "..")))] = content


def _beside(tree: Tree, name: str, random: Random) -> None:
    """Adds a file next to an existing file. A careless loader would read or run the added file."""
    folder = name.rpartition("/")[0]
    new = random.choice(("pytorch_model.bin", "adapter_model.bin", "sitecustomize.py", "modeling.py", "README.md", "params.npz"))
    tree[f"{folder}/{new}".lstrip("/")] = random.choice(_CONTENTS)()


_PLACES: tuple[Callable[[Tree, str, Random], None], ...] = (
    *(_gone, _folder, _linked, _replaced, _replaced, _replaced, _other, _renamed, _beside),
)


def _zipped() -> bytes:
    """Returns an archive with names that point outside the folder into which the archive would be unpacked."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("../../executed", "/tmp/executed", "..\\..\\executed", "w_enc.npy"):
            archive.writestr(zipfile.ZipInfo(name), PAYLOAD)
        link = zipfile.ZipInfo("b_enc.npy")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
    return packed.getvalue()


_CONTENTS: tuple[Callable[[], bytes], ...] = (
    lambda: b"",
    lambda: b"\n",
    lambda: PAYLOAD,
    lambda: object_array(),
    lambda: _zipped(),
    lambda: b"import os\nos.mkdir('executed')\n",
    lambda: b"\x00" * (1 << 20),
    lambda: b"[" * (1 << 20),
    lambda: b" " * (1 << 20),
    lambda: b'"' + b"a" * (1 << 20),
    lambda: b"{}",
    lambda: b"[]",
    lambda: b"null",
    lambda: b"1",
    lambda: gzip.compress(b'{"a": 1}\n', mtime=0),
)
"""The functions that make the new content of a replaced file."""
