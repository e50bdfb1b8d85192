"""Writes the answers of one country in the words of another country. The words come from the answers of the other country's
people."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from steerlens.data.public.blend_files import Answer, Asked
from steerlens.data.public.implicit import capital
from steerlens.data.rows import same_text
from steerlens.data.scripts import foreign


class Words:
    """The pairs of a word in the country's language and its English translation, from all answers of the people of one
    country."""

    def __init__(self, asked: Mapping[str, Asked], *, english: bool, script: str = "Latn") -> None:
        self._english, self._script = english, script
        self._uses: Counter[str] = Counter()
        self._best: dict[str, tuple[tuple[bool, bool, bool, int], str]] = {}
        for answer in (answer for one in asked.values() for answer in one.answers):
            self._uses.update({same_text(own): answer.votes for own in answer.own})
            for word in answer.english:
                for own in answer.own:
                    # a single pair is a translation; with several words, it is not known which words belong together
                    alone = len(answer.own) == 1
                    weight = (same_text(own) == same_text(word), alone, alone and len(answer.english) == 1, answer.votes)
                    if weight > self._best.get(same_text(word), ((False, False, False, -1), ""))[0]:
                        self._best[same_text(word)] = (weight, own)

    def render(self, answer: Answer, here: Asked) -> str | None:
        """Returns an answer of another country in the words of this country, or ``None`` if the words cannot be found.

        Args:
            answer: the answer of the other country.
            here: the same question in this country. The answers in this country are searched first, so equal answers have equal
                texts.
        """
        wanted = set(map(same_text, answer.english))
        for own in here.answers:
            if wanted & set(map(same_text, own.english)) and own.own:
                return shown(own, self._script)
        if self._english and answer.english:  # takes the word that the people of this country use most
            return self._same_here(max(answer.english, key=lambda word: self._uses[same_text(word)]), here)
        for word in answer.english:
            if not any(map(str.isalpha, word)):
                return self._same_here(word, here)
            if same_text(word) in self._best:
                return self._same_here(self._best[same_text(word)][1], here)
        return None

    def _same_here(self, text: str, here: Asked) -> str:
        group = next((own for own in here.answers if same_text(text) in map(same_text, own.own)), None)
        return shown(group, self._script) if group else capital(text)


def shown(answer: Answer, script: str = "Latn") -> str:
    """Returns the word that is shown for an answer: the first word in the script of the language, in the spelling with accents.

    Args:
        answer: an answer that people gave.
        script: the ISO 15924 code of the script in which the language is written.
    """
    return _spelled([word for word in answer.own if not foreign(word, script)] or answer.own)


def votes(text: str, here: Asked) -> int:
    """Returns the number of people who gave this answer."""
    return sum(answer.votes for answer in here.answers if same_text(text) in map(same_text, answer.own))


def _spelled(words: Iterable[str]) -> str:
    first, *others = words
    accented = [word for word in others if _plain(word) == _plain(first)]
    return max([first, *accented], key=lambda word: sum(not letter.isascii() for letter in word))


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
