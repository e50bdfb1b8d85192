"""Loads MKQA, which has open questions in 26 languages, and adds choices to the questions."""

import gzip
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from steerlens.data.items import Item, Items
from steerlens.data.lines import lines_of, parsed
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import need_path
from steerlens.data.public.languages import chosen, of_codes
from steerlens.data.rows import same_text
from steerlens.errors import DataError, FileError, SettingsError
from steerlens.storage import is_parsed

_LANGUAGES = of_codes("ar da de en es fi fr he hu it ja km ko ms nl no pl pt ru sv th tr vi zh_cn zh_hk zh_tw")
_WITHOUT_TEXT = {"unanswerable", "long_answer", "binary"}
"""The types of answers from which choices cannot be made: questions without an answer, without a short text, or with only yes and
no."""
_LEAST, _FOLD = 1 << 26, 50
"""The limits for unpacking a file: a number of bytes, and a multiple of the size of the file. The larger limit applies."""
_REPOSITORY = "git clone https://github.com/apple/ml-mkqa (file dataset/mkqa.jsonl.gz)"


def mkqa(
    locales: Iterable[str], *, path: str | Path | None = None, choices: int = 4, seed: int = 0, revision: str | None = None
) -> Items:
    """Returns the factual items of MKQA (arXiv 2007.15207). The items are parallel by the id of the example.

    MKQA contains no wrong choices. As wrong choices of a question, this function takes the answers of other questions with the
    same type of answer (entity, date, number …). The wrong choices are the same in every language. A right answer of a
    question, or an alias of a right answer, is never a wrong choice. A later example with the same question is left out, and
    its answers also count as right answers.

    Args:
        locales: locales or language codes. English is always included.
        path: the file ``mkqa.jsonl.gz``, the unpacked file, or a folder that contains one of these files.
        choices: the number of choices of an item.
        seed: the seed with which wrong choices are drawn.
        revision: must be ``None``. To use a fixed version, check out a commit in the folder.

    Raises:
        FileError: the file does not exist or cannot be unpacked.
        DataError: a line does not have the format of MKQA.
        SettingsError: ``path`` is not given, ``revision`` is given, or ``choices`` is below 2.
        UnknownNameError: one of the given locales is not in the data set.
    """
    if revision is not None:
        raise SettingsError(
            "revision given for MKQA, which is read from a file: expected no revision. Check out the wanted commit of this "
            "file, and remove the argument revision."
        )
    if choices < 2:
        raise SettingsError(f"choices={choices} given: expected at least 2.")
    file, gathering = _file(need_path("MKQA", path, _REPOSITORY)), Gathering("mkqa")
    wanted = chosen(locales, _LANGUAGES, "MKQA")
    usable: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    asked: dict[str, list[dict[str, Any]]] = {}
    for place, row in _rows(file):
        kind = _type(place, row, wanted)
        if kind in _WITHOUT_TEXT:
            gathering.notes[f"answer is {kind}"] += 1
        elif not all(_answer(row, name) for name in row["answers"]):  # every language is checked
            gathering.notes["no answer text in one of the languages"] += 1
        else:
            usable.setdefault(kind, []).append((place, row))
            asked.setdefault(_query(row), []).append(row)
    for rows in usable.values():
        for index, (_, row) in enumerate(rows):
            first, *again = asked[_query(row)]
            if row is first:
                _add(gathering, wanted, rows, index, again, (choices, seed))
            else:
                gathering.notes["question of an earlier example"] += 1
    return gathering.finish()


def _file(root: Path) -> Path:
    found = [root] if root.is_file() else sorted([*root.rglob("mkqa.jsonl.gz"), *root.rglob("mkqa.jsonl")])
    if not found:
        raise FileError(f"no mkqa.jsonl.gz in {root}: expected the file of MKQA.")
    return found[0]


def _rows(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        for number, line in enumerate(_lines(file), 1):
            row = parsed(line)
            if isinstance(row, str) or not {"example_id", "queries", "answers"} <= row.keys():
                given = row if isinstance(row, str) else f"fields {', '.join(row)}"
                raise DataError(f"{file.name}:{number}: {given}; expected an object with example_id, queries and answers.")
            if not is_parsed(row["queries"], dict[str, Any]) or not _are_answers(row["answers"]):
                raise DataError(
                    f"{file.name}:{number}: the field queries or the field answers has another form; expected, for each "
                    "language, a text as the query, and a list of answers with text, aliases and type."
                )
            yield f"{file.name}:{number}", row
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise FileError(f"cannot read {file}: {error}. Expected the complete file of MKQA, in gzipped JSON Lines.") from error
    if number == 0:
        raise DataError(f"{file} is empty: expected one question per line.")


def _lines(file: Path) -> Iterator[str]:
    if file.suffix != ".gz":
        yield from lines_of(file)
        return
    left = max(_LEAST, _FOLD * file.stat().st_size)
    with gzip.open(file) as packed:
        while line := packed.readline(left + 1):
            left -= len(line)
            if left < 0:
                raise ValueError("its content is far larger than a file of this size should contain")
            yield line.decode("utf-8")


def _are_answers(given: Any) -> bool:
    """Returns whether a value contains a list of answers for each language."""
    if not is_parsed(given, dict[str, tuple[dict[str, Any], ...]]):
        return False
    each = [answer for answers in given.values() for answer in answers]
    return all(given.values()) and all(isinstance(answer.get("aliases"), list | None) for answer in each)


def _type(place: str, row: dict[str, Any], wanted: dict[str, str]) -> str:
    for name in wanted.values():
        if not row["answers"].get(name) or name not in row["queries"]:
            raise DataError(f"{place}: no query or no answers in {name!r}; expected a query and answers in every language.")
    return str(row["answers"][next(iter(wanted.values()))][0].get("type"))


def _query(row: dict[str, Any]) -> str:
    """Returns the English text of the question. Two examples with the same English text count as one question, whatever locales
    are wanted."""
    return same_text(str(row["queries"]["en"]))


def _answer(row: dict[str, Any], name: str) -> str:
    return str(row["answers"][name][0].get("text") or "").strip()


def _add(
    gathering: Gathering,
    wanted: dict[str, str],
    rows: Sequence[tuple[str, dict[str, Any]]],
    index: int,
    again: Sequence[dict[str, Any]],
    draw: tuple[int, int],
) -> None:
    """Adds an example's item in every locale.

    Args:
        rows: the examples with the same type of answer, from which the wrong choices are drawn.
        index: the index of the example in ``rows``.
        again: the later examples of the same question, whose answers are also right.
        draw: the number of choices, and the seed with which wrong choices are drawn.
    """
    place, row = rows[index]
    concept = str(row["example_id"])
    drawn = random.Random(f"{draw[1]}/{concept}")
    others = drawn.sample(range(len(rows)), min(len(rows), 8 * draw[0]))
    # an alias of the answer is not a wrong choice, and choices must differ in every language of MKQA
    picked = [index]
    for other in others:
        if len(picked) < draw[0] and all(_differ(rows[other][1], one) for one in [*(rows[at][1] for at in picked), *again]):
            picked.append(other)
    if len(picked) < draw[0]:
        gathering.notes["too few other answers of its type"] += 1
        return
    drawn.shuffle(picked)
    kind = _type(place, row, wanted)
    for code, name in wanted.items():
        texts = tuple(_answer(rows[one][1], name) for one in picked)
        question = str(row["queries"][name]).strip()
        item = Item(concept, "factual", code, question, texts, picked.index(index), topic=kind, source="MKQA")
        gathering.add(f"{place}", item)


def _differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Returns whether two questions have no common answer in any language. All languages are compared, so the drawn choices do
    not depend on the loaded locales."""
    return all(not (_names(one, name) & _names(other, name)) for name in one["answers"].keys() & other["answers"].keys())


def _names(row: dict[str, Any], name: str) -> set[str]:
    texts = (text for answer in row["answers"][name] for text in (answer.get("text"), *(answer.get("aliases") or ())))
    return {same_text(str(text)) for text in texts if text}
