"""The card of an adapter: how it was made, and of what."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from steerlens.fingerprint import Fingerprint
from steerlens.storage import read_json, restored, write_text

CARD = "card.json"
_MADE_BY = ("method", "objective", "locales", "training", "corpus", "texts", "keep", "model")
"""The fields that must be equal for two runs to be the same run."""


@dataclass(frozen=True)
class Card:
    """How an adapter was made."""

    method: str
    """The method's name in tables and figures."""
    objective: dict[str, Any]
    """The method's settings by name."""
    source: str
    """The paper of the method, and what differs from it."""
    locales: tuple[str, ...]
    """The locales that were aligned with English."""
    training: dict[str, Any]
    """The settings of the training, as ``TrainingSettings`` names them."""
    corpus: str
    """The digest of the parallel texts."""
    texts: dict[str, Any]
    """The number of rows by source, and the licence of each source."""
    model: dict[str, Any]
    """The fingerprint of the base model."""
    keep: dict[str, Any] | None = None
    """What the training was to keep as it is, if anything."""
    left_out: int = 0
    """The number of examples that were longer than the settings allow and were left out."""
    batch_size: int = 0
    """The batch size at the end; smaller than the one asked for where memory was too small."""
    seconds: float = 0.0
    """The time of the training; for a resumed run, from its last checkpoint."""
    done: bool = False
    """Whether the training finished."""
    versions: dict[str, str] = field(default_factory=dict)
    """The versions of Python and of packages."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the base model, which the adapter is checked against."""
        return Fingerprint.from_dict(self.model)

    def differences(self, other: "Card") -> list[str]:
        """Returns the fields in which another card is of another run; none where one run is the other.

        Args:
            other: the other card.
        """
        return [name for name in _MADE_BY if _plain(getattr(self, name)) != _plain(getattr(other, name))]

    def save(self, folder: Path) -> Path:
        """Writes the card into a folder.

        Args:
            folder: the adapter's.

        Raises:
            FileError: the file cannot be written.
        """
        return write_text(folder / CARD, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Card":
        """Reads the card of a folder.

        Args:
            folder: the adapter's.

        Raises:
            FileError: missing or damaged.
        """
        path = folder / CARD
        values = read_json(path, "Give the folder of an adapter that sl.alignment made, or train the adapter again.")
        return restored(cls, values, str(path))


def _plain(value: Any) -> Any:
    """A value as it is read from JSON; of a model, its name does not count."""
    kept = {name: own for name, own in value.items() if name != "name"} if isinstance(value, Mapping) else value
    return json.loads(json.dumps(kept))
