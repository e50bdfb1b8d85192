"""The folder of a training run: its card, its checkpoints, and the files that remain after the training."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from steerlens.alignment.aligned import ADAPTER, CHECKPOINTS, LOG, TrainingLog, checkpoints_of
from steerlens.alignment.cards import CARD, Card
from steerlens.errors import FileError, SettingsError
from steerlens.scratch import remove_abandoned
from steerlens.storage import readable_errors, write_atomically

WHOLE = "whole"
"""The name of the file that is written last into a checkpoint. Training never continues from a checkpoint without this file."""
_LOCK = ".lock"
_COLUMNS = ["step", "part", "value"]


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Creates the folder. Inside the ``with`` block, no other process can train in the folder.

    Raises:
        FileError: another process is training in the folder, or the folder cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, timeout=0)
    with readable_errors(folder, "write"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise FileError(
                f"another process is training in {folder}. Wait until it has finished, or give another folder as out=…."
            ) from error
    try:
        remove_abandoned(folder)
        yield
    finally:
        lock.release()


def begun(folder: Path, card: Card) -> Card:
    """Returns the card of an earlier run in the folder, or starts a new run and returns its card.

    Args:
        folder: the folder of the run.
        card: the card of the intended run.

    Raises:
        SettingsError: the folder contains another run, or other files.
    """
    if (folder / CARD).is_file():
        there = Card.load(folder)
        other = there.differences(card)
        if not other:
            return there
        if there.done or whole(folder):
            raise SettingsError(
                f"{folder} contains an adapter of another run ({there.method}; the two runs differ in {', '.join(other)}). "
                "Give another folder as out=…, or remove this folder."
            )
    elif foreign := [name for name in (*ADAPTER, CHECKPOINTS, LOG) if (folder / name).exists()]:
        raise SettingsError(f"{folder} contains {foreign[0]}, which sl.alignment did not write. Give another folder as out=….")
    card.save(folder)
    return card


def whole(folder: Path) -> dict[int, Path]:
    """Returns the folder of each complete checkpoint, with the checkpoint's step as the key. Incomplete checkpoints are removed
    if the system allows the removal.

    Args:
        folder: the folder of the run.
    """
    found = checkpoints_of(folder)
    for path in found.values():
        if not (path / WHOLE).is_file():
            shutil.rmtree(path, ignore_errors=True)
    return {step: path for step, path in found.items() if (path / WHOLE).is_file()}


def write_result(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the last checkpoint's adapter and the log of the training into the folder.

    Args:
        folder: the folder of the run.
        rows: the log as rows of step, part and value.
    """
    TrainingLog(pd.DataFrame(rows, columns=_COLUMNS)).save(folder / LOG)
    last = list(whole(folder).values())[-1]
    for name in ADAPTER:
        write_atomically(folder / name, partial(shutil.copyfile, last / name))


def strip(folder: Path) -> None:
    """Removes everything except the adapter from every checkpoint of a finished run. A second call has no effect.

    Args:
        folder: the folder of the run.
    """
    for path in checkpoints_of(folder).values():
        for file in path.iterdir():
            if file.name not in ADAPTER:
                file.unlink()
