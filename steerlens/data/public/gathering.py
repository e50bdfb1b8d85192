"""Items gathered from a public data set: what could not be used is counted, what should not be is an error."""

import logging
from collections import Counter

from steerlens.data.items import Item, Items
from steerlens.data.rows import RowReader, same_text
from steerlens.errors import DataError

_log = logging.getLogger(__name__)


class Gathering:
    """Items and counts of what was left out, from which ``Items`` come."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reader = RowReader()
        self.notes: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()

    def drop(self, locale: str, why: str) -> None:
        """Counts a question of a locale that is left out."""
        self.notes[f"{locale}: {why}"] += 1

    def add(self, place: str, item: Item) -> None:
        """Adds an item, or counts it as left out if its question is empty, its choices repeat or are fewer than two."""
        if (item.concept, item.locale) in self._seen:
            given = f"{item.concept!r} given twice for {item.locale}"
            self.reader.fault(place, "concept", given, "each concept once a locale")
            return
        self._seen.add((item.concept, item.locale))
        if not item.question:
            self.drop(item.locale, "empty question")
        elif len(item.choices) < 2:
            self.drop(item.locale, "fewer than two choices")
        elif len(set(map(same_text, item.choices))) < len(item.choices):
            self.drop(item.locale, "choices repeat")
        else:
            self.reader.add(place, item)

    def finish(self) -> Items:
        """All items, with the counts as their ``notes``, which are logged too.

        Raises:
            DataError: rows that contradict the data set's own format, or nothing is left.
        """
        if not self.reader.items and not self.reader.faults:
            left = f" What was left out: {dict(self.notes)}." if self.notes else ""
            raise DataError(f"{self.name} gives no items: expected at least one question that can be used.{left}")
        items = self.reader.finish(self.name)
        notes = {**self.notes, **items.notes}
        for note, count in notes.items():
            _log.info("%s: %s: %d", self.name, note, count)
        return Items(items.items, self.name, notes)
