"""Questions about a country's culture with its own answers: texts of one locale each, to be mixed into parallel ones."""

from steerlens.data.items import Items
from steerlens.data.locales import ENGLISH
from steerlens.data.parallel.collecting import Collecting
from steerlens.data.parallel.corpus import ParallelCorpus
from steerlens.data.parallel.facts import license_of
from steerlens.data.splits import concept_of


def culture(items: Items, *, license: str | None = None) -> ParallelCorpus:
    """Returns a row of one locale for each cultural item: its implicit question and the locale's own answer.

    Nothing of it is parallel, since the answer is another one in each locale: it is what alignment may erase. Mixed into parallel
    texts, as ``facts(split.train) + culture(split.train)``, the language model's loss of a method learns it. Factual items, and
    cultural ones in English, are left out and counted. Give the train part of a split alone.

    Args:
        items: the items, with the wordings that they were loaded with. Statements are questions whose answer follows, too.
        license: the licence of their texts; for ``None`` that of the atlas if they are of it, or none.

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
