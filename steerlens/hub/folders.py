"""Writes folders in the layout of the hub: one safetensors file, the card as README.md, and the plane (the table of measured
effects) if there is one."""

from collections.abc import Callable
from pathlib import Path

from steerlens.errors import FileError
from steerlens.hub.cards import ModelCard
from steerlens.storage import write_text

PLANE_FILE = "plane.parquet"
"""The name of the plane's file in a repository."""


def folder_for_hub(folder: str | Path, save: Callable[[Path], Path], card: ModelCard, repo_id: str) -> tuple[str, ...]:
    """Writes the folder of a repository and returns the names of its files. Other files in the folder are not changed.

    Args:
        folder: the folder, which is made if it does not exist.
        save: a function that writes the artifact to a file.
        card: the card of the artifact.
        repo_id: the repository, as ``user/name``.

    Raises:
        FileError: the folder cannot be written to, or the folder contains a plane and no new plane was given.
    """
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise FileError(f"{place} is not a folder: expected a folder, or a name that does not exist.")
    if card.plane is None and (place / PLANE_FILE).exists():
        raise FileError(
            f"{place} contains {PLANE_FILE} of an earlier {card.kind}. Remove this file, or give the new plane with plane=."
        )
    names = [card.file, "README.md"]
    save(place / card.file)
    if card.plane is not None:
        card.plane.save(place / PLANE_FILE)
        names.append(PLANE_FILE)
    write_text(place / "README.md", card.text(repo_id))
    return tuple(names)
