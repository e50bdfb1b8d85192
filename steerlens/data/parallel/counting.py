"""Counts the amount of text in a corpus, by source and locale."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from steerlens.data.parallel.texts import ParallelText
from steerlens.data.parallel.units import counts_characters, units

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("source", "license", "locale", "texts", "answers", "length", "unit")


def counted(rows: Iterable[ParallelText]) -> "pd.DataFrame":
    """Returns a table with one row per source and locale. ``ParallelCorpus.counts`` describes the columns."""
    import pandas as pd

    cells: dict[tuple[str, str, str], Counter[str]] = {}
    for row in rows:
        for code in row.texts:
            cell = cells.setdefault((row.source, row.license, code), Counter())
            cell.update(texts=1, answers=int(code in row.answers), length=len(units(row.full(code))))
    table = (
        (*where, cell["texts"], cell["answers"], cell["length"], "characters" if counts_characters(where[2]) else "words")
        for where, cell in cells.items()
    )
    return pd.DataFrame(table, columns=list(_COLUMNS))
