"""Joins data sets in which each language has a separate file of pairs with English. All translations of the same English text
become one row."""

from steerlens.data.locales import ENGLISH, locale
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.rows import same_text
from steerlens.data.scripts import foreign


class Bilingual:
    """Collects pairs of an English text and its translation, and makes a corpus with one row for each English text."""

    def __init__(self, name: str, license: str) -> None:
        self._collecting = Collecting(name, license)
        self._rows: dict[str, tuple[str, dict[str, str]]] = {}
        """The key and the texts of each row, by the English text. The English text is normalized, so that equal texts are
        recognized."""

    def add(self, key: str, english: str, code: str, text: str) -> None:
        """Adds a pair. If the pair cannot be used, counts the reason.

        Args:
            key: the key of the row. The key is used only if no earlier pair has the same English text.
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
        """Returns a corpus of all rows, as ``Collecting.finish`` does.

        Raises:
            DataError: there are no rows.
        """
        for key, texts in self._rows.values():
            self._collecting.add(key, texts)
        return self._collecting.finish()


def unusable(english: str, code: str, text: str) -> str:
    """Returns the reason why a translation cannot be used, or an empty text if the translation can be used."""
    if not english or not text:
        return "empty text"
    if same_text(english) == same_text(text):
        return "same as English"
    return "in another script than its locale's" if foreign(text, locale(code).script) else ""
