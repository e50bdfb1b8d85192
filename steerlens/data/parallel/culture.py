"""Questions about a country's culture with that country's answers. Each text is in one locale, and is mixed into parallel
texts."""

from steerlens.data.items import Items
from steerlens.data.locales import ENGLISH
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.facts import license_of
from steerlens.data.splits import concept_of


def culture(items: Items, *, license: str | None = None) -> ParallelCorpus:
    """Returns a row of one locale for each cultural item: its implicit question and the locale's own answer.

    These texts are not parallel, since each locale has another answer. They contain what alignment may erase. Mix them into
    parallel texts, as in ``facts(split.train) + culture(split.train)``; the method then learns them through its language-model
    loss. Factual items, and cultural items in English, are left out and counted. Give only the train part of a split.

    Args:
        items: the items, with the wordings that they were loaded with. Statements are used as questions too, followed by their
            answer.
        license: the licence of their texts; ``None`` uses the atlas's licence for items of the atlas, and none for others.

    Raises:
        DataError: there is no cultural item in another locale than English.
    """
    collecting = Collecting(f"{items.name} culture", license_of(items) if license is None else license)
    for item in items:
        if item.kind != "cultural":
            collecting.drop("factual items, left out")
        elif item.locale == ENGLISH:
            collecting.drop("cultural items in English, left out")
        else:
            own = {item.locale: item.choices[item.answer]}
            collecting.add(f"{item.concept}/{item.locale}", {item.locale: item.prompt().text}, own, concept_of(item.concept))
    return collecting.finish()
