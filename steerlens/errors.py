"""Errors with messages that tell the user what to do.

Every error says what was given, what was expected and what the user can do. The command line prints the message of a
``SteerlensError`` and exits with status 2. Any other error is a bug and keeps its traceback.
"""

import difflib
from collections.abc import Iterable
from typing import Any

_LISTED = 24
"""The largest number of names that a message lists."""
_MOST, _END = 20_000, 1_000
"""The largest number of characters of a message, and the number of characters that are kept from its end. The end of a message
says what to do."""


class SteerlensError(Exception):
    """Base class of all errors that a user's input or environment can cause."""

    def __init__(self, message: object = "") -> None:
        """Stores the message. The middle of a very long message is left out, because a message can quote text from any file.

        Args:
            message: what was given, what was expected and what to do.
        """
        text = str(message)
        super().__init__(text if len(text) <= _MOST else f"{text[: _MOST - _END - 3]} … {text[-_END:]}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Lets worker processes send the error to the main process. Only the complete message is sent, so the other arguments
        of the constructor are not needed."""
        return _again, (type(self), self.args), self.__dict__ or None


def _again(kind: type[SteerlensError], args: tuple[Any, ...]) -> SteerlensError:
    return kind.__new__(kind, *args)


class UnknownNameError(SteerlensError):
    """A name that does not exist, for example of a model, layer, locale or normalisation."""

    def __init__(self, what: str, given: object, known: Iterable[object], advice: str = "") -> None:
        """Writes the message with the known names that are most similar to the given name.

        Args:
            what: the kind of object that has the name, such as ``locale``.
            given: the name that was given.
            known: the names that exist. The message lists the first 24 names. If more than 24 names exist and some are similar to
                the given name, the message lists only the similar names and the number of all names.
            advice: a sentence at the end of the message that says what to do, or ``""`` for no sentence.
        """
        names = [str(name) for name in known]
        many = len(names) > _LISTED
        near = difflib.get_close_matches(str(given), names, n=5 if many else 3, cutoff=0.55 if many else 0.65)
        listed = f"{len(names)} names" if many and near else f"{', '.join(names[:_LISTED])}{', …' if many else ''}"
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        said = f"expected one of {listed}.{meant}"
        super().__init__(f"unknown {what} {given!r}: {said}{' ' + advice if advice else ''}")


class PromptError(SteerlensError):
    """An empty prompt, a prompt without an answer to score, or a token position that the prompt does not have."""


class PairsError(SteerlensError):
    """Contrast pairs from which no difference of means can be computed."""


class LayerError(SteerlensError):
    """A layer that the model, the residual stack or the vector does not have."""

    def __init__(self, layer: object, available: Iterable[int], whose: str) -> None:
        """Writes the message with the layers that exist.

        Args:
            layer: the layer that was given.
            available: the existing block indices, in ascending order.
            whose: the object that has these layers, in words, such as ``this stack``.
        """
        layers = available if isinstance(available, range) else list(available)  # a range of a file's may have no end
        gapless = layers and (isinstance(layers, range) or layers == list(range(layers[0], layers[-1] + 1)))
        span = f"layers {layers[0]} to {layers[-1]}" if gapless else f"layers {layers}" if layers else "no layers"
        super().__init__(f"layer {layer!r} is not in {whose}: it has {span}. Choose one of these layers.")


class FingerprintError(SteerlensError):
    """A residual stack, vector or plan that was made with another model, another dtype or another processing of the
    weights."""


class VectorError(SteerlensError):
    """A steering vector whose numbers or shape cannot be used."""


class ModelError(SteerlensError):
    """A model that cannot be found, read, verified or run."""


class FileError(SteerlensError):
    """A file that cannot be read (missing, truncated, of another type) or written."""


class DataError(SteerlensError):
    """Items that cannot be used. If rows of a file have errors, the message lists the first of these errors."""


class SettingsError(SteerlensError):
    """A setting that cannot be used, for example because it is out of its range."""
