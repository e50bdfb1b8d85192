"""``python -m steerlens.data.grounded``: writes the atlas's generated files anew."""

import importlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from steerlens.data.locales import atlas_folder

MAKERS = ("facts", "customs")
"""Modules here that each have a function of their own name, which gives rows per locale, and fill a file of that name."""


def main() -> None:
    """Writes a file per maker and locale."""
    for maker in MAKERS:
        module = f"steerlens.data.grounded.{maker}"
        if find_spec(module):
            for code, rows in getattr(importlib.import_module(module), maker)().items():
                Path(str(atlas_folder().joinpath(code, f"{maker}.jsonl"))).write_text(lines(rows), encoding="utf-8")


def lines(rows: list[dict[str, Any]]) -> str:
    """The rows as a file holds them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    main()
