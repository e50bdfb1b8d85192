"""Makes parallel texts from factual items: the questions with their answers, and the completed statements."""

from steerlens.data.items import Item, Items
from steerlens.data.locales import locale
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.splits import concept_of


def facts(items: Items, *, license: str | None = None) -> ParallelCorpus:
    """Returns one row for each wording of each factual concept. The text of the row in a locale is the prompt of the item in this
    locale.

        train = sl.data.atlas(wordings=3, cloze=True).split(seed=0).train
        corpus = sl.data.parallel.facts(train)

    A statement that ends before its answer becomes a complete sentence with the answer. Cultural items are left out and counted,
    because their answers differ by locale. Give only the train part of a split. Each row contains the id of its concept, so
    ``ParallelCorpus.leaks`` finds rows of tested concepts.

    Args:
        items: the items, with all wordings and statements that were loaded.
        license: the licence of the texts. ``None`` uses the licence of the atlas for items of the atlas, and no licence for other
            items.

    Raises:
        DataError: there is no factual item.
    """
    collecting = Collecting(items.name, license_of(items) if license is None else license)
    asked: dict[str, list[Item]] = {}
    for item in items:
        if item.kind == "factual":
            asked.setdefault(item.concept, []).append(item)
        else:
            collecting.drop("cultural items, left out")
    for wording, some in asked.items():
        answers = {item.locale: item.choices[item.answer] for item in some}
        texts = {item.locale: item.prompt().text for item in some}
        if all(item.cloze for item in some):
            texts, answers = {code: f"{text}{locale(code).space}{answers[code]}" for code, text in texts.items()}, {}
        collecting.add(wording, texts, answers, concept_of(wording))
    return collecting.finish()


def license_of(items: Items) -> str:
    """Returns the licence of the atlas for items of the atlas, and an empty text for other items."""
    return "MIT, with the attributions of the atlas" if items.name == "atlas" else ""
