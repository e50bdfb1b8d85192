"""A parallel text, which is one text in several languages."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from steerlens.data.locales import locale as known_locale
from steerlens.errors import DataError, UnknownNameError


@dataclass(frozen=True, slots=True)  # a corpus may contain millions of texts
class ParallelText:
    """A sentence, or a question with its answer, in one or more locales.

    Raises:
        DataError: the key or all texts are missing, or an answer is in a locale without a text. The error is also raised if a
            text or an answer is empty or has white space at its beginning or end.
        UnknownNameError: a locale is unknown.
    """

    key: str
    """The key that identifies the row in its corpus, for example ``atlas/capital-JP#2``."""
    texts: Mapping[str, str] = field(hash=False)
    """The text in each locale, by the code of the locale. A text is a plain sentence, or a question as the model gets it, up to
    the word for "Answer"."""
    answers: Mapping[str, str] = field(default_factory=dict, hash=False)
    """The answer to the question, by the code of the locale. The mapping is empty for a plain sentence."""
    source: str = ""
    """The source of the row, for example ``atlas`` or ``flores-plus``."""
    license: str = ""
    """The licence of the source, for example ``CC BY-SA 4.0``."""
    concept: str = ""
    """The id of the concept of the row, without the number of the wording. The id is empty for a row without a concept."""

    def __post_init__(self) -> None:
        if not self.key or not self.texts:
            raise DataError(f"row {self.key!r} with texts {dict(self.texts)!r:.80} given: expected a key and at least one text.")
        for name in ("texts", "answers"):
            given = dict(getattr(self, name))
            for code, text in given.items():
                known_locale(code)
                if not isinstance(text, str) or not text or text != text.strip():
                    raise DataError(
                        f"row {self.key!r} has {text!r:.60} in the field {name} ({code}): expected a text without white space "
                        "at its beginning or end. Leave out a locale that has no text."
                    )
            object.__setattr__(self, name, given)
        if lost := [code for code in self.answers if code not in self.texts]:
            raise DataError(
                f"row {self.key!r} has an answer but no text in {', '.join(lost)}: expected a question for each answer. Add "
                "the question."
            )

    @property
    def locales(self) -> tuple[str, ...]:
        """The codes of the locales in which the row has a text."""
        return tuple(self.texts)

    def full(self, locale: str) -> str:
        """Returns the text in a locale, followed by the answer if there is an answer. A space separates text and answer, except
        in Chinese.

        Args:
            locale: the code of the locale.

        Raises:
            UnknownNameError: the row has no text in the locale.
        """
        if locale not in self.texts:
            raise UnknownNameError("locale", locale, self.texts, f"These are the locales of row {self.key!r}.")
        text, answer = self.texts[locale], self.answers.get(locale)
        return f"{text}{known_locale(locale).space}{answer}" if answer else text
