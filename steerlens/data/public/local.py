"""Finds and checks the files of a data set in a local folder."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from steerlens.data.lines import lines_of, parsed
from steerlens.errors import FileError
from steerlens.parquet import check_unfolded
from steerlens.storage import read_json

_STANDALONE = ".huggingface.yaml"
_ELSEWHERE = re.compile(r"://|::|^[/~\\]|^\w:|(^|[/\\])\.\.($|[/\\])")
"""A pattern for a path that points outside a folder or to the web."""
_KINDS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".arrow": "arrow"}


def local_file(root: Path, config: str | None, split: str) -> tuple[str, list[str]] | None:
    """Returns the file format and the paths of the files that contain one split of a configuration. Returns ``None`` if the
    README of the folder names its configs, because the ``datasets`` library then finds the files.

    Files with names such as ``es/test-00000-of-00001.parquet``, ``data/es/test.jsonl``, ``es_test.csv`` and ``es.tsv`` are found.
    First, the files in the config's folder or with the config's name are selected. Of these files, the files with the split's
    name are selected. If no file has the split's name, the files without the name of another split are used.
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


def check_card(root: Path) -> None:
    """Raises an error if the card of a folder names files of its configs that are on the web or outside the folder.

    Raises:
        FileError: the card names a file outside the folder.
    """
    import yaml
    from huggingface_hub import DatasetCard

    cards: list[object] = []
    if (root / "README.md").is_file():
        cards.append(DatasetCard.load(root / "README.md").data.to_dict())
    if (root / _STANDALONE).is_file():
        cards.append(yaml.safe_load((root / _STANDALONE).read_text(encoding="utf-8")))
    for card in cards:
        _texts(card)
        configs = card.get("configs") if isinstance(card, dict) else None
        each = [one for one in configs if isinstance(one, dict)] if isinstance(configs, list) else []
        for text in _texts([one.get(name) for one in each for name in ("data_files", "data_dir")]):
            if _ELSEWHERE.search(text):
                raise FileError(
                    f"the card in {root} names the file {text!r:.200}, which is outside this folder: expected only files "
                    "inside the folder."
                )


def check_files(files: Mapping[str, Iterable[str]]) -> None:
    """Raises an error for files that have an unknown format, and for Parquet files that need far more memory than their size.

    Args:
        files: the paths of the files, by split.

    Raises:
        FileError: a file has an unknown format.
        ValueError: a Parquet file needs too much memory or cannot be read.
    """
    for path in (Path(file) for several in files.values() for file in several):
        if path.suffix not in _KINDS:
            raise FileError(f"{path} has a format that cannot be read: expected {', '.join(_KINDS)}.")
        if path.suffix == ".parquet":
            check_unfolded(path)


def json_rows(files: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Yields the rows of JSON files with one object per line or a list of objects. If a row lacks a field that an earlier row
    has, the field is ``None``.

    The ``datasets`` library is not used, because it reads JSON with Arrow. Arrow ends the process if the first row is ``null`` or
    deeply nested.

    Args:
        files: the paths of the files.

    Raises:
        FileError: a file cannot be read, or its content is not a list of objects or one object per line.
    """
    columns: dict[str, None] = {}
    for path in map(Path, files):
        for row in _listed(path):
            columns |= dict.fromkeys(row)
            yield {**columns, **row}


def _listed(path: Path) -> Iterator[dict[str, Any]]:
    lines = lines_of(path)
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("["):
        content = read_json(path, "Expected a list of objects, or one object per line.")
        each: Iterable[Any] = content if isinstance(content, list) else ["a list that goes on"]
    else:
        each = (parsed(line) for line in chain([first], lines) if line.strip())
    for number, row in enumerate(each, 1):
        if not isinstance(row, dict):
            raise FileError(f"row {number} of {path} is {row!s:.200}: expected an object with the columns of the data set.")
        yield row


def _texts(value: object) -> list[str]:
    """Returns the texts in a YAML value.

    Raises:
        FileError: the value contains YAML aliases. With aliases, a few lines could make billions of texts.
    """
    found, left, seen = [], [value], set[int]()
    while left:
        one = left.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict | list) and one:
            if id(one) in seen:
                raise FileError("the card contains YAML aliases, which repeat a part of the card: expected YAML without aliases.")
            seen.add(id(one))
            left += [*one, *one.values()] if isinstance(one, dict) else one
    return found


def _words(file: Path) -> list[str]:
    """Returns the parts of a file's name that can be the name of a config or a split: the complete name, each part between ``-``,
    ``_`` or ``.``, and each pair of neighbouring parts."""
    stem = file.name.removesuffix(file.suffix)
    pieces = stem.replace("_", "-").replace(".", "-").split("-")
    joined = [f"{a}{mark}{b}" for a, b in pairwise(pieces) for mark in "-_"]
    return [stem, *pieces, *joined]


def _of_one_kind(files: list[Path]) -> tuple[str, list[str]] | None:
    if not files:
        return None
    suffix = files[0].suffix
    return _KINDS.get(suffix, "json"), [str(file) for file in files if file.suffix == suffix]
