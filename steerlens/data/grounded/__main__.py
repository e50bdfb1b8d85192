"""``python -m steerlens.data.grounded``: writes the atlas's generated files again."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from steerlens.data.locales import atlas_folder

MAKERS = ("facts", "customs")
"""The modules that make files. Each has a function of the module's name, which returns rows per locale, and fills a file of
that name."""


def main() -> None:
    """Writes one file for each maker and locale."""
    for maker in MAKERS:
        write(maker)


def write(maker: str, folder: Path | None = None) -> list[Path]:
    """Writes a maker's file for each locale, and returns the paths.

    Args:
        maker: one of ``MAKERS``.
        folder: the folder for a copy, which gets a folder for each locale; ``None`` writes into the atlas itself.

    Raises:
        SteerlensError: a package of open data is missing, or no longer contains what a concept needs.
    """
    files = []
    for code, rows in getattr(import_module(f"steerlens.data.grounded.{maker}"), maker)().items():
        file = (folder / code if folder else Path(str(atlas_folder(code)))) / f"{maker}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(lines(rows), encoding="utf-8")
        files.append(file)
    return files


def lines(rows: list[dict[str, Any]]) -> str:
    """The rows as the text of a file."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
