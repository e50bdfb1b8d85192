"""``python -m steerlens.data.grounded``: writes the atlas's generated files again."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from steerlens.data.locales import atlas_folder

MAKERS = ("facts", "customs")
"""The names of the modules that make files. Each module has a function with the module's name that returns the rows of each
locale. The file has the same name."""


def main() -> None:
    """Writes one file for each module in ``MAKERS`` and each locale."""
    for maker in MAKERS:
        write(maker)


def write(maker: str, folder: Path | None = None) -> list[Path]:
    """Writes the file of one module for each locale, and returns the paths of the files.

    Args:
        maker: one of ``MAKERS``.
        folder: the folder to which a copy is written, with one subfolder for each locale. ``None`` writes to the atlas.

    Raises:
        SteerlensError: a package of open data is missing, or no longer contains the data that a concept needs.
    """
    files = []
    for code, rows in getattr(import_module(f"steerlens.data.grounded.{maker}"), maker)().items():
        file = (folder / code if folder else Path(str(atlas_folder(code)))) / f"{maker}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lines(rows), encoding="utf-8")
        files.append(file)
    return files


def lines(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as the text of a file."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
