"""Makes training texts from cultural questions and the answers of each country. Each text is in one locale and is mixed into
parallel texts."""

from steerlens.data.items import Items
from steerlens.data.locales import ENGLISH
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.facts import license_of
from steerlens.data.splits import concept_of


def culture(items: Items, *, license: str | None = None) -> ParallelCorpus:
    """Returns one row for each cultural item, with the implicit question and the locale's own answer. Each row has texts in one
    locale.

    The texts are not parallel, because each locale has another answer. The texts contain local knowledge that alignment may
    erase. Mix the texts into parallel texts, for example ``facts(split.train) + culture(split.train)``. The alignment method then
    learns the texts with its language-model loss. Factual items, and cultural items in English, are left out and counted. Give
    only the train part of a split.

    Args:
        items: the items, with all wordings that were loaded. Statements that end before their answer are also used as questions.
        license: the licence of the texts. ``None`` uses the licence of the atlas for items of the atlas, and no licence for other
            items.

    Raises:
        DataError: there is no cultural item in a locale other than English.
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
