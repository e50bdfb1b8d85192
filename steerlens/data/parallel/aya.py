"""Loads the Aya data set: instructions and answers that people wrote in 65 languages. The texts are not translations of each
other."""

from collections.abc import Iterable
from pathlib import Path

from steerlens.data.locales import locale
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.iso import known, language, macrolanguage
from steerlens.data.public.hub import Source, checked, need_columns, rows
from steerlens.data.public.languages import chosen
from steerlens.progress import progress

_ID = "CohereLabs/aya_dataset"
_TRADITIONAL = "Traditional"
"""The first word of the name of a language that is written in traditional Chinese characters."""


def aya(
    locales: Iterable[str],
    *,
    split: str = "train",
    prompt: bool = True,
    revision: str | None = None,
    path: str | Path | None = None,
) -> ParallelCorpus:
    """Returns the instructions of the Aya data set (arXiv 2402.06619) with their answers. Each instruction is in one locale only.

    Use the instructions to tune a model in several languages. Methods that align languages cannot learn from these texts.

    Args:
        locales: locale codes, or language codes of the data set, such as ``spa``. English is included only if it is named.
        split: ``train`` or ``test``.
        prompt: whether each instruction is written as a question, between the locale's words for "Question" and "Answer".
            ``False`` uses the instruction alone.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, or no text can be used.
        UnknownNameError: one of the given locales is not in the data set.
    """
    source, collecting = checked(Source(_ID, revision or "main", path)), Collecting("aya", "Apache 2.0")
    wanted = chosen(locales, {code: language(code) for code in known()}, "Aya", english=False)
    codes = {(name, locale(code).script == "Hant"): code for code in wanted for name in (language(code), macrolanguage(code))}
    with progress(0, "aya", "row") as bar:
        for number, (place, row) in enumerate(rows(source, "default", split), 1):
            bar.update()
            if number == 1:
                need_columns(place, row, ("inputs", "targets", "language", "language_code"))
            code = codes.get((str(row["language_code"]), str(row["language"]).startswith(_TRADITIONAL)))
            asked, answer = (str(row[name] or "").strip() for name in ("inputs", "targets"))
            if code is None:
                collecting.drop("rows in other languages")
            elif not asked or not answer:
                collecting.drop(f"{code}: no instruction or no answer")
            else:
                text = locale(code).prompt(asked) if prompt else asked
                collecting.add(f"{split}/{number}", {code: text}, {code: answer})
    return collecting.finish()
