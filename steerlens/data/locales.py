"""Locales: a language together with the culture that a question asked in it implies."""

from dataclasses import dataclass

from steerlens.errors import UnknownNameError

ENGLISH = "en-US"
"""The locale that transfer is measured from and that an English-centric answer belongs to."""


@dataclass(frozen=True)
class Locale:
    """How questions are put in one locale."""

    code: str
    """BCP 47 code, as in ``es-ES``."""
    language: str
    """English name of the language."""
    country: str
    """English name of the country whose everyday life the locale stands for."""
    question: str
    """The word for "Question", with its colon."""
    answer: str
    """The word for "Answer", with its colon."""
    choose: str
    """The instruction of the letter format: answer with one letter."""
    space: str = " "
    """What stands between the prompt and its answer. Chinese writes none after a full-width colon."""

    def prompt(self, question: str) -> str:
        """The open prompt: question and answer cue. It ends without white space, which belongs to the answer."""
        return f"{self.question}{self.space}{question}\n{self.answer}"


_LOCALES = {
    locale.code: locale
    for locale in (
        Locale("en-US", "English", "United States", "Question:", "Answer:", "Answer with one letter."),
        Locale("es-ES", "Spanish", "Spain", "Pregunta:", "Respuesta:", "Responde con una sola letra."),
        Locale("zh-CN", "Chinese", "China", "问题：", "答案：", "请用一个字母回答。", space=""),
        Locale("id-ID", "Indonesian", "Indonesia", "Pertanyaan:", "Jawaban:", "Jawab dengan satu huruf."),
        Locale("ko-KR", "Korean", "South Korea", "질문:", "답변:", "한 글자로 답하세요."),
        Locale("ar-EG", "Arabic", "Egypt", "سؤال:", "جواب:", "أجب بحرف واحد."),
        Locale("el-GR", "Greek", "Greece", "Ερώτηση:", "Απάντηση:", "Απάντησε με ένα γράμμα."),
    )
}


def known_locales() -> tuple[str, ...]:
    """Codes of the locales that prompts can be written in, English first."""
    return tuple(_LOCALES)


def locale(code: str) -> Locale:
    """The locale of a code.

    Raises:
        UnknownNameError: no such locale; the nearest codes are offered.
    """
    if code not in _LOCALES:
        raise UnknownNameError("locale", code, _LOCALES, "Add your own with steerlens.data.add_locale.")
    return _LOCALES[code]


def add_locale(new: Locale) -> None:
    """Makes a locale of the user's own known for this process, or replaces one of the built-in ones."""
    _LOCALES[new.code] = new
