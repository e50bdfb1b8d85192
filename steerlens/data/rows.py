"""Checks the rows of a file and turns them into items. After a row with a fault, the following rows are still read.

A file can have millions of rows, so little is stored for each row. A long list of items is packed, the place of each row is
stored as a number, and only the first faults are stored as text.
"""

import difflib
import logging
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from steerlens.data.items import KINDS, Item, Items
from steerlens.data.locales import known_locales, locale
from steerlens.data.naming import filled
from steerlens.data.packed import PACK_FROM, PackedItems
from steerlens.data.scripts import foreign
from steerlens.errors import DataError, SteerlensError

MOST_FAULTS = 50
"""The largest number of faults that are listed. Further faults are only counted."""
_INDEX_BITS = 40
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowFault:
    """A fault in one field of one row."""

    place: str
    """The file and the line, for example ``mine.jsonl:12``."""
    field: str
    given: str
    expected: str

    def __str__(self) -> str:
        return f"{self.place:.300}: field {self.field!r:.80}: {self.given:.300}; expected {self.expected:.300}"


FIELDS = (
    *("concept", "kind", "locale", "question", "explicit", "wordings", "templates", "cloze", "choices", "answer", "answers"),
    *("topic", "relation", "source", "tags", "difficulty", "popularity"),
)
"""The names of the fields that are read from a row."""


@dataclass(frozen=True, slots=True)
class Wording:
    """One wording of the question about a row's concept."""

    question: str
    explicit: str = ""
    template: str = ""
    cloze: bool = False
    suffix: str = ""
    """The suffix of the concept's id that marks the wording: ``#2``, ``#3`` or ``#cloze``. The first wording has no suffix."""


@dataclass
class RowReader:
    """Reads rows one at a time and records the faults of each row."""

    warn: bool = True
    """Whether the first doubtful value of each kind is logged. All doubtful values are always counted in ``notes``."""
    faults: list[RowFault] = field(default_factory=list)
    """The first faults. ``bad_rows`` is the number of all bad rows, and ``more_faults`` is the number of faults that are not
    listed."""
    bad_rows: int = 0
    more_faults: int = 0
    items: list[Item] | PackedItems = field(default_factory=list)
    doubts: Counter[str] = field(default_factory=Counter)
    """The counts of values that look wrong but can be used."""
    wordings: int = 1
    """The number of wordings that are read if a row has several wordings. Each wording becomes an item."""
    cloze: bool = False
    """Whether a row's cloze statement, which ends before its answer, is also read. The statement becomes an additional
    item."""
    _last_bad: str = ""
    _seen: dict[str, int] = field(default_factory=dict)
    """A number for each concept. The low bits are the index of the concept's first item. The high bits are the concept's kind and
    the locales in which the concept was read."""
    _bits: dict[str, int] = field(default_factory=dict)
    _files: dict[str, int] = field(default_factory=dict)
    _places: array = field(default_factory=lambda: array("Q"))
    """The number of the file (16 bits) and of the line (48 bits) of each item."""
    _known: frozenset[str] = field(default_factory=lambda: frozenset(known_locales()))
    _near: dict[str, str] = field(default_factory=dict)
    """The known field that each unknown field's name resembles, or an empty text."""

    def read(self, place: str, row: Mapping[str, Any]) -> None:
        """Adds the items of a row, one item for each wanted wording, or records the faults of the row."""
        before = len(self.faults) + self.more_faults
        text = {name: self._text(place, row, name) for name in ("concept", "kind", "locale")}
        self._one_of(place, "kind", text["kind"], KINDS)
        self._known_locale(place, "locale", text["locale"])
        self._misspelled(place, row)
        self._once(place, text)
        names = ("topic", "relation", "source")
        topic, relation, source = (self._text(place, row, name, needed=False) for name in names)
        wordings = self._wordings(place, row, text["locale"])
        if text["kind"] == "cultural":
            owners, named, answer = self._cultural(place, row, text["locale"])
        else:
            owners, (named, answer) = (), self._factual(place, row)
        tags, difficulty, popularity = self._facets(place, row)
        if len(self.faults) + self.more_faults > before:
            return
        item = Item(
            concept=text["concept"],
            kind=KINDS[0] if text["kind"] == KINDS[0] else KINDS[1],
            locale=text["locale"],
            question="",
            choices=tuple(names[0] for names in named),
            answer=answer,
            owners=owners,
            topic=topic,
            relation=relation,
            source=source,
            tags=tags,
            aliases=tuple(names[1:] for names in named) if any(len(names) > 1 for names in named) else (),
            difficulty=difficulty,
            popularity=popularity,
        )
        for wording in wordings:
            self.add(
                place,
                replace(
                    item,
                    concept=item.concept + wording.suffix,
                    question=wording.question,
                    explicit=wording.explicit,
                    template=wording.template,
                    cloze=wording.cloze,
                ),
            )

    def add(self, place: str, item: Item) -> None:
        """Adds an item that was already checked."""
        name, _, line = place.rpartition(":")
        number = int(line) if line.isdecimal() else 0
        self._places.append(self._files.setdefault(name, len(self._files)) << 48 | number)
        self.items.append(item)
        if len(self.items) == PACK_FROM and isinstance(self.items, list):
            self.items = PackedItems(self.items)
        self._doubt(place, item)

    def _doubt(self, place: str, item: Item) -> None:
        script = locale(item.locale).script
        doubts = ["question mostly in a script other than its locale's"] * foreign(item.question, script)
        # names are written in Latin letters in every locale, so a choice in Latin letters is no sign of an error
        doubts += ["choice in a script other than its locale's"] * any(
            foreign(choice, script) and foreign(choice, "Latn") for choice in item.choices
        )
        for doubt in doubts:
            self.doubts[doubt] += 1
            if self.doubts[doubt] == 1 and self.warn:
                _log.warning(
                    "%s: %s (%s, %s); later rows with this problem are only counted, in notes", place, doubt, item.locale, script
                )

    def finish(self, name: str) -> Items:
        """Returns all items that were read.

        Raises:
            DataError: a row has a fault. The message lists the first faults.
        """
        if self.faults:
            listing = "\n".join(f"  {fault}" for fault in self.faults)
            more = f"\n  … and {self.more_faults:,} more faults" if self.more_faults else ""
            rows = f"{self.bad_rows:,} bad row{'s' if self.bad_rows > 1 else ''}"
            raise DataError(
                f"{rows} in {name}: nothing was loaded. Correct these rows, and load the file again:\n{listing}{more}"
            )
        if not self.items:
            raise DataError(f"{name} contains no items: expected at least one row.")
        items = tuple(self.items) if isinstance(self.items, list) else self.items
        return Items(items, name, dict(self.doubts))

    def fault(self, place: str, field_name: str, given: str, expected: str) -> None:
        """Records one fault. If many faults are already listed, the fault is only counted."""
        self.bad_rows += place != self._last_bad
        self._last_bad = place
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(RowFault(place, field_name, given, expected))
        else:
            self.more_faults += 1

    def _misspelled(self, place: str, row: Mapping[str, Any]) -> None:
        """Records a fault for each field whose name is almost the name of a known field that the row lacks. Other unknown fields
        are allowed, and are not read."""
        for name in row:
            if name not in self._near:
                close = difflib.get_close_matches(str(name).lower(), FIELDS, n=1, cutoff=0.8) if name not in FIELDS else []
                self._near[name] = "".join(close)
            if (near := self._near[name]) and near not in row:
                self.fault(place, str(name), "an unknown field", f"the field {near!r}, or another name if the field is your own")

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
            self.fault(place, name, f"{value!r} begins or ends with white space", "a text without outer white space")
        return value

    def _one_of(self, place: str, name: str, value: str, known: Iterable[str]) -> None:
        if value and value not in known:
            self.fault(place, name, f"{value!r} given", f"one of {', '.join(known)}")

    def _known_locale(self, place: str, name: str, code: str) -> None:
        if code and code not in self._known:
            near = difflib.get_close_matches(code, sorted(self._known), n=3, cutoff=0.3) or ["es-ES"]
            self.fault(
                place,
                name,
                f"{code!r} given",
                f"a known locale, such as {', '.join(near)}, or a locale that you add with sl.data.add_locale",
            )

    def _once(self, place: str, text: Mapping[str, str]) -> None:
        """Checks that each concept occurs once per locale, and has the same kind in all locales."""
        concept, code, kind = text["concept"], text["locale"], int(text["kind"] == KINDS[1])
        if not concept or not code or text["kind"] not in KINDS:
            return
        bit = 1 << self._bits.setdefault(code, len(self._bits) + 1)
        packed = self._seen.get(concept)
        if packed is None:
            self._seen[concept] = (kind | bit) << _INDEX_BITS | len(self.items)
            return
        seen, first = packed >> _INDEX_BITS, packed & ((1 << _INDEX_BITS) - 1)
        if seen & 1 != kind:
            other = f"{KINDS[seen & 1]!r} at {self._place_of(concept, first)}"
            self.fault(place, "kind", f"{text['kind']!r}, but {other}", "one kind for a concept")
        if seen & bit:
            there = self._place_of(concept, first, code)
            self.fault(place, "concept", f"{concept!r} is already given for {code} at {there}", "each concept once per locale")
        self._seen[concept] = packed | bit << _INDEX_BITS

    def _place_of(self, concept: str, first: int, code: str | None = None) -> str:
        """Returns the place at which a concept was read. The place is searched only after a fault, so no table from concepts
        to places is stored."""
        for index in range(first, len(self.items) if not self.more_faults else first):
            if self.items[index].concept == concept and code in (None, self.items[index].locale):
                packed = self._places[index]
                return f"{list(self._files)[packed >> 48]}:{packed & ((1 << 48) - 1)}"
        return "an earlier row"

    def _wordings(self, place: str, row: Mapping[str, Any], code: str) -> list[Wording]:
        """Returns the wanted wordings of a row. The wordings are made from templates with a slot for the country, or are given
        as texts."""
        found, cloze = self._templates(place, row, code) if "templates" in row else self._questions(place, row)
        wanted = found[: self.wordings] + ([cloze] if self.cloze and cloze else [])
        return [replace(one, suffix="#cloze" if one.cloze else f"#{at}" if at > 1 else "") for at, one in enumerate(wanted, 1)]

    def _questions(self, place: str, row: Mapping[str, Any]) -> tuple[list[Wording], Wording | None]:
        question = self._text(place, row, "question")
        first = Wording(question, self._text(place, row, "explicit", needed=False))
        more = self._texts(place, row, "wordings")
        statement = self._text(place, row, "cloze", needed=False)
        return [first, *map(Wording, more)], Wording(statement, cloze=True) if statement else None

    def _templates(self, place: str, row: Mapping[str, Any], code: str) -> tuple[list[Wording], Wording | None]:
        given = self._texts(place, row, "templates")
        statement = self._text(place, row, "cloze", needed=False)
        if not given:
            self.fault(place, "templates", "none", "at least one question with a slot for the country")
        if code not in self._known:
            return [], None
        try:
            texts = [*given, statement] if statement else given
            own = [Wording(filled(text, code), filled(text, code, code), text) for text in texts]
        except SteerlensError as error:
            self.fault(
                place,
                "templates",
                str(error),
                "exactly one slot for the country in each text, and a locale that has a text for this slot",
            )
            return [], None
        return own[: len(given)], replace(own[-1], cloze=True) if statement else None

    def _facets(self, place: str, row: Mapping[str, Any]) -> tuple[tuple[str, ...], int, float | None]:
        """Returns the tags, the difficulty and the popularity of a row."""
        difficulty, popularity = row.get("difficulty", 0), row.get("popularity")
        if isinstance(difficulty, bool) or difficulty not in (0, 1, 2, 3):
            expected = "1 (a child knows it), 2 (taught at school) or 3 (few know it)"
            self.fault(place, "difficulty", f"{difficulty!r} given", expected)
            difficulty = 0
        if isinstance(popularity, bool) or not (
            popularity is None or (isinstance(popularity, int | float) and abs(popularity) < 1e300)
        ):
            self.fault(place, "popularity", f"{popularity!r} given", "a finite number")
        return tuple(self._texts(place, row, "tags")), int(difficulty), popularity

    def _texts(self, place: str, row: Mapping[str, Any], name: str) -> list[str]:
        """Returns a list of texts from a field that may be missing."""
        given = row.get(name) or []
        if not isinstance(given, list) or not all(isinstance(text, str) and text and text == text.strip() for text in given):
            self.fault(place, name, f"{given!r} given", "a list of texts without white space at their beginning or end")
            return []
        return given

    def _choices(self, place: str, name: str, choices: list[Any]) -> tuple[tuple[str, ...], ...]:
        """Returns the names of each choice. A choice is a text, or a list of equally correct texts. The first text is shown."""
        named = [tuple(choice) if isinstance(choice, list) and choice else (choice,) for choice in choices]
        texts = [text for names in named for text in names]
        if not all(isinstance(text, str) and text.strip() and text == text.strip() for text in texts):
            self.fault(
                place,
                name,
                "an empty choice, a choice with white space at its beginning or end, or a choice that is not a text",
                "texts",
            )
            return ()
        if len(named) < 2:
            self.fault(place, name, f"{len(named)} choices", "at least two")
        forms = list(map(same_text, texts))
        if len(set(forms)) < len(forms):
            repeated = sorted({text for text, form in zip(texts, forms, strict=True) if forms.count(form) > 1})
            self.fault(place, name, f"{', '.join(repeated)} repeated", "choices that differ")
        return tuple(named)

    def _factual(self, place: str, row: Mapping[str, Any]) -> tuple[tuple[tuple[str, ...], ...], int]:
        given, answer = row.get("choices"), row.get("answer")
        if not isinstance(given, list):
            self.fault(place, "choices", "missing" if given is None else f"{given!r} given", "a list of texts")
            return (), 0
        choices = self._choices(place, "choices", given)
        shown = [names[0] for names in choices]
        if answer not in shown:
            self.fault(place, "answer", f"{answer!r} given", "exactly one of the choices")
            return choices, 0
        return choices, shown.index(answer)

    def _cultural(
        self, place: str, row: Mapping[str, Any], own: str
    ) -> tuple[tuple[tuple[str, ...], ...], tuple[tuple[str, ...], ...], int]:
        """Returns the owners of the choices, the names of the choices, and the index of the answer of locale ``own``. Locales
        with the same answer own one choice together."""
        answers = row.get("answers")
        if not isinstance(answers, Mapping):
            self.fault(place, "answers", "missing" if answers is None else f"{answers!r} given", "a text per locale")
            return (), (), 0
        for owner in answers:
            self._known_locale(place, "answers", owner)
        together: dict[str, list[str]] = {}
        for owner, names in answers.items():
            shown = names[0] if isinstance(names, list) and names else names
            together.setdefault(same_text(str(shown)), []).append(owner)
        choices = self._choices(place, "answers", [_joined(answers, owners) for owners in together.values()])
        if own not in answers:
            self.fault(place, "answers", f"answers of {', '.join(answers) or 'nobody'}", f"the answer of {own} among them")
            return (), choices, 0
        owned = tuple(map(tuple, together.values()))
        return owned, choices, next(index for index, owners in enumerate(owned) if own in owners)


def _joined(answers: Mapping[str, Any], owners: list[str]) -> Any:
    """Returns the names of one choice from the answers of its owners, with the shown name first."""
    names = [name for owner in owners for name in (answers[owner] if isinstance(answers[owner], list) else [answers[owner]])]
    if not all(isinstance(name, str) for name in names):
        return answers[owners[0]]
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(same_text(name), name)
    return list(first.values())


def same_text(text: str) -> str:
    """Returns the text in NFKC form, case folded and with white space collapsed. Two choices with the same form count as the
    same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
