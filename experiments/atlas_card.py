"""What the atlas holds, counted: the tables of docs/data.md between ``<!-- card -->`` and ``<!-- /card -->``.

python experiments/atlas_card.py          # prints them
python experiments/atlas_card.py --write  # puts them into docs/data.md
"""

import argparse
import re
from collections import Counter
from pathlib import Path

import steerlens as sl
from steerlens.tables import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "data.md"
BLOCK = re.compile(r"(?<=<!-- card -->\n).*?(?=\n<!-- /card -->)", re.S)
COUNTRIES = (
    *("capital", "city-country", "continent", "currency", "neighbour", "calling-code", "language", "domain"),
    *("currency-of-capital", "continent-of-city"),
)
"""Relations that ask something about a country or a city's country."""
NAMES = "names"
"""The tag of cultural concepts whose answers are proper names."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/data.md")
    text = card()
    if parser.parse_args().write:
        PAGE.write_text(BLOCK.sub(lambda _: text, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(text)


def card() -> str:
    """Markdown: concepts by source, relations, culture by topic, and votes."""
    items = sl.data.atlas("all", shared=True)
    english = items.of(locale="en-US")
    facts, culture = english.of(kind="factual"), english.of(kind="cultural")
    parts = [_sources(facts, culture), _relations(facts), _culture(culture), _alike(items), _further(), _votes(items)]
    return "\n\n".join(parts)


def _sources(facts: sl.data.Items, culture: sl.data.Items) -> str:
    """Concepts by kind and where they come from."""
    rows = []
    for kind, part in (("factual", facts), ("cultural", culture)):
        counts = Counter("written" if item.source.startswith("written") else "open data" for item in part)
        rows += [(kind, source, n) for source, n in sorted(counts.items())]
    return markdown_table(("kind", "source", "concepts"), rows)


def _relations(facts: sl.data.Items) -> str:
    counts = Counter(item.relation or "no relation" for item in facts)
    about = sum(n for relation, n in counts.items() if relation in COUNTRIES)
    hard = Counter(item.difficulty for item in facts)
    listed = ", ".join(f"{relation} {n}" for relation, n in counts.most_common())
    return (
        f"{len(counts)} relations: {listed}.\n\nThe largest relation is {max(counts.values()) / len(facts):.1%} of the factual "
        f"concepts; {about / len(facts):.0%} are about countries and the countries of cities. A child knows {hard[1]}, "
        f"school teaches {hard[2]}, few know {hard[3]}."
    )


def _culture(culture: sl.data.Items) -> str:
    counts = Counter(item.topic for item in culture)
    names = sum(NAMES in item.tags for item in culture) / len(culture)
    listed = ", ".join(f"{topic} {n}" for topic, n in counts.most_common())
    return f"Cultural concepts by topic: {listed}. {names:.0%} are answered by proper names."


def _alike(items: sl.data.Items) -> str:
    """How many answers are the same string in English, and how many are shared with the English locale."""
    same = items.spelled_as_in_english()
    rows = []
    for code in items.locales[1:]:
        facts, culture = items.of(locale=code, kind="factual"), items.of(locale=code, kind="cultural")
        share = sum(item.locale == code for item in same) / len(facts)
        rows.append((code, f"{share:.0%}", sum("en-US" in item.shared_with for item in culture), len(culture)))
    return markdown_table(("locale", "facts answered as in English", "answers shared with en-US", "of cultural concepts"), rows)


def _further() -> str:
    """Concepts of the further locales, and how many of their answers English or the language's other country gives, too."""
    rows = []
    for code in sl.data.further_locales():
        items, like = sl.data.atlas(code, shared=True), sl.data.locale(code).like
        facts, culture = items.of(locale=code, kind="factual"), items.of(locale=code, kind="cultural")
        same = [sum(owner in item.shared_with for item in culture) for owner in ("en-US", like) if owner]
        rows.append((code, like, len(facts), len(culture), same[0], same[1] if like not in ("", "en-US") else ""))
    header = ("further locale", "asks as", "facts", "cultural concepts", "answers shared with en-US", "with that locale")
    return markdown_table(header, rows)


def _votes(items: sl.data.Items) -> str:
    """Concepts with votes by locale: the favourite of those asked, some votes, none where five or more were asked."""
    rows = []
    for code in items.locales:
        asked = [item.evidence for item in items.of(locale=code) if item.evidence]
        if asked:
            first = sum(one.votes >= one.most for one in asked)
            none = sum(one.votes == 0 for one in asked)
            rows.append((code, len(asked), first, len(asked) - first - none, none))
    header = ("locale", "concepts that people were asked for", "answer given most", "answer given by some", "by nobody")
    return markdown_table(header, rows)


if __name__ == "__main__":
    main()
