"""Collects items from a public data set. Questions that cannot be used are counted, and rows in another format raise an error."""

import logging
from collections import Counter

from steerlens.data.items import Item, Items
from steerlens.data.locales import ENGLISH
from steerlens.data.rows import RowReader, same_text
from steerlens.data.splits import group_of
from steerlens.errors import DataError

_log = logging.getLogger(__name__)


class Gathering:
    """Collects items, counts the questions that are left out, and then makes ``Items``.

    A question belongs to one concept. If several rows of a data set ask the same question, only the first row is kept. Otherwise
    vectors could be computed and tested with the same prompt. The answers that later rows count as right are also right for the
    first row. The English rows decide for all locales which rows ask the same question. The rows that are left out of a locale
    therefore do not depend on the other requested locales.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.reader = RowReader()
        self.notes: Counter[str] = Counter()
        self._seen: set[tuple[str, str]] = set()
        self._first: dict[tuple[str, str], str] = {}
        """The group of the concept (from ``group_of``) that asked a question first, by locale and question."""
        self._repeated: set[str] = set()
        """The concepts whose English question is the same as the question of an earlier concept."""
        self._right: dict[tuple[str, str], set[str]] = {}
        """All right answers to a question, by locale and question."""

    def drop(self, locale: str, why: str) -> None:
        """Counts a question of a locale that is left out."""
        self.notes[f"{locale}: {why}"] += 1

    def right(self, locale: str, question: str, answer: str) -> None:
        """Stores a right answer to a question, even if its row does not become an item. A right answer cannot be a wrong
        choice."""
        self._right.setdefault((locale, same_text(question)), set()).add(same_text(answer))

    def add(self, place: str, item: Item) -> None:
        """Adds an item, or counts it as left out. An item is left out if its question is empty, its choices repeat, it has fewer
        than two choices, or another concept asked its question before."""
        if not item.concept:
            self.reader.fault(place, "concept", "empty", "an id")
            return
        if (item.concept, item.locale) in self._seen:
            given = f"{item.concept!r} given twice for {item.locale}"
            self.reader.fault(place, "concept", given, "each concept once per locale")
            return
        self._seen.add((item.concept, item.locale))
        if not item.question:
            self.drop(item.locale, "empty question")
        elif len(item.choices) < 2:
            self.drop(item.locale, "fewer than two choices")
        elif len(set(map(same_text, item.choices))) < len(item.choices):
            self.drop(item.locale, "choices repeat")
        else:
            self.right(item.locale, item.question, item.choices[item.answer])
            if self._asked_before(item):
                self.drop(item.locale, "question of another concept")
            else:
                self.reader.add(place, item)

    def _asked_before(self, item: Item) -> bool:
        """Returns whether another concept asked the question of this item before, in the item's locale or in English."""
        if item.concept in self._repeated:
            return True
        group = group_of(item.concept)
        repeats = self._first.setdefault((item.locale, same_text(item.question)), group) != group
        if repeats and item.locale == ENGLISH:
            self._repeated.add(item.concept)
        return repeats

    def _clear(self, items: Items) -> Items:
        """Returns the items, except those with a second right answer among their choices, in their own locale or in English."""

        def second(item: Item) -> bool:
            right = self._right[item.locale, same_text(item.question)] - {same_text(item.choices[item.answer])}
            return bool(right) and not right.isdisjoint(map(same_text, item.choices))

        unclear = {(item.concept, item.locale) for item in items if second(item)}
        if not unclear:
            return items
        kept = items.where(lambda item: unclear.isdisjoint({(item.concept, item.locale), (item.concept, ENGLISH)}))
        left_out = Counter(item.locale for item in items) - Counter(item.locale for item in kept)
        self.notes.update({f"{locale}: another right answer among the choices": n for locale, n in left_out.items()})
        return kept

    def finish(self) -> Items:
        """Returns all items except the items with a second right answer among their choices. The ``notes`` of the result count
        the questions that were left out, and the counts are also logged.

        Raises:
            DataError: rows are not in the format of the data set, or no item is left.
        """
        if not self.reader.items and not self.reader.faults:
            raise self._nothing()
        items = self.reader.finish(self.name)
        kept = self._clear(items)
        if not len(kept):
            raise self._nothing()
        notes = {**self.notes, **items.notes}
        for note, count in notes.items():
            _log.info("%s: %s: %d", self.name, note, count)
        return Items(kept.items, self.name, notes)

    def _nothing(self) -> DataError:
        left = f" What was left out: {dict(self.notes)}." if self.notes else ""
        return DataError(f"{self.name} gives no items: expected at least one question that can be used.{left}")
