"""Loads FLORES+: sentences from news, children's books and a travel guide, which people translated into 200 languages."""

from collections.abc import Iterable
from pathlib import Path

from steerlens.data.locales import ENGLISH
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.iso import known, with_script
from steerlens.data.public.hub import Source, checked, need_columns, rows
from steerlens.data.public.languages import chosen
from steerlens.errors import DataError
from steerlens.progress import progress

_ID = "openlanguagedata/flores_plus"


def flores(
    locales: Iterable[str], *, split: str = "dev", revision: str | None = None, path: str | Path | None = None
) -> ParallelCorpus:
    """Returns the sentences of FLORES+ (arXiv 2207.04672). The sentences are parallel in all languages of the data set.

    The data set is made to measure translation. Train only on ``dev``, and never on the part on which the translations of a model
    are scored. The hub asks you to accept the terms of the data set first.

    Args:
        locales: locale codes, or language codes of the data set, such as ``spa_Latn``. English is always included.
        split: ``dev`` (997 sentences) or ``devtest`` (1,012).
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks a column, an id occurs twice, or no text can be used.
        UnknownNameError: one of the given locales is not in the data set.
    """
    source = checked(Source(_ID, revision or "main", path))
    wanted = chosen(locales, {code: with_script(code) for code in known()}, "FLORES+")
    sentences: dict[str, dict[str, str]] = {}
    with progress(len(wanted), "flores", "language") as bar:
        for code, config in wanted.items():
            for number, (place, row) in enumerate(rows(source, config, split)):
                if number == 0:
                    need_columns(place, row, ("id", "text"))
                texts = sentences.setdefault(str(row["id"]), {})
                if code in texts:
                    raise DataError(
                        f"{place}: id {row['id']!r} appears twice: expected each sentence only once. Give only one split."
                    )
                texts[code] = " ".join(str(row["text"] or "").split())
            bar.update()
    collecting = Collecting("flores-plus", "CC BY-SA 4.0")
    for id, texts in sentences.items():
        found = {code: texts[code] for code in wanted if texts.get(code)}
        for code in wanted.keys() - found.keys():
            collecting.drop(f"{code}: no sentence with the id")
        if ENGLISH in found and len(found) > 1:
            collecting.add(f"{split}/{id}", found)
    return collecting.finish()
