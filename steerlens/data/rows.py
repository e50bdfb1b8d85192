"""One row of a file, checked and made an item; every fault of every row is kept, none stops the others."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from steerlens.data.items import KINDS, Item, Items
from steerlens.data.locales import known_locales
from steerlens.errors import DataError


@dataclass(frozen=True)
class RowFault:
    """What is wrong with one field of one row."""

    place: str
    """File and line, as in ``mine.jsonl:12``."""
    field: str
    given: str
    expected: str

    def __str__(self) -> str:
        return f"{self.place}: field {self.field!r}: {self.given}; expected {self.expected}"


@dataclass
class RowReader:
    """Reads rows one at a time and remembers what was wrong with each."""

    faults: list[RowFault] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    _seen: dict[tuple[str, str], str] = field(default_factory=dict)
    _kinds: dict[str, tuple[str, str]] = field(default_factory=dict)

    def read(self, place: str, row: Mapping[str, Any]) -> None:
        """Adds the row's item, or its faults."""
        before = len(self.faults)
        text = {name: self._text(place, row, name) for name in ("concept", "kind", "locale", "question")}
        self._one_of(place, "kind", text["kind"], KINDS)
        self._one_of(place, "locale", text["locale"], known_locales())
        self._once(place, text)
        explicit, topic, relation, source = (
            self._text(place, row, name, needed=False) for name in ("explicit", "topic", "relation", "source")
        )
        if text["kind"] == "cultural":
            owners, choices, answer = self._cultural(place, row, text["locale"])
        else:
            owners, (choices, answer) = (), self._factual(place, row)
        if len(self.faults) == before:
            kind = KINDS[0] if text["kind"] == KINDS[0] else KINDS[1]
            self.items.append(
                Item(
                    concept=text["concept"],
                    kind=kind,
                    locale=text["locale"],
                    question=text["question"],
                    choices=choices,
                    answer=answer,
                    explicit=explicit,
                    owners=owners,
                    topic=topic,
                    relation=relation,
                    source=source,
                )
            )

    def finish(self, name: str) -> Items:
        """All items read.

        Raises:
            DataError: a row was bad; every bad row is named.
        """
        if self.faults:
            rows = len({fault.place for fault in self.faults})
            listing = "\n".join(f"  {fault}" for fault in self.faults)
            raise DataError(
                f"{rows} bad row{'s' if rows > 1 else ''} in {name}; nothing was loaded. Mend these and load again:\n{listing}"
            )
        if not self.items:
            raise DataError(f"{name} holds no items: expected at least one row.")
        return Items(tuple(self.items), name)

    def fault(self, place: str, field_name: str, given: str, expected: str) -> None:
        """Remembers one fault."""
        self.faults.append(RowFault(place, field_name, given, expected))

    def _text(self, place: str, row: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
        value = row.get(name)
        if value is None or value == "":
            if needed:
                self.fault(place, name, "missing or empty", "a text")
            return ""
        if not isinstance(value, str):
            self.fault(place, name, f"{value!r} given", "a text")
            return ""
        if value != value.strip():
            self.fault(place, name, f"{value!r} begins or ends with white space", "a text without it")
        return value

    def _one_of(self, place: str, name: str, value: str, known: Iterable[str]) -> None:
        if value and value not in known:
            self.fault(place, name, f"{value!r} given", f"one of {', '.join(known)}")

    def _once(self, place: str, text: Mapping[str, str]) -> None:
        key = (text["concept"], text["locale"])
        if key in self._seen:
            self.fault(
                place, "concept", f"{key[0]!r} stands for {key[1]} at {self._seen[key]} already", "each concept once a locale"
            )
        first_kind, first_place = self._kinds.setdefault(text["concept"], (text["kind"], place))
        if first_kind != text["kind"]:
            self.fault(place, "kind", f"{text['kind']!r}, but {first_kind!r} at {first_place}", "one kind for a concept")
        self._seen.setdefault(key, place)

    def _choices(self, place: str, name: str, choices: list[Any]) -> tuple[str, ...]:
        texts = [choice for choice in choices if isinstance(choice, str) and choice.strip() and choice == choice.strip()]
        if len(texts) != len(choices):
            self.fault(place, name, "an empty choice, one with outer white space or one that is no text", "texts")
        if len(texts) < 2:
            self.fault(place, name, f"{len(texts)} choices", "at least two")
        repeated = sorted({text for text in texts if [same_text(t) for t in texts].count(same_text(text)) > 1})
        if repeated:
            self.fault(place, name, f"{', '.join(repeated)} repeated", "choices that differ")
        return tuple(texts)

    def _factual(self, place: str, row: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
        given, answer = row.get("choices"), row.get("answer")
        if not isinstance(given, list):
            self.fault(place, "choices", "missing" if given is None else f"{given!r} given", "a list of texts")
            return (), 0
        choices = self._choices(place, "choices", given)
        if answer not in choices:
            self.fault(place, "answer", f"{answer!r} given", "one of the choices, to the letter")
            return choices, 0
        return choices, choices.index(answer)

    def _cultural(self, place: str, row: Mapping[str, Any], own: str) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...], int]:
        """Owners, choices and the own answer's index. Locales that give the same answer own one choice together."""
        answers = row.get("answers")
        if not isinstance(answers, Mapping):
            self.fault(place, "answers", "missing" if answers is None else f"{answers!r} given", "a text per locale")
            return (), (), 0
        for owner in answers:
            self._one_of(place, "answers", owner, known_locales())
        together: dict[str, list[str]] = {}
        for owner, text in answers.items():
            together.setdefault(same_text(str(text)), []).append(owner)
        choices = self._choices(place, "answers", [answers[owners[0]] for owners in together.values()])
        if own not in answers:
            self.fault(place, "answers", f"answers of {', '.join(answers) or 'nobody'}", f"the answer of {own} among them")
            return (), choices, 0
        owned = tuple(map(tuple, together.values()))
        return owned, choices, next(index for index, owners in enumerate(owned) if own in owners)


def same_text(text: str) -> str:
    """The form in which two choices count as the same: NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
