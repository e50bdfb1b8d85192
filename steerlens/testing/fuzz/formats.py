"""Damages the content of files within the files' formats. The ending of a file's name decides the format."""

import json
from collections.abc import Callable
from random import Random

from steerlens.testing.fuzz.containers import gguf, npz, parquet, safetensors
from steerlens.testing.fuzz.values import damaged_json

_CELLS = (
    *("", " ", '"', '""', "a,b", "a|b", "\n", "|", "NaN", "inf", "9" * 5_000, "-1", "0", "1", "2"),
    *("\x00", "x" * 200_000, "None", "é", "[", "{}"),
)
"""Values that are written into cells of a table."""
_ELSEWHERE = (
    *("../../secret.csv", "/etc/passwd", "http://127.0.0.1:9/x.csv", "**", "data.zip", "zip://x::data.zip"),
    *("[]", "{}", "9" * 5_000),
)
"""Names that replace the names of files in a data set's card."""


def _json(content: bytes, random: Random) -> bytes:
    return damaged_json(json.loads(content), random).encode("utf-8", errors="surrogatepass")


def _json_lines(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    at = random.randrange(len(lines))
    return b"\n".join([*lines[:at], _json(lines[at], random), *lines[at + 1 :]])


def _cells_between(mark: bytes) -> Callable[[bytes, Random], bytes]:
    def cells(content: bytes, random: Random) -> bytes:
        lines = content.split(b"\n")
        at = random.randrange(len(lines))
        parts = lines[at].split(mark)
        parts[random.randrange(len(parts))] = random.choice(_CELLS).encode()
        lines[at] = mark.join(parts)
        return b"\n".join(lines)

    return cells


def _xml(content: bytes, random: Random) -> bytes:
    """Writes a declaration of entities, an encoding, or many nested elements into a page."""
    grown = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))
    front = (
        b'<!DOCTYPE page [<!ENTITY e0 "x">' + grown + b"]>",
        b'<!DOCTYPE page SYSTEM "http://127.0.0.1:9/x.dtd">',
        b'<!DOCTYPE page [<!ENTITY e9 SYSTEM "file:///etc/passwd">]>',
        b'<?xml version="1.0" encoding="utf-7"?>',
        b'<?xml version="1.0" encoding="idna"?>',
        b"<?x y?>",
    )
    if random.random() < 0.5:
        return random.choice(front) + content.replace(b"</p>", b"&e9;</p>", random.randrange(2))
    deep = b"<p>" * 30_000 + b"</p>" * 30_000
    return content.replace(b"<p>", random.choice((deep, b"<p>&amp;", b"<p a='", b"<p><link/>", b"<x:p>", b"<![CDATA[")), 1)


def _card(_: bytes, random: Random) -> bytes:
    """Returns a card whose front matter names files outside the data set, builds Python objects, or grows without end."""
    place = random.choice(_ELSEWHERE)
    many = "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 12))
    fronts = (
        f"configs:\n- config_name: es\n  data_files:\n  - split: test\n    path: {place}\n",
        "configs: !!python/object/apply:os.mkdir ['executed']\n",
        f"a0: &a0 [x]\n{many}\nconfigs: *a11\n",
        "configs: " + "[" * 5_000 + "\n",
        "configs:\n",
        "configs: 5\ndataset_info: x\n",
    )
    return f"---\n{random.choice(fronts)}---\n".encode()


FORMATS: dict[str, Callable[[bytes, Random], bytes]] = {
    **{"json": _json, "jsonl": _json_lines, "csv": _cells_between(b","), "tsv": _cells_between(b"\t"), "page": _xml, "md": _card},
    **{"safetensors": safetensors, "parquet": parquet, "npz": npz, "gguf": gguf},
}
"""The function that changes the bytes of a file, by the ending of the file's name. The function may raise any error if it cannot
read the bytes."""
