"""Rows collected from a source. Texts that cannot be used are counted and logged, and each text is kept once."""

import logging
from collections import Counter

from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.texts import ParallelText
from steerlens.errors import DataError

_log = logging.getLogger(__name__)


class Collecting:
    """Collects rows, and counts of the texts that are left out; it then makes a corpus."""

    def __init__(self, name: str, license: str) -> None:
        self.name = name
        self.license = license
        self.notes: Counter[str] = Counter()
        self._rows: list[ParallelText] = []

    def add(self, key: str, texts: dict[str, str], answers: dict[str, str] | None = None, concept: str = "") -> None:
        """Adds a row. The name of the source is put before its key."""
        self._rows.append(ParallelText(f"{self.name}/{key}", texts, answers or {}, self.name, self.license, concept))

    def drop(self, why: str, n: int = 1) -> None:
        """Counts texts that are left out."""
        self.notes[why] += n

    def finish(self) -> ParallelCorpus:
        """All rows, with each text once. Their ``notes`` count what was left out; the counts are also logged.

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
