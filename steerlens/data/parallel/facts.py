"""Parallel texts of facts: the questions that items ask, with their answers, and their statements filled in."""

from steerlens.data.items import Item, Items
from steerlens.data.locales import locale
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.splits import concept_of


def facts(items: Items, *, license: str | None = None) -> ParallelCorpus:
    """Returns a row for each wording of each factual item, with the prompt that the item asks as its text in every locale.

        train = sl.data.atlas(wordings=3, cloze=True).split(seed=0).train
        corpus = sl.data.parallel.facts(train)

    A statement that is to be completed becomes a plain sentence, with its answer filled in. Cultural items are left out and
    counted, since what they ask has another answer in each locale. Give the train part of a split alone: rows carry their
    concept, and ``ParallelCorpus.leaks`` finds those that are tested.

    Args:
        items: the items, with the wordings and statements that they were loaded with.
        license: the licence of their texts; for ``None`` that of the atlas if they are of it, or none.

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
    """Returns the licence of the atlas for its items, and nothing for others."""
    return "MIT, with the attributions of the atlas" if items.name == "atlas" else ""
