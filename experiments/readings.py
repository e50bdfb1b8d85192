"""Readings of the atlas's cultural items: draws what is read, and says what share readers found wrong.

    python experiments/readings.py draw es-ES --n 100 --seed 1    # prints concepts with prompts, choices and the marked answer
    python experiments/readings.py                                # the table of docs/data.md, from experiments/readings/*.tsv

A reading is one file ``{locale}-{reader}.tsv`` with the columns concept, verdict (``ok``, ``better``: defensible, an editor would
touch it, ``wrong``: a careful local editor would not let it stand) and note. The first line, after ``#``, says seed and n.
"""

import argparse
import csv
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

import steerlens as sl
from steerlens.tables import markdown_table

FOLDER = Path(__file__).parent / "readings"
VERDICTS = ("ok", "better", "wrong")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", nargs="?", default="table", choices=("table", "draw"))
    parser.add_argument("locale", nargs="?", default="es-ES")
    parser.add_argument("--n", type=int, default=100, help="concepts that are drawn (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(table() if args.action == "table" else "\n\n".join(map(shown, drawn(args.locale, args.n, args.seed))))


def drawn(locale: str, n: int, seed: int) -> sl.data.Items:
    """The cultural items of a locale that are read."""
    return sl.data.atlas(locale).of(kind="cultural", locale=locale).sample(n, seed=seed)


def shown(item: sl.data.Item) -> str:
    """An item as a reader sees it."""
    choices = [
        f"  {'*' if at == item.answer else ' '} {' / '.join(item.names(at))}  ({', '.join(item.owners[at])})"
        for at in range(len(item.choices))
    ]
    return "\n".join([item.concept, f"  {item.question}", f"  {item.explicit}", *choices])


def read() -> pd.DataFrame:
    """A row for each verdict: locale, reader, concept, verdict, note."""
    rows = []
    for file in sorted(FOLDER.glob("*.tsv")):
        locale, _, reader = file.stem.rpartition("-")
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["verdict"] not in VERDICTS:
                raise SystemExit(
                    f"{file}: verdict {row['verdict']!r} of {row['concept']}: expected one of {', '.join(VERDICTS)}."
                )
            rows.append({"locale": locale, "reader": reader, **row})
    return pd.DataFrame(rows)


def table() -> str:
    """Markdown: what share of the items each reader found wrong, with a 95% Wilson interval."""
    lines = []
    for (locale, reader), own in read().groupby(["locale", "reader"]):
        wrong, n = int((own["verdict"] == "wrong").sum()), len(own)
        low, high = binomtest(wrong, n).proportion_ci(method="wilson")
        better = f"{(own['verdict'] == 'better').mean():.0%}"
        lines.append((locale, reader, n, f"{wrong} = {wrong / n:.0%} [{low:.0%}, {high:.0%}]", better))
    return markdown_table(("locale", "reader", "items", "wrong", "could be better"), lines)


if __name__ == "__main__":
    main()
