"""Data sets of pairs with English, a language each: translations of the same English text are joined in one row."""

from steerlens.data.locales import ENGLISH, locale
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.rows import same_text
from steerlens.data.scripts import foreign


class Bilingual:
    """Pairs of an English text and its translation, from which a corpus comes: a row for each English text."""

    def __init__(self, name: str, license: str) -> None:
        self._collecting = Collecting(name, license)
        self._rows: dict[str, tuple[str, dict[str, str]]] = {}
        """The key and the texts of a row, by its English in the form in which texts count as the same."""

    def add(self, key: str, english: str, code: str, text: str) -> None:
        """Adds a pair, or counts why it is left out.

        Args:
            key: the row's key, if no pair before had the same English.
            english: the English text.
            code: the locale of the translation.
            text: the translation.
        """
        english, text = " ".join(english.split()), " ".join(text.split())
        if why := unusable(english, code, text):
            self.drop(code, why)
            return
        _, texts = self._rows.setdefault(same_text(english), (key, {ENGLISH: english}))
        if code in texts:
            self.drop(code, "another translation of the same English")
        else:
            texts[code] = text

    def drop(self, code: str, why: str) -> None:
        """Counts a pair that is left out."""
        self._collecting.drop(f"{code}: {why}")

    def finish(self) -> ParallelCorpus:
        """All rows, as ``Collecting.finish`` gives them.

        Raises:
            DataError: there is none.
        """
        for key, texts in self._rows.values():
            self._collecting.add(key, texts)
        return self._collecting.finish()


def unusable(english: str, code: str, text: str) -> str:
    """Why a translation cannot be used, or nothing."""
    if not english or not text:
        return "empty text"
    if same_text(english) == same_text(text):
        return "same as English"
    return "in another script than its locale's" if foreign(text, locale(code).script) else ""
