"""Stores millions of items as bytes. An item is created when it is used, so a file that is larger than half the memory can be
loaded."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from steerlens.data.items import Item

PACK_FROM = 200_000
"""The smallest number of items that are packed. Fewer items are stored unpacked, because unpacked items are faster to iterate
over."""


class PackedItems(Sequence[Item]):
    """A sequence of items that needs little more memory than their text."""

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._rows: list[bytes] = []
        self._heads: dict[tuple[Any, ...], int] = {}
        """A number for each combination of the values that items share (kind, locale, owners, topic, relation, source, tags,
        cloze, evidence)."""
        self._by_number: list[tuple[Any, ...]] = []
        for item in items:
            self.append(item)

    def append(self, item: Item) -> None:
        """Adds an item."""
        head = (item.kind, item.locale, item.owners, item.topic, item.relation, item.source, item.tags, item.cloze, item.evidence)
        number = self._heads.setdefault(head, len(self._heads))
        if number == len(self._by_number):
            self._by_number.append(head)
        row: list[Any] = [number, item.concept, item.question, item.choices, item.answer, item.explicit]
        more = (item.aliases, item.template, item.difficulty, item.popularity)
        row += more if any(more) else ()
        self._rows.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode())

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Item]:
        return map(self._made, self._rows)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        """Returns the item at an index, or a tuple of the items in a slice."""
        if isinstance(index, slice):
            return tuple(map(self._made, self._rows[index]))
        return self._made(self._rows[index])

    def _made(self, row: bytes) -> Item:
        number, concept, question, choices, answer, explicit, *more = json.loads(row)
        kind, locale, owners, topic, relation, source, tags, cloze, evidence = self._by_number[number]
        aliases, template, difficulty, popularity = more or ((), "", 0, None)
        return Item(
            *(concept, kind, locale, question, tuple(choices), answer, explicit, owners, topic, relation, source, tags),
            *(tuple(map(tuple, aliases)), template, cloze, difficulty, popularity, evidence),
        )
