"""What was written for another tool: where, how it is used there, and what the tool does otherwise than the plan."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Exported:
    """A file for another tool. When printed, it shows the file, how to use it, and the notes."""

    path: Path
    """The file."""
    tool: str
    """The tool that it is for."""
    use: str
    """The command, or the lines of Python, that steer with it."""
    notes: tuple[str, ...] = ()
    """What the tool does differently from the plan, in sentences."""

    def __str__(self) -> str:
        notes = "".join(f"\nnote: {note}" for note in self.notes)
        return f"{self.path} for {self.tool}\n\n{self.use}\n{notes}".rstrip()

    __repr__ = __str__


def said(notes: Sequence[str]) -> tuple[str, ...]:
    """Returns the notes, after each was logged as a warning.

    Args:
        notes: what a tool does differently from a plan.
    """
    for note in notes:
        _log.warning(note)
    return tuple(notes)
