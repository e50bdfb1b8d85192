"""Rows collected from a source: what could not be used is counted and logged, and each text is kept once."""

import logging
from collections import Counter

from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.texts import ParallelText
from steerlens.errors import DataError

_log = logging.getLogger(__name__)


class Collecting:
    """Rows, and counts of what was left out, from which a corpus comes."""

    def __init__(self, name: str, license: str) -> None:
        self.name = name
        self.license = license
        self.notes: Counter[str] = Counter()
        self._rows: list[ParallelText] = []

    def add(self, key: str, texts: dict[str, str], answers: dict[str, str] | None = None, concept: str = "") -> None:
        """Adds a row. Its key gets the name of the source in front."""
        self._rows.append(ParallelText(f"{self.name}/{key}", texts, answers or {}, self.name, self.license, concept))

    def drop(self, why: str, n: int = 1) -> None:
        """Counts texts that are left out."""
        self.notes[why] += n

    def finish(self) -> ParallelCorpus:
        """All rows with each text once, and with the counts of what was left out as their ``notes``, which are logged too.

        Raises:
            DataError: nothing is left.
        """
        corpus = ParallelCorpus(tuple(self._rows), self.name, dict(self.notes)).deduplicated()
        for note, count in corpus.notes.items():
            _log.info("%s: %s: %d", self.name, note, count)
        if not len(corpus):
            left = f" What was left out: {dict(corpus.notes)}." if corpus.notes else ""
            raise DataError(f"{self.name} contains no usable parallel texts: expected at least one.{left}")
        return corpus
