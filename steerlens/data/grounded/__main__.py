"""``python -m steerlens.data.grounded``: writes the atlas's generated files again."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from steerlens.data.locales import atlas_folder

MAKERS = ("facts", "customs")
"""Modules here that each have a function of their own name, which gives rows per locale, and fill a file of that name."""


def main() -> None:
    """Writes a file per maker and locale."""
    for maker in MAKERS:
        write(maker)


def write(maker: str, folder: Path | None = None) -> list[Path]:
    """Writes a maker's file of each locale, and gives their paths.

    Args:
        maker: one of ``MAKERS``.
        folder: where to put a copy, which gets a folder per locale; the atlas itself for ``None``.

    Raises:
        SteerlensError: a package of open data is missing, or no longer says what a concept needs.
    """
    files = []
    for code, rows in getattr(import_module(f"steerlens.data.grounded.{maker}"), maker)().items():
        file = (folder / code if folder else Path(str(atlas_folder(code)))) / f"{maker}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lines(rows), encoding="utf-8")
        files.append(file)
    return files


def lines(rows: list[dict[str, Any]]) -> str:
    """The rows as a file contains them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
