"""Loads GNOME's manuals, which volunteers translate paragraph by paragraph. Texts are aligned by the structure of the pages."""

from collections.abc import Iterable
from pathlib import Path

from steerlens.data.locales import ENGLISH, locale
from steerlens.data.parallel.bilingual import unusable
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.mallard import Page, UnreadablePageError, page
from steerlens.errors import FileError, UnknownNameError
from steerlens.progress import progress

_ORIGINAL = "C"
_BELOW = ("", "usr/share/help", "share/help", "help")
_GET = "apt-get download gnome-user-docs && dpkg -x gnome-user-docs_*.deb FOLDER"


def manuals(
    folder: str | Path, locales: Iterable[str], *, documents: Iterable[str] = ("gnome-help", "system-admin-guide")
) -> ParallelCorpus:
    """Returns the titles and paragraphs of GNOME's manuals. Each row has a text in English and its translations into the locales.

    The manuals are in Debian's package ``gnome-user-docs``::

        apt-get download gnome-user-docs && dpkg -x gnome-user-docs_*.deb FOLDER

    A translated page has the same elements as the English page, in the same order, and is aligned element by element. ``notes``
    contains the number of pages and texts that are left out, by locale. Pages are left out if they are missing, have another
    structure or cannot be read. Pages with a document type declaration are not read. Texts are left out if they are empty,
    contain a link without words, are the same as in English, or are not in the script of the locale. Code and information about
    the page are never read.

    Args:
        folder: the folder into which the package was unpacked, or its subfolder that has one folder for each language (``C``,
            ``es``, ``zh_CN``).
        locales: the locales. English is always included.
        documents: the names of the manuals that are read. A language may have only some of the manuals.

    Raises:
        FileError: there are no English pages in the folder.
        UnknownNameError: a locale is unknown, or the folder has no manuals in the locale's language.
        DataError: no text can be used.
    """
    root = _root(Path(folder))
    others = dict.fromkeys((locales,) if isinstance(locales, str) else locales)
    folders = {code: _language_folder(root, code) for code in others if code != ENGLISH}
    pages = [file for name in documents for file in sorted((root / _ORIGINAL / name).glob("*.page"))]
    if not pages:
        raise FileError(
            f"no English pages in {root / _ORIGINAL}: expected pages of {', '.join(documents)}. Get the manuals with: {_GET}"
        )
    collecting = Collecting("gnome-user-docs", "CC BY-SA 3.0")
    with progress(len(pages), "manuals", "page") as bar:
        for file in pages:
            _add_page(collecting, file, root / _ORIGINAL, folders)
            bar.update()
    return collecting.finish()


def _root(folder: Path) -> Path:
    """Returns the folder that contains one folder for each language.

    Raises:
        FileError: no folder contains the English pages.
    """
    for below in _BELOW:
        if (folder / below / _ORIGINAL).is_dir():
            return folder / below
    raise FileError(f"no folder {_ORIGINAL} in {folder}: expected a folder for each language. Get the manuals with: {_GET}")


def _language_folder(root: Path, code: str) -> Path:
    """Returns the folder of a locale: the folder of the language and country, such as ``zh_CN``, or the folder of the language,
    such as ``es``.

    Raises:
        UnknownNameError: the manuals have no folder for the locale.
    """
    names = (locale(code).code.replace("-", "_"), code.partition("-")[0])
    found = next((root / name for name in names if (root / name).is_dir()), None)
    if found is None:
        known = sorted(one.name for one in root.iterdir() if one.is_dir())
        raise UnknownNameError("language", code, known, "These are the languages of the manuals.")
    return found


def _add_page(collecting: Collecting, file: Path, original: Path, folders: dict[str, Path]) -> None:
    """Adds a row for each text of a page that is translated into at least one locale."""
    relative = file.relative_to(original)
    try:
        english = page(file)
    except UnreadablePageError as error:
        collecting.drop(f"{ENGLISH}: pages left out, {error}")
        return
    rows: list[dict[str, str]] = [{} for _ in english.texts]
    for code, folder in folders.items():
        translated = _translated(folder / relative, english)
        if isinstance(translated, str):
            collecting.drop(f"{code}: pages left out, {translated}")
            continue
        for row, ours, theirs in zip(rows, english.texts, translated.texts, strict=True):
            if why := unusable(ours, code, theirs):
                collecting.drop(f"{code}: texts left out, {why}")
            else:
                row[code] = theirs
    for number, (row, text) in enumerate(zip(rows, english.texts, strict=True), 1):
        if row:
            collecting.add(f"{relative.with_suffix('').as_posix()}/{number}", {ENGLISH: text, **row})


def _translated(file: Path, english: Page) -> Page | str:
    """Returns a page with the same structure as the English page, or the reason why the page cannot be used."""
    if not file.is_file():
        return "missing"
    try:
        found = page(file)
    except UnreadablePageError as error:
        return str(error)
    return found if found.structure == english.structure else "another structure"
