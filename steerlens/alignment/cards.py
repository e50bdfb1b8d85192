"""The card of an adapter, which describes how the adapter was made, and from which texts."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from steerlens.fingerprint import Fingerprint
from steerlens.storage import read_json, restored, write_text

CARD = "card.json"
_MADE_BY = ("method", "objective", "locales", "training", "corpus", "texts", "keep", "model")
"""The fields of a card that identify a run. Two cards with equal fields describe the same run."""


@dataclass(frozen=True)
class Card:
    """The card of an adapter, which describes how the adapter was made."""

    method: str
    """The method's name in tables and figures."""
    objective: dict[str, Any]
    """The method's settings by name."""
    source: str
    """The paper of the method, and how this implementation differs from it."""
    locales: tuple[str, ...]
    """The locales that were aligned with English."""
    training: dict[str, Any]
    """The settings of the training, by their names in ``TrainingSettings``."""
    corpus: str
    """The digest of the parallel texts."""
    texts: dict[str, Any]
    """The number of parallel texts from each source, and the licence of each source."""
    model: dict[str, Any]
    """The fingerprint of the base model."""
    keep: dict[str, Any] | None = None
    """A description of the component of the residual stream that training should leave unchanged, or ``None``."""
    left_out: int = 0
    """The number of examples that were left out, because they were too long or had no tokens to learn."""
    batch_size: int = 0
    """The batch size at the end of the training. If the memory was too small, this size is smaller than the requested batch
    size."""
    seconds: float = 0.0
    """The time of the training in seconds. For a resumed run, the time is counted from the last checkpoint."""
    done: bool = False
    """Whether the training finished."""
    versions: dict[str, str] = field(default_factory=dict)
    """The versions of Python and of packages."""

    @property
    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the base model. The adapter can be used only on a model with this fingerprint."""
        return Fingerprint.from_dict(self.model)

    def differences(self, other: "Card") -> list[str]:
        """Returns the names of the identifying fields in which two cards differ. The result is empty if the two cards describe
        the same run.

        Args:
            other: the other card.
        """
        return [name for name in _MADE_BY if _plain(getattr(self, name)) != _plain(getattr(other, name))]

    def save(self, folder: Path) -> Path:
        """Writes the card into a folder.

        Args:
            folder: the folder of the adapter.

        Raises:
            FileError: the file cannot be written.
        """
        return write_text(folder / CARD, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Card":
        """Reads the card in a folder.

        Args:
            folder: the folder of the adapter.

        Raises:
            FileError: the card is missing or damaged.
        """
        path = folder / CARD
        values = read_json(path, "Give the folder of an adapter that sl.alignment made, or train the adapter again.")
        return restored(cls, values, str(path))


def _plain(value: Any) -> Any:
    """Returns a value in the form in which the value would be read from JSON. A model's name is left out."""
    kept = {name: own for name, own in value.items() if name != "name"} if isinstance(value, Mapping) else value
    return json.loads(json.dumps(kept))
