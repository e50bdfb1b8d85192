"""Writes greedy texts, and keeps each text so that it is written only once."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from steerlens.data.locales import next_question
from steerlens.models import LensModel, stream

_MOST = 200
"""The number of texts that are kept."""


class Writer:
    """Greedy texts by prompt and plan. An interrupted text is continued from the point where it stopped, unless another text was
    begun in the meantime."""

    def __init__(self, model: LensModel, length: int) -> None:
        self._model, self._length = model, length
        self._written: dict[Any, str] = {}
        self._begun: Any = None
        self._growing: Iterator[str] = iter(())

    def known(self, prompt: str, key: Any) -> str | None:
        """Returns a completed text, or ``None`` if there is none."""
        return self._written.get((prompt, key))

    def text(self, prompt: str, key: Any, around: Callable[[], AbstractContextManager[Any]]) -> Iterator[str]:
        """Yields a text as it grows, until the model begins another question. A text that is already complete is yielded at once.

        Args:
            prompt: the text that is continued.
            key: a value that identifies the steering plan.
            around: a function that makes the context in which the plan steers the model.
        """
        own = (prompt, key)
        if own not in self._written:
            if self._begun != own:
                made = stream(self._model, prompt, self._length, around, stop=next_question(prompt))
                self._begun, self._growing = own, made
                self._latest = ""
            for text in self._growing:
                self._latest = text
                yield text
            self._begun = None
            if len(self._written) >= _MOST:
                self._written.clear()
            self._written[own] = self._latest
        yield self._written[own]
