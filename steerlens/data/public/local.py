"""Files of one part of a data set in a local folder."""

from itertools import pairwise
from pathlib import Path

_KINDS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".arrow": "arrow"}


def local_file(root: Path, config: str | None, split: str) -> tuple[str, list[str]] | None:
    """The kind and the files of a config's split, or ``None`` where the folder's README names its configs and the
    ``datasets`` library finds them itself.

    They are looked for as ``es/test-00000-of-00001.parquet``, ``data/es/test.jsonl``, ``es_test.csv``, ``es.tsv`` and the
    like: the config's folder or name first, then the files whose name holds the split, else all of them.
    """
    if root.is_file():
        return _of_one_kind([root])
    readme = root / "README.md"
    if readme.is_file() and "configs:" in readme.read_text(encoding="utf-8", errors="replace").split("\n---", 1)[0]:
        return None
    files = sorted(file for file in root.rglob("*") if file.suffix in _KINDS and not file.name.startswith("."))
    if config:
        own = [file for file in files if config in file.relative_to(root).parts[:-1]]
        files = own or [file for file in files if config in _words(file)]
    named = [file for file in files if split in _words(file) or split in file.relative_to(root).parts[:-1]]
    others = {"train", "dev", "validation", "test"} - {split}
    unsaid = [file for file in files if not others & (set(_words(file)) | set(file.relative_to(root).parts[:-1]))]
    return _of_one_kind(named or unsaid)


def _words(file: Path) -> list[str]:
    """The parts of a file's name that can stand for a config or split: all it could be cut into at ``-``, ``_`` or ``.``."""
    stem = file.name.removesuffix(file.suffix)
    pieces = stem.replace("_", "-").replace(".", "-").split("-")
    joined = [f"{a}{mark}{b}" for a, b in pairwise(pieces) for mark in "-_"]
    return [stem, *pieces, *joined]


def _of_one_kind(files: list[Path]) -> tuple[str, list[str]] | None:
    if not files:
        return None
    suffix = files[0].suffix
    return _KINDS.get(suffix, "json"), [str(file) for file in files if file.suffix == suffix]
