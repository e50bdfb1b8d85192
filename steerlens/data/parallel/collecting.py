"""Collects rows from a source. Texts that cannot be used are counted and logged, and each text is kept once."""

import logging
from collections import Counter

from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.texts import ParallelText
from steerlens.errors import DataError

_log = logging.getLogger(__name__)


class Collecting:
    """Collects rows, counts the texts that are left out, and then makes a corpus."""

    def __init__(self, name: str, license: str) -> None:
        self.name = name
        self.license = license
        self.notes: Counter[str] = Counter()
        self._rows: list[ParallelText] = []

    def add(self, key: str, texts: dict[str, str], answers: dict[str, str] | None = None, concept: str = "") -> None:
        """Adds a row. The name of the source is put in front of the key."""
        self._rows.append(ParallelText(f"{self.name}/{key}", texts, answers or {}, self.name, self.license, concept))

    def drop(self, why: str, n: int = 1) -> None:
        """Counts texts that are left out."""
        self.notes[why] += n

    def finish(self) -> ParallelCorpus:
        """Returns all rows, with each text once. The ``notes`` of the corpus count the texts that were left out, and the counts
        are also logged.

        Raises:
            DataError: no row is left.
        """
        corpus = ParallelCorpus(tuple(self._rows), self.name, dict(self.notes)).deduplicated()
        for note, count in corpus.notes.items():
            _log.info("%s: %s: %d", self.name, note, count)
        if not len(corpus):
            left = f" What was left out: {dict(corpus.notes)}." if corpus.notes else ""
            raise DataError(f"{self.name} contains no usable parallel texts: expected at least one row.{left}")
        return corpus
