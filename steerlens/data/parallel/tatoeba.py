"""Loads the test sets of the Tatoeba translation challenge: short everyday sentences that people translated."""

from collections.abc import Iterable
from pathlib import Path

from steerlens.data.lines import lines_of
from steerlens.data.locales import ENGLISH
from steerlens.data.parallel.bilingual import Bilingual
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.iso import known, language, macrolanguage, with_script
from steerlens.data.public.hub import Source, checked, offline_if_unreachable, readable
from steerlens.data.public.languages import chosen
from steerlens.errors import FileError, UnknownNameError
from steerlens.progress import progress

_ID = "Helsinki-NLP/tatoeba_mt"
_PARTS = {"test": "test", "validation": "dev"}
_ENGLISH, _COLUMNS = "eng", 4


def tatoeba(
    locales: Iterable[str], *, split: str = "validation", revision: str | None = None, path: str | Path | None = None
) -> ParallelCorpus:
    """Returns the pairs with English from the Tatoeba translation challenge (Tiedemann, WMT 2020). All translations of the same
    English sentence are in one row.

    Each file of the challenge contains a macrolanguage, such as Chinese. Only the lines in the locale's language and script are
    read.

    Args:
        locales: locale codes, or language codes of the data set, such as ``spa``. English is always included.
        split: ``validation`` or ``test``. Some languages have no ``validation`` part.
        revision: a commit hash or a release such as ``v2023-09-26``. ``None`` reads the current version on the hub.
        path: a local folder with the files of the hub, such as ``dev/tatoeba-dev.eng-spa.tsv``, or with the files of a release of
            the challenge.

    Raises:
        FileError: a file is missing or cannot be read. Without a network, give ``path``.
        DataError: no text can be used.
        UnknownNameError: one of the given locales is not in the data set, or ``split`` is another word.
    """
    if split not in _PARTS:
        raise UnknownNameError("split", split, _PARTS)
    source, found = checked(Source(_ID, revision or "main", path)), Bilingual("tatoeba", "CC BY 2.0 FR")
    wanted = {code for code in chosen(locales, {code: macrolanguage(code) for code in known()}, "Tatoeba") if code != ENGLISH}
    with progress(len(wanted), "tatoeba", "language") as bar:
        for code in (code for code in known() if code in wanted):
            _read(found, _file(source, _PARTS[split], code), code)
            bar.update()
    return found.finish()


def _read(found: Bilingual, file: Path, code: str) -> None:
    """Adds the pairs of a file that are in a locale's language. Each line contains the two languages and the two texts,
    separated by tabs."""
    own = {language(code), macrolanguage(code), with_script(code)}
    for number, line in enumerate(lines_of(file), 1):
        cells = line.rstrip("\r\n").split("\t")
        if len(cells) != _COLUMNS:
            found.drop(code, "line without two languages and two texts")
            continue
        texts = dict(zip(cells[:2], cells[2:], strict=True))
        other = next((name for name in texts if name in own), None)
        if _ENGLISH not in texts or other is None:
            found.drop(code, "line in another language or script")
        else:
            found.add(f"{file.stem}/{number}", texts[_ENGLISH], code, texts[other])


def _file(source: Source, part: str, code: str) -> Path:
    """Returns the path of the file of a language.

    Raises:
        FileError: the file does not exist, or the hub cannot be reached.
    """
    pair = "-".join(sorted((_ENGLISH, macrolanguage(code))))
    if source.path is None:
        from huggingface_hub import hf_hub_download

        with readable(source, pair, part), offline_if_unreachable():
            name = f"{part}/tatoeba-{part}.{pair}.tsv"
            return Path(hf_hub_download(source.id, name, repo_type="dataset", revision=source.revision))
    root = Path(source.path)
    files = [root] if root.is_file() else sorted(root.rglob(f"tatoeba-{part}*.{pair}.t[sx][vt]"))
    if not files:
        raise FileError(
            f"no tatoeba-{part}.{pair}.tsv in {root}: expected the files of {source.id} with the same names as on the Hugging "
            "Face hub."
        )
    return files[0]
