"""Loads OPUS-100: up to a million pairs with English in each of 100 languages, from subtitles, software, laws and other
sources."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from steerlens.data.locales import ENGLISH
from steerlens.data.parallel.bilingual import Bilingual
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.public.hub import Source, checked, need_columns, rows
from steerlens.data.public.languages import chosen, of_codes
from steerlens.errors import DataError
from steerlens.progress import progress

_ID = "Helsinki-NLP/opus-100"
_LANGUAGES = of_codes(
    "en af am ar as az be bg bn ca cs cy da de el es et eu fa fi fr ga gl ha he hi hr hu hy id ig it ja ka kk km ko ky lt lv mg "
    "mk ml mr ms ne nl no pl pt ro ru si sk sl sq sr sv ta te th tr uk ur uz vi yo zh zu"
)


def opus100(
    locales: Iterable[str],
    *,
    split: str = "train",
    limit: int | None = None,
    revision: str | None = None,
    path: str | Path | None = None,
) -> ParallelCorpus:
    """Returns the pairs of OPUS-100 (Zhang et al., ACL 2020). All translations of the same English text are in one row.

    The texts were collected automatically, and some of them are not translations. A text is left out and counted if it is the
    same as in English, or if it is not in the script of its locale. If an English text has several translations into a language,
    only the first translation is kept.

    Args:
        locales: locales or language codes. English is always included.
        split: ``train``, ``validation`` or ``test``.
        limit: the number of pairs of each language that are read, from the first pair on. ``None`` reads all pairs, which are a
            million for most languages.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder that is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: the data set lacks the column with the translations, or no text can be used.
        UnknownNameError: one of the given locales is not in the data set.
    """
    source, found = checked(Source(_ID, revision or "main", path)), Bilingual("opus-100", "as its sources, see opus.nlpl.eu")
    wanted = {code: name for code, name in chosen(locales, _LANGUAGES, "OPUS-100").items() if code != ENGLISH}
    with progress(len(wanted), "opus-100", "language") as bar:
        for code, name in wanted.items():
            config = "-".join(sorted(("en", name)))
            for number, (place, row) in enumerate(islice(rows(source, config, split), limit)):
                if number == 0:
                    need_columns(place, row, ("translation",))
                pair = row["translation"]
                if not isinstance(pair, dict) or not {"en", name} <= pair.keys():
                    raise DataError(f"{place}: translation {pair!r:.80} given: expected a text for 'en' and a text for {name!r}.")
                found.add(f"{config}/{split}/{number + 1}", str(pair["en"] or ""), code, str(pair[name] or ""))
            bar.update()
    return found.finish()
