"""Describes a file that was written for another tool: the path of the file, how to use the file in the tool, and how the tool's
steering differs from the plan."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """A file for another tool. The printed text shows the path of the file, the use of the file, and the notes."""

    path: Path
    """The path of the file."""
    tool: str
    """The tool for which the file was written."""
    use: str
    """The command or the lines of Python that steer with the file."""
    notes: tuple[str, ...] = ()
    """Sentences that say how the tool's steering differs from the plan."""

    def __str__(self) -> str:
        notes = "".join(f"\nnote: {note}" for note in self.notes)
        return f"{self.path} for {self.tool}\n\n{self.use}\n{notes}".rstrip()

    __repr__ = __str__


def said(notes: Sequence[str]) -> tuple[str, ...]:
    """Logs each note as a warning, and returns the notes.

    Args:
        notes: sentences that say how a tool's steering differs from a plan.
    """
    for note in notes:
        _log.warning(note)
    return tuple(notes)
