"""Loads BMLAMA: facts with a blank to fill in. A fact is on the same line in the files of all languages."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from steerlens.data.items import Item, Items
from steerlens.data.lines import lines_of
from steerlens.data.locales import ENGLISH
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import need_path
from steerlens.data.public.languages import chosen, of_codes
from steerlens.data.rows import same_text
from steerlens.errors import DataError, FileError, SettingsError

BLANK = "___"
"""The text in a question in place of the word that is asked for."""
_MASK = "<mask>"
_COLUMNS = ["Prompt", "Ans", "Candidate Ans", "Subject"]
_LANGUAGES = of_codes(
    "af ar az be bg bn ca ceb cs cy da de el en es et eu fa fi fr ga gl he hi hr hu hy id it ja ka ko la lt lv ms nl pl pt ro ru "
    "sk sl sq sr sv ta th tr uk ur vi zh"
)
_OPEN = "[X] maintains diplomatic relations with ___."
"""A relation for which nearly every candidate is a right answer, although the file lists only some right answers."""
_MUTUAL = ("[X] and ___ are twin cities.", "[X] shares border with ___.")
"""The relations that are true in both directions, although the file lists many of their facts in one direction only."""
_LANGUAGE, _MANY = "The official language of [X] is ___.", 4
"""The relation of official languages, and a number of languages. If a place has more official languages, the file does not list
all of them."""
_REPOSITORY = "git clone https://github.com/Betswish/Cross-Lingual-Consistency (folder 1_easyrun/BMLAMA53)"


@dataclass(frozen=True, slots=True)
class _Fact:
    """One line of a file: a question, one of the right answers, and the candidates, which include the right answer."""

    question: str
    candidates: tuple[str, ...]
    right: int
    """The index of the right answer in ``candidates``."""
    subject: str

    @property
    def answer(self) -> str:
        """The text of the right answer."""
        return self.candidates[self.right]

    @property
    def relation(self) -> str:
        """The question with ``[X]`` in place of its subject."""
        return self.question.replace(self.subject, "[X]", 1) if self.subject else self.question


def bmlama(
    locales: Iterable[str], *, path: str | Path | None = None, choices: int = 4, seed: int = 0, revision: str | None = None
) -> Items:
    """Returns the factual items of BMLAMA-53 (arXiv 2310.10378). Items are parallel by line number, and the blank is written
    ``___``.

    In the files, a question with several right answers has one line for each answer ("The official language of Switzerland is
    ..."). The lines of a question become one concept, whose id is the number of the first line. The concept has one item in each
    locale, with the answer of the first line. Further lines of the question are counted in ``notes``, and their answers are never
    choices of the item. Some relations are true in both directions. For example, Kansas shares a border with Missouri, so Kansas
    is not used as a wrong answer about Missouri. Questions to which nearly every candidate is a right answer are left out and
    counted. Such questions ask about diplomatic relations, or about the official language of a place with more than four official
    languages.

    The English file decides which lines ask the same question. Concepts and choices therefore do not depend on the wanted
    locales.

    Args:
        locales: locales or language codes. English is always included.
        path: the folder with files such as ``en.tsv``, or a folder that contains this folder. The data set is not on the hub.
        choices: the number of candidates of a fact, including the answer, that become choices. A fact with fewer candidates has
            fewer choices.
        seed: the seed with which choices are drawn. The same positions of the list of candidates are taken in every language, in
            the same order.
        revision: must be ``None``. To use a fixed version, check out a commit in the folder.

    Raises:
        FileError: the folder or a file does not exist, or a file is not UTF-8.
        DataError: a line does not have the format of the data set, or an answer is not a candidate.
        SettingsError: ``path`` is not given, ``revision`` is given, or ``choices`` is below 2.
        UnknownNameError: one of the given locales is not in the data set.
    """
    if revision is not None:
        raise SettingsError(
            "revision given for BMLAMA, which is read from a folder: expected no revision. Check out the wanted commit in this "
            "folder, and remove the argument revision."
        )
    if choices < 2:
        raise SettingsError(f"choices={choices} given: expected at least 2.")
    root, gathering = need_path("BMLAMA", path, _REPOSITORY), Gathering("bmlama")
    wanted = chosen(locales, _LANGUAGES, "BMLAMA")
    english = _facts(gathering, root, wanted[ENGLISH])
    questions, mutual = _questions(english), _mutual(english.values())
    closed = [lines for lines in questions if not _open([english[line] for line in lines])]
    draws = {}
    for lines in closed:
        asked = english[lines[0]]
        right = {same_text(english[line].answer) for line in lines}
        right |= mutual.get((asked.relation, same_text(asked.subject)), set())
        draws[lines[0]] = _places(asked, right, _concept(lines[0]), (choices, seed))
    first = {line: lines[0] for lines in questions for line in lines}
    for code, name in wanted.items():
        facts = english if code == ENGLISH else _facts(gathering, root, name)
        _gather(gathering, code, facts, english, draws, first)
    return gathering.finish()


def _file(root: Path, name: str) -> Path:
    found = [root] if root.name == f"{name}.tsv" else sorted(root.rglob(f"{name}.tsv"))
    if not found:
        raise FileError(f"no {name}.tsv in {root}: expected the files of BMLAMA, one tab-separated file for each language.")
    if len(found) > 1:
        listed = ", ".join(str(file) for file in found[:4])
        raise FileError(
            f"{len(found)} files with the name {name}.tsv are in {root} ({listed}): expected only one file. Give the folder of "
            "one of these files as path."
        )
    return found[0]


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    number = 0
    for number, line in enumerate(lines_of(file), 1):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1:
            if cells != _COLUMNS:
                raise DataError(f"{file}: header {cells} given; expected {', '.join(_COLUMNS)}, separated by tabs.")
        elif any(cells):
            yield number, list(map(_unquoted, cells))
    if number == 0:
        raise DataError(f"{file} is empty: expected a header and one fact per line.")


def _unquoted(cell: str) -> str:
    """Returns the cell without the quotation marks that surround some cells in some files."""
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' and '""' in cell[1:-1] else cell


def _facts(gathering: Gathering, root: Path, name: str) -> dict[int, _Fact]:
    """Returns the facts of a language by line number. Lines in another format are recorded as faults."""
    facts = {}
    for line, cells in _rows(_file(root, name)):
        place = f"{name}.tsv:{line}"
        if len(cells) != len(_COLUMNS):
            gathering.reader.fault(place, "line", f"{len(cells)} cells", f"{len(_COLUMNS)}: {', '.join(_COLUMNS)}")
            continue
        prompt, answer, listed, subject = map(str.strip, cells)
        candidates = tuple(listed.split(", "))
        if prompt.count(_MASK) != 1:
            gathering.reader.fault(place, "Prompt", f"{prompt.count(_MASK)} times {_MASK}", "one")
        elif answer not in candidates:
            gathering.reader.fault(place, "Ans", f"{answer!r} given", f"one of {listed}")
        else:
            facts[line] = _Fact(prompt.replace(_MASK, BLANK), candidates, candidates.index(answer), subject)
    return facts


def _questions(facts: Mapping[int, _Fact]) -> list[list[int]]:
    """Returns the line numbers of each question."""
    asked: dict[str, list[int]] = {}
    for line, fact in facts.items():
        asked.setdefault(same_text(fact.question), []).append(line)
    return list(asked.values())


def _open(facts: Sequence[_Fact]) -> bool:
    """Returns whether the file lists only some of the right answers of a question, so other candidates may also be right."""
    relation = facts[0].relation
    return relation == _OPEN or (relation == _LANGUAGE and len({same_text(fact.answer) for fact in facts}) > _MANY)


def _mutual(facts: Iterable[_Fact]) -> dict[tuple[str, str], set[str]]:
    """Returns the subjects of facts by relation and answer, for the relations that are true in both directions."""
    found: dict[tuple[str, str], set[str]] = {}
    for fact in facts:
        if fact.relation in _MUTUAL:
            found.setdefault((fact.relation, same_text(fact.answer)), set()).add(same_text(fact.subject))
    return found


def _gather(
    gathering: Gathering,
    code: str,
    facts: Mapping[int, _Fact],
    english: Mapping[int, _Fact],
    draws: Mapping[int, list[int]],
    first: Mapping[int, int],
) -> None:
    """Adds the items of one locale.

    Args:
        facts: the locale's facts, by line.
        english: the English facts, by line.
        draws: the positions of the candidates that become choices, by the first line of each question.
        first: the first line of the same question, for each English line.
    """
    for line, fact in facts.items():
        # a question may have other words on later lines, and an answer is also right for the words of the first line
        for asked in {fact.question, facts.get(first.get(line, line), fact).question}:
            gathering.right(code, asked, fact.answer)
        if line not in first:
            gathering.drop(code, "no such line in the English file")
        elif (len(fact.candidates), fact.right) != (len(english[line].candidates), english[line].right):
            gathering.drop(code, "candidates not at the places of the English ones")
        elif first[line] not in draws:
            gathering.drop(code, "wrong choices that are right, too")
        elif first[line] != line:
            gathering.drop(code, "another right answer of a question")
        else:
            gathering.add(f"{code}:{line}", _item(code, line, fact, draws[line]))


def _concept(line: int) -> str:
    return str(line - 1)


def _item(code: str, line: int, fact: _Fact, places: list[int]) -> Item:
    drawn = tuple(fact.candidates[at] for at in places)
    tags = (f"subject:{fact.subject}",) if fact.subject else ()
    answer = places.index(fact.right)
    return Item(_concept(line), "factual", code, fact.question, drawn, answer, tags=tags, source="BMLAMA-53")


def _places(first: _Fact, right: set[str], concept: str, draw: tuple[int, int]) -> list[int]:
    """Returns the positions of the candidates that become choices, in the order of the choices. The positions depend only on the
    English facts of a question and the seed.

    Args:
        first: the fact on the first line of the question. The positions refer to its list of candidates.
        right: the texts that must not be wrong choices.
        concept: the id of the question's concept.
        draw: the number of choices, and the seed.
    """
    n, seed = draw
    drawn = random.Random(f"{seed}/{concept}")
    wrong = [at for at, candidate in enumerate(first.candidates) if same_text(candidate) not in right]
    places = [first.right, *drawn.sample(wrong, min(n - 1, len(wrong)))]
    drawn.shuffle(places)
    return places
