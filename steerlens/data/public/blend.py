"""Loads BLEnD: questions about everyday culture that were asked in 16 countries, in the languages of the countries."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from steerlens.data.items import Item, Items
from steerlens.data.locales import locale as locale_of
from steerlens.data.public.blend_countries import COUNTRIES
from steerlens.data.public.blend_files import Answer, Asked, annotations, folder_of, topics
from steerlens.data.public.blend_words import Words, shown, votes
from steerlens.data.public.gathering import Gathering
from steerlens.data.public.hub import source_of
from steerlens.data.public.implicit import implicit, named_for_yours, names_country
from steerlens.data.public.languages import chosen
from steerlens.data.rows import same_text

FEWEST_CHOICES = 3
_ENOUGH = 0.5
"""A share of the votes for a country's most frequent answer. An answer with at least this share can replace a more frequent
answer that has no translation."""


def blend(
    locales: Iterable[str],
    *,
    exclusive: bool = False,
    revision: str | None = None,
    path: str | Path | None = None,
) -> Items:
    """Returns the cultural items of BLEnD (arXiv 2406.09948). The questions of different countries are joined by the id of the
    question.

    Each choice is a frequent answer of one country, written in the words of the country of the question's locale. To find these
    words, the English translation of the answer is searched in the answers of the locale's country, which contain local words
    with English translations. An answer without such words is left out. A question with fewer than three choices is left out.

    The implicit form is the question without its country. A question is left out if the country cannot be removed, or if the
    question has no meaning without the country. A question with the words "in your country" is already implicit, and its explicit
    form has the country's name instead of these words. Any other question that names no country has no explicit form. Questions
    to which too few people knew an answer are left out, as in the scorer of the data set. ``notes`` contains the number of
    questions that are left out, by reason.

    Sometimes people of the locale's country also gave the answer of another country. The answer of the other country is left out
    and counted if it got at least as many votes in the locale's country as the country's own answer. Such an answer is equally
    right. An answer with fewer votes stays a choice unless ``exclusive`` is true.

    The tag ``votes:`` contains the number of people of the locale's country who gave each choice, in the order of the choices.

    Args:
        locales: locales or the data set's countries (``South_Korea``). US English is always included.
        exclusive: whether an answer of another country is left out if any person of the locale's country also gave this answer.
        revision: a commit hash of the data set. ``None`` reads the current version on the hub.
        path: a local folder with files such as ``Spain_data.json``, which is read instead of the hub.

    Raises:
        FileError: the data set cannot be read. Without a network, give ``path``.
        DataError: a file does not have the format of the data set.
        UnknownNameError: one of the given locales is not in the data set.
    """
    source = source_of("blend", revision, path)
    have = {locale: country.file for locale, country in COUNTRIES.items()}
    wanted, root = chosen(locales, have, "BLEnD"), folder_of(source)
    asked = {locale: annotations(root, file, dotted=COUNTRIES[locale].rules.dotted) for locale, file in wanted.items()}
    by_topic, gathering = topics(root), Gathering("blend")
    for locale, here in asked.items():
        words = Words(here, english=locale.startswith("en-"), script=locale_of(locale).script)
        for id, one in here.items():
            others = {other: there[id] for other, there in asked.items() if id in there and not there[id].left_out}
            item = _item(gathering, locale, one, _texts(gathering, locale, one, others, words, exclusive=exclusive))
            if item:
                place = f"{wanted[locale]}_data.json: {id}"
                gathering.add(place, replace(item, topic=by_topic.get(id, ""), source=source.origin))
    return gathering.finish()


def _texts(
    gathering: Gathering, locale: str, here: Asked, others: Mapping[str, Asked], words: Words, *, exclusive: bool
) -> dict[str, str]:
    """Returns each country's answer in the locale's language. The result is empty if the question is left out for the locale's
    country."""
    if here.left_out or not here.answers[0].own:
        gathering.drop(locale, "left out by the scorer's rule")
        return {}
    own, texts = shown(here.answers[0], locale_of(locale).script), {}
    said: list[tuple[set[str], str]] = []
    for other, there in others.items():
        if other == locale:
            texts[other] = own
            continue
        text, english = _rendered(there, here, words)
        # two countries whose answers share an English word gave the same answer
        text = next((before for known, before in said if known & english), text)
        said += [(english, text)] if text else []
        if text is None:
            gathering.drop(locale, "choices without a translation")
        elif same_text(text) == same_text(own) or not (given := votes(text, here)):
            texts[other] = text
        elif given >= votes(own, here):
            gathering.drop(locale, "choices that as many people here gave as the answer")
        elif exclusive:
            gathering.drop(locale, "choices that some people here gave")
        else:
            texts[other] = text
    return texts


def _rendered(there: Asked, here: Asked, words: Words) -> tuple[str | None, set[str]]:
    """Returns another country's answer as people in the locale's country would write it, and the same answer in English."""
    for answer in _top(there):
        text = words.render(answer, here)
        if text:
            return text, set(map(same_text, answer.english))
    return None, set()


def _top(asked: Asked) -> list[Answer]:
    return [answer for answer in asked.answers if answer.votes >= _ENOUGH * asked.answers[0].votes]


def _item(gathering: Gathering, locale: str, here: Asked, texts: Mapping[str, str]) -> Item | None:
    if not texts:
        return None
    country = COUNTRIES[locale]
    question = implicit(here.question, country.own, country.rules)
    if question is None:
        gathering.drop(locale, "country could not be removed")
        return None
    together: dict[str, list[str]] = {}
    for owner, text in texts.items():
        together.setdefault(same_text(text), []).append(owner)
    if len(together) < FEWEST_CHOICES:
        gathering.drop(locale, f"fewer than {FEWEST_CHOICES} choices")
        return None
    owners = tuple(map(tuple, together.values()))
    choices = tuple(texts[group[0]] for group in owners)
    explicit = here.question if names_country(here.question, country.own) else named_for_yours(here.question, country.yours)
    tags = ("votes:" + ",".join(str(votes(choice, here)) for choice in choices),)
    answer = next(index for index, group in enumerate(owners) if locale in group)
    return Item(here.id, "cultural", locale, question, choices, answer, explicit, owners, tags=tags)
