"""The corpus class, which is a collection of parallel texts."""

import hashlib
import logging
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

from steerlens.data.items import Items
from steerlens.data.locales import ENGLISH
from steerlens.data.parallel.counting import counted
from steerlens.data.parallel.files import line_of, read_rows, write_rows
from steerlens.data.parallel.leaks import Leak, leaks
from steerlens.data.parallel.texts import ParallelText
from steerlens.data.rows import same_text
from steerlens.data.splits import place
from steerlens.errors import DataError, PairsError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

Need = Literal["english", "all", "any"]

_SHOWN = 5
"""The largest number of leaks that an error message names."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParallelCorpus(Sequence[ParallelText]):
    """An immutable ordered collection of parallel texts. Its methods return new collections.

    Raises:
        DataError: two rows have the same key.
    """

    rows: Sequence[ParallelText]
    """The parallel texts of the corpus."""
    name: str = "parallel texts"
    """The name of the corpus in tables and errors."""
    notes: Mapping[str, int] = field(default_factory=dict, compare=False)
    """The number of texts that a loader or a method left out, by reason. The notes are not part of the digest."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(self.rows))
        if len({row.key for row in self.rows}) < len(self.rows):
            often = Counter(row.key for row in self.rows).most_common(3)
            listed = ", ".join(f"{key!r} ({n} times)" for key, n in often if n > 1)
            raise DataError(
                f"{self.name}: several rows have the same key: {listed}. Expected each key once. Add each source only once."
            )

    @overload
    def __getitem__(self, index: int) -> ParallelText: ...

    @overload
    def __getitem__(self, index: slice) -> "ParallelCorpus": ...

    def __getitem__(self, index: int | slice) -> "ParallelText | ParallelCorpus":
        return replace(self, rows=self.rows[index]) if isinstance(index, slice) else self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[ParallelText]:
        return iter(self.rows)

    def __add__(self, other: "ParallelCorpus") -> "ParallelCorpus":
        notes = dict(Counter(self.notes) + Counter(other.notes))
        return ParallelCorpus((*self.rows, *other.rows), f"{self.name} + {other.name}", notes)

    def __repr__(self) -> str:
        where = f" in {', '.join(self.locales)}" if self.locales else ""
        return f"ParallelCorpus({self.name!r}: {len(self):,} rows{where})"

    @property
    def locales(self) -> tuple[str, ...]:
        """The codes of the locales, in the order of their first text."""
        return tuple(dict.fromkeys(code for row in self.rows for code in row.texts))

    def where(self, keep: Callable[[ParallelText], bool]) -> "ParallelCorpus":
        """Returns the rows for which ``keep`` returns true. Example: ``corpus.where(lambda row: row.source == "atlas")``."""
        return replace(self, rows=tuple(filter(keep, self.rows)))

    def only(self, locales: Iterable[str] | str, *, need: Need = "english") -> "ParallelCorpus":
        """Returns the texts in English and in the given locales, from the rows that contain the texts that ``need`` requires.

        Args:
            locales: the codes of the locales.
            need: the rows that are kept. ``english`` keeps rows with a text in English and in at least one of the locales. These
                rows are needed to align each language with English. ``all`` keeps rows with a text in English and in every one of
                the locales. ``any`` keeps rows with a text in one of the locales, for example the instructions of ``aya``. With
                ``any``, English texts are kept only if ``locales`` contains English.

        Raises:
            UnknownNameError: no row has a text in one of the locales, or ``need`` is another word.
        """
        asked = dict.fromkeys((locales,) if isinstance(locales, str) else locales)
        for code in asked:
            if code not in self.locales:
                raise UnknownNameError("locale", code, self.locales, f"These are the locales of {self.name}.")
        if need not in get_args(Need):
            raise UnknownNameError("need", need, get_args(Need))
        kept = tuple(asked) if need == "any" else (ENGLISH, *(code for code in asked if code != ENGLISH))
        return replace(self, rows=tuple(_restricted(row, kept) for row in self.rows if _enough(row, kept, need)))

    def pairs(self, locale: str, with_: str = ENGLISH) -> list[tuple[str, str]]:
        """Returns pairs of a text in one locale and the same text in another locale, from the rows that contain both texts. A
        question is followed by its answer.

        Args:
            locale: the code of the locale of the first text.
            with_: the code of the locale of the second text.

        Raises:
            PairsError: no row contains texts in both locales.
        """
        found = [(row.full(locale), row.full(with_)) for row in self.rows if locale in row.texts and with_ in row.texts]
        if not found:
            raise PairsError(
                f"{self.name}: no row contains both a text in {locale} and a text in {with_}. The locales are "
                f"{', '.join(self.locales)}. Load the texts with both locales."
            )
        return found

    def sample(self, n: int | None, *, seed: int = 0) -> "ParallelCorpus":
        """Returns ``n`` rows in the order of the corpus. ``None``, or an ``n`` above the number of rows, gives all rows. ``seed``
        and the key of a row decide whether the row is drawn, so a smaller sample is part of a larger sample."""
        if n is None or n >= len(self):
            return self
        drawn = sorted(self.rows, key=lambda row: place(seed, f"parallel/{row.key}"))[: max(n, 0)]
        chosen = {row.key for row in drawn}
        return self.where(lambda row: row.key in chosen)

    def shuffled(self, seed: int = 0) -> "ParallelCorpus":
        """Returns the rows in a random order, which depends on ``seed``."""
        rows = list(self.rows)
        random.Random(seed).shuffle(rows)
        return replace(self, rows=tuple(rows))

    def deduplicated(self) -> "ParallelCorpus":
        """Returns the corpus with each text only once in a locale. The first row with a text keeps the text.

        Texts are compared together with their answers. Case and differences in white space are ignored. A later row loses only
        the repeated text and keeps its other texts. A row is removed if its English text is removed, or if only one of several
        texts is left. A row with one text does not show how languages correspond. ``notes`` counts the removed texts and the
        removed rows.
        """
        seen: set[tuple[str, str]] = set()
        rows, notes = [], Counter(self.notes)
        for row in self.rows:
            forms = {code: same_text(row.full(code)) for code in row.texts}
            fresh = [code for code, form in forms.items() if (code, form) not in seen]
            lost = len(forms) - len(fresh)
            if not fresh or (lost and (len(fresh) == 1 or (ENGLISH in forms and ENGLISH not in fresh))):
                notes["rows repeated, left out"] += 1
                continue
            if lost:
                notes.update(f"{code}: text repeated, left out" for code in forms if code not in fresh)
            seen.update((code, forms[code]) for code in fresh)
            rows.append(_restricted(row, fresh) if lost else row)
        return replace(self, rows=tuple(rows), notes=dict(notes))

    def counts(self) -> "pd.DataFrame":
        """Returns a table with one row per source and locale.

        Returns:
            A data frame with the columns ``source``, ``license``, ``locale``, ``texts``, ``answers``, ``length`` and ``unit``.
            ``texts`` and ``answers`` are numbers of texts and answers, and ``length`` is the length of all texts with their
            answers. The unit of the length is ``words``, or ``characters`` in Korean and in languages that write no spaces
            between words.
        """
        return counted(self.rows)

    def digest(self) -> str:
        """Returns the SHA-256 digest of all rows, in order."""
        sum_ = hashlib.sha256()
        for row in self.rows:
            sum_.update(f"{line_of(row)}\n".encode())
        return sum_.hexdigest()

    def save(self, path: str | Path) -> Path:
        """Writes the rows as JSON Lines, in UTF-8.

        Args:
            path: the file that is written.

        Returns:
            The path.

        Raises:
            FileError: the file cannot be written.
        """
        return write_rows(path, self.rows)

    @classmethod
    def load(cls, path: str | Path) -> "ParallelCorpus":
        """Reads a corpus that ``save`` wrote, or your own file. Each line has the fields ``key`` and ``texts``, and optionally
        ``answers``, ``source``, ``license`` and ``concept``. In ``texts`` and ``answers``, the keys are locale codes.

        Args:
            path: the file, in UTF-8.

        Raises:
            FileError: the file does not exist or is not UTF-8.
            DataError: lines contain errors. The message gives the file, line, field, given value and expected value of each
                error.
        """
        return cls(read_rows(path), Path(path).name)

    def leaks(self, items: Items, n: int = 8) -> list[Leak]:
        """Returns the rows that reveal answers of items. Training on these rows would teach the model the answers that are tested
        later.

        A row is found for one of three reasons, which are named in ``why``:

        ``concept``
            The row belongs to a concept of the items. Wordings of one concept count as the same concept, and so do ids that are
            the same up to ``#``.
        ``name``
            A text contains the answer and also every part of the question outside its frame. The frame consists of the words that
            many questions share. Within the item's relation, a word belongs to the frame if it occurs in the questions of at
            least two concepts and of at least a tenth of the concepts. Among all concepts, a word belongs to the frame if it
            occurs in the questions of at least ten concepts and of at least a twentieth of the concepts. Without its frame, the
            question "What is the capital of Japan?" is "Japan". The text "Tokyo has been Japan's capital since 1868" is therefore
            found. A question without a relation must have at least two words or four characters outside its frame. Cultural
            questions are not searched in this way.
        ``n-gram``
            A text contains the answer and also ``n`` words in a row from a question without a relation, or all words of a shorter
            question. Words in a row that also occur in a question of another concept are not used.

        A frame alone and a frame with another answer are not leaks. For example, "What is the capital of Thailand? Bangkok"
        reveals nothing about Japan. An answer alone and a question without its answer are not leaks.

        Texts are compared with the items of the same language. Give items that include English, because a row in English can
        teach the answer to a question in Spanish. Give items with several wordings (``atlas(wordings=3)``), because frames are
        then recognized better. Only complete words are compared, and case and accents are ignored. An inflected name
        (``Ιαπωνίας`` for ``Ιαπωνία``) or a synonym of the answer is therefore not found. The row is still found if its text in
        another language reveals the answer. Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese are compared by characters,
        so a name can be found inside a longer word. All names of an item's answer are searched, except names without letters,
        digits or a currency sign. A text that contains the subject and the answer for another reason ("Tokyo is a city in Japan")
        is also found, because losing a row is better than keeping a leak.

        Args:
            items: the items whose answers the corpus must not reveal, such as ``split.test``. Use a second call for the items on
                which plans are chosen, such as ``split.dev``.
            n: the length of an n-gram in words, or in characters if words are not separated by spaces.

        Returns:
            A list with one leak for each row and concept.

        Raises:
            SettingsError: ``n`` is below 2.
        """
        return leaks(self.rows, items, n)

    def without_leaks(self, items: Items, n: int = 8) -> "ParallelCorpus":
        """Returns the corpus without the rows that ``leaks`` finds. The number of removed rows is logged and stored in ``notes``.

        Args:
            items: the items whose answers the corpus must not reveal.
            n: the length of an n-gram, as in ``leaks``.

        Raises:
            SettingsError: ``n`` is below 2.
        """
        found = self.leaks(items, n)
        keys = {leak.key for leak in found}
        by_reason = Counter(f"rows that leak by {leak.why}, left out" for leak in {leak.key: leak for leak in found}.values())
        _log.info(
            "%s: %d of %d rows reveal answers to questions of %s; these rows are left out",
            self.name,
            len(keys),
            len(self),
            items.name,
        )
        return replace(self.where(lambda row: row.key not in keys), notes=dict(Counter(self.notes) + by_reason))

    def check(self, items: Items, n: int = 8) -> None:
        """Raises an error if a row of the corpus reveals an answer of the items. ``leaks`` describes which rows are found.

        Args:
            items: the items whose answers the corpus must not reveal.
            n: the length of an n-gram, as in ``leaks``.

        Raises:
            DataError: a row reveals an answer. The message names the first of these rows.
            SettingsError: ``n`` is below 2.
        """
        if found := self.leaks(items, n):
            listed = "\n".join(f"  {leak}" for leak in found[:_SHOWN])
            more = f"\n  … and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
            raise DataError(
                f"{self.name} reveals answers to questions of {items.name}, in {len({leak.key for leak in found}):,} of "
                f"{len(self):,} rows. Train on corpus.without_leaks(items) instead:\n{listed}{more}"
            )


def _restricted(row: ParallelText, codes: Collection[str]) -> ParallelText:
    """Returns the row with only its texts in the given locales."""
    texts, answers = ({code: text for code, text in some.items() if code in codes} for some in (row.texts, row.answers))
    return replace(row, texts=texts, answers=answers)


def _enough(row: ParallelText, kept: Sequence[str], need: Need) -> bool:
    """Returns whether a row has the texts that ``need`` requires: in any kept locale, in all kept locales, or in English and
    another locale."""
    held = [code in row.texts for code in kept]
    if need == "english":
        return held[0] and any(held[1:])
    return all(held) if need == "all" else any(held)
