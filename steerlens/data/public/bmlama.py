"""BMLAMA: facts to fill in, the same on the same line in every language."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from steerlens.data.items import Item, Items
from steerlens.data.lines import lines_of
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import need_path
from steerlens.data.public.languages import chosen, of_codes
from steerlens.errors import DataError, FileError, SettingsError

BLANK = "___"
"""What stands in a question for the word that is asked for."""
_MASK = "<mask>"
_COLUMNS = ["Prompt", "Ans", "Candidate Ans", "Subject"]
_LANGUAGES = of_codes(
    "af ar az be bg bn ca ceb cs cy da de el en es et eu fa fi fr ga gl he hi hr hu hy id it ja ka ko la lt lv ms nl pl pt ro ru "
    "sk sl sq sr sv ta th tr uk ur vi zh"
)
_REPOSITORY = "git clone https://github.com/Betswish/Cross-Lingual-Consistency (folder 1_easyrun/BMLAMA53)"


def bmlama(
    locales: Iterable[str], *, path: str | Path | None = None, choices: int = 4, seed: int = 0, revision: str | None = None
) -> Items:
    """BMLAMA-53 (arXiv 2310.10378): factual items, parallel by line number; the blank is written ``___``.

    Args:
        locales: locales or language codes. English is always among the items.
        path: the folder with ``en.tsv`` and the like, or a folder above it; the data set is not on the hub.
        choices: how many of a fact's candidates, the answer among them, become its choices; fewer where it has fewer.
        seed: of the draw, which takes the same places of the candidate list, in the same order, in every language.
        revision: must be left out: check out the commit that you want.

    Raises:
        FileError: no such folder or file, or not UTF-8.
        DataError: a line that is not of the format, or an answer that is not a candidate.
        SettingsError: no ``path``, a ``revision``, or fewer than two choices.
        UnknownNameError: a locale that it does not have.
    """
    if revision is not None:
        raise SettingsError("BMLAMA is read from a folder: check out the commit that you want, and leave revision out.")
    if choices < 2:
        raise SettingsError(f"{choices} choices asked for: expected at least 2.")
    root, gathering = need_path("BMLAMA", path, _REPOSITORY), Gathering("bmlama")
    for code, name in chosen(locales, _LANGUAGES, "BMLAMA").items():
        for line, cells in _rows(_file(root, name)):
            _add(gathering, f"{name}.tsv:{line}", code, str(line - 1), cells, (choices, seed))
    return gathering.finish()


def _file(root: Path, name: str) -> Path:
    found = [root] if root.name == f"{name}.tsv" else sorted(root.rglob(f"{name}.tsv"))
    if not found:
        raise FileError(f"no {name}.tsv in {root}: expected BMLAMA's files, a tab-separated one per language.")
    if len(found) > 1:
        listed = ", ".join(str(file) for file in found[:4])
        raise FileError(f"{len(found)} files {name}.tsv in {root} ({listed}): give the folder of one of them as path.")
    return found[0]


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    number = 0
    for number, line in enumerate(lines_of(file), 1):
        cells = line.rstrip("\r\n").split("\t")
        if number == 1:
            if cells != _COLUMNS:
                raise DataError(f"{file}: header {cells} given; expected {', '.join(_COLUMNS)}, separated by tabs.")
        elif any(cells):
            yield number, cells
    if number == 0:
        raise DataError(f"{file} is empty: expected a header and a fact a line.")


def _add(gathering: Gathering, place: str, code: str, concept: str, cells: list[str], draw: tuple[int, int]) -> None:
    if len(cells) != len(_COLUMNS):
        gathering.reader.fault(place, "line", f"{len(cells)} cells", f"{len(_COLUMNS)}: {', '.join(_COLUMNS)}")
        return
    prompt, answer, listed, subject = map(str.strip, cells)
    candidates = listed.split(", ")
    if prompt.count(_MASK) != 1:
        gathering.reader.fault(place, "Prompt", f"{prompt.count(_MASK)} times {_MASK}", "one")
    elif answer not in candidates:
        gathering.reader.fault(place, "Ans", f"{answer!r} given", f"one of {listed}")
    else:
        right = candidates.index(answer)
        places = _places(len(candidates), right, concept, draw)
        drawn = tuple(candidates[at] for at in places)
        question = prompt.replace(_MASK, BLANK)
        tags = (f"subject:{subject}",) if subject else ()
        item = Item(concept, "factual", code, question, drawn, places.index(right), tags=tags, source="BMLAMA-53")
        gathering.add(place, item)


def _places(size: int, right: int, concept: str, draw: tuple[int, int]) -> list[int]:
    """Places of the candidates that become choices, in their order: of the concept and the seed alone."""
    n, seed = draw
    drawn = random.Random(f"{seed}/{concept}")
    others = drawn.sample([at for at in range(size) if at != right], min(n, size) - 1)
    places = [right, *others]
    drawn.shuffle(places)
    return places
