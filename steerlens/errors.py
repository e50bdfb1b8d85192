"""What can go wrong, in words a user can act on.

Every error says what was given, what was expected and what to do about it. The command line prints the message of a
``SteerlensError`` and exits with status 2; anything else is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable
from typing import Any

_LISTED = 24
"""The most names that a message lists."""
_MOST, _END = 20_000, 1_000
"""The most characters of a message, and how many of them are kept of the end, where it says what to do."""


class SteerlensError(Exception):
    """Base of every error that a user's input or surroundings can cause."""

    def __init__(self, message: object = "") -> None:
        """Keeps the message, the middle of a very long one left out: files of others may contain anything.

        Args:
            message: what was given, what was expected and what to do.
        """
        text = str(message)
        super().__init__(text if len(text) <= _MOST else f"{text[: _MOST - _END - 3]} … {text[-_END:]}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets workers send the error: its message is made already, whatever its class was given."""
        return _again, (type(self), self.args), self.__dict__ or None


def _again(kind: type[SteerlensError], args: tuple[Any, ...]) -> SteerlensError:
    return kind.__new__(kind, *args)


class UnknownNameError(SteerlensError):
    """A model, layer, locale, normalisation or another name that does not exist."""

    def __init__(self, what: str, given: object, known: Iterable[object], advice: str = "") -> None:
        """Writes the message, with the known names that are most like the given one.

        Args:
            what: the kind of thing that the name is of, such as ``locale``.
            given: the name that was given.
            known: the names that exist. The first 24 are listed. Where there are more, and some are like the given one, only
                their number is given.
            advice: a sentence that is put at the end, on what to do; none for ``""``.
        """
        names = [str(name) for name in known]
        many = len(names) > _LISTED
        near = difflib.get_close_matches(str(given), names, n=5 if many else 3, cutoff=0.55 if many else 0.65)
        listed = f"{len(names)} names" if many and near else f"{', '.join(names[:_LISTED])}{', …' if many else ''}"
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        said = f"expected one of {listed}.{meant}"
        super().__init__(f"unknown {what} {given!r}: {said}{' ' + advice if advice else ''}")


class PromptError(SteerlensError):
    """An empty prompt, a prompt without an answer to score, or a token position that it does not have."""


class PairsError(SteerlensError):
    """Contrast pairs that cannot give a difference of means."""


class LayerError(SteerlensError):
    """A layer that the model, the stack or the vector does not have."""

    def __init__(self, layer: object, available: Iterable[int], whose: str) -> None:
        """Writes the message, with the layers that there are.

        Args:
            layer: the layer that was given.
            available: the block indices that there are, in ascending order.
            whose: what has these layers, in words, such as ``this stack``.
        """
        layers = available if isinstance(available, range) else list(available)  # a range of a file's may have no end
        gapless = layers and (isinstance(layers, range) or layers == list(range(layers[0], layers[-1] + 1)))
        span = f"layers {layers[0]} to {layers[-1]}" if gapless else f"layers {layers}" if layers else "no layers"
        super().__init__(f"layer {layer!r} is not in {whose}: it has {span}. Choose one of these.")


class FingerprintError(SteerlensError):
    """A stack, vector or plan that was taken from another model, dtype or weight processing."""


class VectorError(SteerlensError):
    """A steering vector whose numbers or shape cannot be used."""


class ModelError(SteerlensError):
    """A model that cannot be found, read, verified or run."""


class FileError(SteerlensError):
    """A file that cannot be read (missing, truncated, of another kind) or written."""


class DataError(SteerlensError):
    """Items that cannot be used, with every bad row named at once."""


class SettingsError(SteerlensError):
    """A setting out of its range."""
