"""Items, the prompts made from them, and splits by concept.

An item is one concept in one locale. Splits, folds and resamples divide concepts, not items, so that no concept is seen in one
locale and tested in another.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from steerlens.data.locales import ENGLISH, locale
from steerlens.data.naming import filled
from steerlens.data.pairs import PromptPairs, english_pairs, localized_pairs, named_country, named_pairs
from steerlens.data.prompts import Form, Prompt
from steerlens.data.scripts import plain
from steerlens.data.splits import Shares, concept_of, dealt, group_of, place, sides, sides_by_relation
from steerlens.errors import DataError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["factual", "cultural"]
KINDS: tuple[Kind, ...] = ("factual", "cultural")
Holdout = Literal["concept", "relation"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The survey results on a cultural item's answer."""

    source: str
    """The survey and the id of its question, for example ``BLEnD Al-en-06``."""
    votes: int
    """The number of people who gave the item's answer, under any of its names."""
    annotators: int
    """The number of all answers. A person who gave several answers counts several times."""
    most: int = 0
    """The number of people who gave the most frequent answer."""


@dataclass(frozen=True, slots=True)  # millions of them are held at once
class Item:
    """A concept that is asked in one locale, with its choices. Prompts, pairs and scores are made from items."""

    concept: str
    """The concept's id, the same in every locale."""
    kind: Kind
    """``factual`` or ``cultural``."""
    locale: str
    """The code of the locale."""
    question: str
    """The question; for a cultural item without its country (implicit)."""
    choices: tuple[str, ...]
    """The answer choices, ``[choice]``."""
    answer: int
    """The index into ``choices`` of the right answer, or of the locale's own answer."""
    explicit: str = ""
    """A cultural question that names its country; empty for a factual item."""
    owners: tuple[tuple[str, ...], ...] = ()
    """The locales whose answer each choice of a cultural item is; empty for a factual item."""
    topic: str = ""
    """The topic, such as ``food``; empty if the item has none."""
    relation: str = ""
    """The relation that a generated item asks about, for example ``capital``. Whole relations can be held out."""
    source: str = ""
    """The source of question and answer: ``written``, or a package with its version and key."""
    tags: tuple[str, ...] = ()
    """Labels of the item's data set, for example ``CS`` (culturally sensitive) in Global-MMLU."""
    aliases: tuple[tuple[str, ...], ...] = ()
    """Other correct names of each choice, ``[choice]``; empty if no choice has any."""
    template: str = ""
    """A cultural question with a slot for its country, for example ``¿Qué se desayuna {in}?``; empty if the item has none."""
    cloze: bool = False
    """Whether the question is a statement that ends before its answer. It then needs no word for "Question" or "Answer"."""
    difficulty: int = 0
    """The difficulty of the fact: 1: children know it; 2: it is taught at school; 3: few people know it; 0 if unknown."""
    popularity: float | None = None
    """How widely known the subject is, in a unit of its relation, such as the inhabitants of a city or a country; ``None`` if
    unknown."""
    evidence: Evidence | None = None
    """Survey results on a cultural item's answer; ``None`` if there was no survey."""

    def names(self, choice: int) -> tuple[str, ...]:
        """Returns all names of a choice, the one shown first.

        Args:
            choice: the index of the choice.
        """
        return (self.choices[choice], *(self.aliases[choice] if self.aliases else ()))

    def about(self, country: str) -> "Item":
        """Returns the cultural item with another locale's country named in its question, and with that locale's answer as the
        right one. It tests whether a model answers for the named country and not for the language of the question.

        Args:
            country: the code of the locale whose country is named, for example ``el-GR``; it must own one of the choices.

        Raises:
            DataError: the item has no template, or no choice is that locale's answer.
            UnknownNameError: the item's locale has no name for that country.
        """
        choice = next((index for index, owners in enumerate(self.owners) if country in owners), None)
        if not self.template or choice is None:
            lacking = "no template with a slot for a country" if not self.template else f"no answer of {country}"
            raise DataError(
                f"item {self.concept!r} in {self.locale} has {lacking}, so the item cannot name the country of another locale."
            )
        return replace(self, question=filled(self.template, self.locale, country), explicit="", template="", answer=choice)

    @property
    def english_answer(self) -> int | None:
        """The index of the English locale's answer to a cultural item, or ``None`` if no choice is."""
        return next((index for index, owners in enumerate(self.owners) if ENGLISH in owners), None)

    @property
    def shared_with(self) -> tuple[str, ...]:
        """Other locales with the same answer to a cultural item. The item cannot distinguish this locale from them."""
        own = self.owners[self.answer] if self.owners else ()
        return tuple(code for code in own if code != self.locale)

    @property
    def answers(self) -> dict[str, str]:
        """Every locale's answer to a cultural item, in the asking language; empty for a factual item."""
        return {
            owner: choice
            for choice, owners in zip(self.choices, self.owners or ((),) * len(self.choices), strict=True)
            for owner in owners
        }

    def prompt(self, form: Form = "implicit") -> Prompt:
        """Returns the open prompt of this item, without its country or, if ``form`` is ``explicit``, with it.

        Raises:
            DataError: the explicit form is requested, and the item has no explicit question.
        """
        if form == "explicit" and not self.explicit:
            raise DataError(
                f"item {self.concept!r} in {self.locale} has no explicit question: only cultural items have a question that "
                "names a country. Use the implicit prompt, or give the item a field 'explicit'."
            )
        question = self.explicit if form == "explicit" else self.question
        text = question if self.cloze else locale(self.locale).prompt(question)
        return Prompt(text, self.concept, self.locale, self.kind, form, self.topic, self.relation)


def letter_order(item: Item, seed: int = 0) -> list[int]:
    """Returns the indices of an ``item``'s choices in the order of the letter format. The order depends on ``seed`` and
    concept, and is the same in all locales."""
    order = list(range(len(item.choices)))
    random.Random(f"{seed}/{item.concept}").shuffle(order)
    return order


@dataclass(frozen=True)
class Items(Sequence[Item]):
    """An ordered collection of items that can be divided by locale, kind and concept."""

    items: Sequence[Item]
    """The items: a tuple, or for very many items a sequence that makes each item when it is used."""
    name: str = "items"
    """The name of the items in tables."""
    notes: Mapping[str, int] = field(default_factory=dict, compare=False)
    """How many rows a loader left out, by reason. The notes are not part of the digest."""

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    def __repr__(self) -> str:
        concepts = {kind: len({concept_of(one) for one in self.of(kind=kind).concepts}) for kind in KINDS}
        kinds = ", ".join(f"{n} {kind}" for kind, n in concepts.items())
        wordings = len(self.concepts) / max(1, sum(concepts.values()))
        several = f", {wordings:.1f} wordings each" if wordings > 1 else ""
        return f"Items({self.name!r}: {kinds} concepts in {', '.join(self.locales)}{several})"

    @cached_property
    def locales(self) -> tuple[str, ...]:
        """The codes of the locales, in the order of their first item."""
        return tuple(dict.fromkeys(item.locale for item in self.items))

    @cached_property
    def concepts(self) -> tuple[str, ...]:
        """The ids of the concepts, in the order of their first item."""
        return tuple(dict.fromkeys(item.concept for item in self.items))

    def of(self, *, kind: Kind | None = None, locale: str | None = None) -> "Items":
        """Returns the items of one ``kind`` (``factual`` or ``cultural``), of one ``locale``, or of both; ``None`` keeps all.

        Raises:
            UnknownNameError: there are no items of the locale here.
        """
        if locale is not None and locale not in self.locales:
            raise UnknownNameError("locale", locale, self.locales, "These are the locales that the items contain.")
        return self.where(lambda item: kind in (None, item.kind) and locale in (None, item.locale))

    def only(self, concepts: Iterable[str]) -> "Items":
        """Returns the items of these ``concepts``. Ids that no item has are ignored."""
        wanted = set(concepts)
        return self.where(lambda item: item.concept in wanted)

    def where(self, keep: Callable[[Item], bool]) -> "Items":
        """Returns the items for which ``keep`` is true, as in ``items.where(lambda item: "CS" in item.tags)``."""
        return replace(self, items=tuple(filter(keep, self.items)))

    def distinctive(self) -> "Items":
        """Returns the items without the cultural items whose answer is the same as the English locale's. These cannot
        distinguish a local answer from an English-centric one. Items whose answer is shared with other locales are kept:
        ``shared_with`` names these locales."""
        return self.where(lambda item: item.locale == ENGLISH or ENGLISH not in item.shared_with)

    def about(self, country: str) -> "Items":
        """Returns the cultural items that can name another locale's country, with that country named and its answer as the
        right one.

        Items of that locale itself, items whose own answer is the same, and items without a template are left out.

        Args:
            country: the code of the locale whose country is named, for example ``el-GR``.

        Raises:
            DataError: no item can name it.
        """
        named = tuple(item.about(country) for item in self.items if _can_name(item, country))
        if not named:
            raise DataError(
                f"no item of {self.name!r} has both a template and a different answer for {country}: expected cultural items "
                f"of other locales that contain the answers of {country}. Give such items, for example those of the atlas."
            )
        return replace(self, items=named)

    def spelled_as_in_english(self) -> "Items":
        """Returns the factual items whose answer is the same string as in English (``Madrid``, ``Na``), ignoring accents. Their
        answers do not show in which language the answer was found."""
        english = {item.concept: plain(item.choices[item.answer]) for item in self.items if item.locale == ENGLISH}
        return self.where(lambda item: item.kind == "factual" and english.get(item.concept) == plain(item.choices[item.answer]))

    def parallel(self) -> "Items":
        """Returns the items of the concepts that every locale here has."""
        places: dict[str, int] = {}
        for item in self.items:
            places[item.concept] = places.get(item.concept, 0) + 1
        return self.only(concept for concept, n in places.items() if n == len(self.locales))

    def sample(self, n: int | Mapping[Kind, int | None] | None, *, seed: int = 0) -> "Items":
        """Returns the items of ``n`` concepts of each kind, drawn by ``seed``, with all their wordings. ``n`` may also give a
        number for each kind (``{"factual": 8}`` takes none of the other kind). ``None`` takes all, and so does a kind with
        fewer concepts. A smaller draw is part of a larger one."""
        if n is None:
            return self
        numbers = n if isinstance(n, Mapping) else dict.fromkeys(KINDS, n)

        def drawn(concept: str) -> float:
            return place(seed, f"sample/{concept}")  # not the place that ``split`` divides by

        names = {kind: {concept_of(one) for one in self.of(kind=kind).concepts} for kind in KINDS}
        chosen = {concept for kind in KINDS for concept in sorted(names[kind], key=drawn)[: numbers.get(kind, 0)]}
        return self.where(lambda item: concept_of(item.concept) in chosen)

    def to_frame(self) -> "pd.DataFrame":
        """Returns one row per item: concept, locale, kind, topic, source, prompt, choices, answer (its text)."""
        import pandas as pd

        columns = ["concept", "locale", "kind", "topic", "source", "prompt", "choices", "answer"]
        rows = (
            (i.concept, i.locale, i.kind, i.topic, i.source, i.prompt().text, i.choices, i.choices[i.answer]) for i in self.items
        )
        return pd.DataFrame(rows, columns=columns)

    def prompts(self, *, explicit: bool = True) -> tuple[Prompt, ...]:
        """Returns each item's implicit prompt and then, if ``explicit`` is true, the explicit prompts of the items that have
        one."""
        implicit = [item.prompt() for item in self.items]
        return (*implicit, *(item.prompt("explicit") for item in self.items if explicit and item.explicit))

    def english_pairs(self, locale: str, kind: Kind = "factual") -> PromptPairs:
        """Returns EN pairs: the English prompt against the locale's prompt, for each concept that both have.

        Args:
            locale: the locale that is contrasted with English.
            kind: ``cultural`` uses pairs of implicit cultural prompts instead of factual ones, to measure how much an EN vector
                depends on facts.

        Raises:
            PairsError: there is no such concept, or the locale is English itself.
            UnknownNameError: there are no items of the locale here.
        """
        return english_pairs((*self.of(locale=ENGLISH).prompts(), *self.of(locale=locale).prompts()), locale, kind)

    def other_country_pairs(self, locale: str, country: str) -> PromptPairs:
        """Returns pairs of the explicit prompt and the same prompt that names another country, in the same language. They differ
        only in the country, not in whether a country is named.

        Args:
            locale: the locale of the questions.
            country: the code of the locale whose country the negative prompts name.

        Raises:
            PairsError: no cultural item of this locale has both.
            UnknownNameError: there are no items of the locale here.
        """
        own = [item for item in self.of(locale=locale) if item.explicit and _can_name(item, country)]
        positive = tuple(item.prompt("explicit") for item in own)
        return PromptPairs(positive, tuple(item.about(country).prompt() for item in own), f"LOC against {country}", locale)

    def localized_pairs(self, locale: str) -> PromptPairs:
        """Returns LOC pairs of a ``locale``: the explicit prompt against the implicit one, for each of its cultural concepts.

        Raises:
            PairsError: no cultural item of this locale has an explicit question.
            UnknownNameError: there are no items of the locale here.
        """
        return localized_pairs(self.of(locale=locale).prompts(), locale)

    def named_pairs(self, locale: str, kind: Kind = "factual", country: str = "") -> PromptPairs:
        """Returns pairs of a question after its country's name (``España: ¿Qué …?``) and the question alone.

        Factual questions have such pairs too, unlike LOC pairs. They show how much a LOC vector depends on culture.

        Args:
            locale: the locale of the questions.
            kind: the kind of the questions, ``factual`` or ``cultural``.
            country: the country's name in the language; ``""`` takes the form that most explicit questions of the locale use.

        Raises:
            PairsError: there are no items of this kind, or no explicit question contains the country's name.
            UnknownNameError: there are no items of the locale here.
        """
        own = self.of(locale=locale)
        named = country or named_country(locale, (item.explicit for item in own))
        return named_pairs({item.concept: item.question for item in own.of(kind=kind)}, kind, locale, named)

    def split(self, *, seed: int = 0, shares: Shares = (0.4, 0.3, 0.3), holdout: Holdout = "concept") -> "Split":
        """Divides the items at random by concept into train, dev and test, with about the given shares of each kind and topic.

        A concept's part depends only on the seed and its own id, so it does not change when items are added. Ids that are the
        same up to ``#`` stay together.

        Args:
            seed: the seed of the division.
            shares: the shares of train, dev and test, which add up to 1.
            holdout: ``concept`` divides concepts. ``relation`` keeps whole relations of generated facts together, so that a
                vector is tested on kinds of facts from which it was not computed; items without a relation are divided by
                concept.

        Raises:
            DataError: the shares do not add up to 1, or there are fewer than three concepts of a kind (or relations).
            UnknownNameError: there is no such holdout.
        """
        if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
            raise DataError(f"shares {shares} given: expected three positive numbers that add up to 1.")
        if holdout not in get_args(Holdout):
            raise UnknownNameError("holdout", holdout, get_args(Holdout))
        side: dict[str, int] = {}
        for kind in KINDS:
            relations = {group_of(item.concept): item.relation for item in self.items if item.kind == kind}
            if 0 < len(relations) < 3:
                raise DataError(
                    f"{len(relations)} {kind} concepts given: a split into three parts needs at least 3 concepts of each kind."
                )
            held = {group: relation for group, relation in relations.items() if relation and holdout == "relation"}
            side |= sides(relations.keys() - held.keys(), shares, seed) | sides_by_relation(held, shares, seed)
        parts: tuple[list[Item], list[Item], list[Item]] = ([], [], [])
        for item in self.items:
            parts[side[group_of(item.concept)]].append(item)
        train, dev, test = (replace(self, items=tuple(part)) for part in parts)
        return Split(train, dev, test, seed)

    def folds(self, n: int, *, seed: int = 0) -> tuple["Items", ...]:
        """Divides the items into ``n`` parts by concept and ``seed``, with each kind divided evenly. Ids that are the same up
        to ``#`` stay together.

        Raises:
            DataError: there are fewer concepts of a kind than parts.
        """
        part: dict[str, int] = {}
        for kind in KINDS:
            groups = dealt((group_of(item.concept) for item in self.items if item.kind == kind), n, seed)
            if n < 1 or 0 < len(groups) < n:
                raise DataError(
                    f"{len(groups)} {kind} concepts given for {n} folds: expected at least one fold, and at least one concept "
                    "for each fold."
                )
            part |= groups
        return tuple(self.where(lambda item, at=at: part[group_of(item.concept)] == at) for at in range(n))  # type: ignore[misc]

    def digest(self) -> str:
        """Returns the SHA-256 of the complete content of the items, in order."""
        content = json.dumps([asdict(item) for item in self.items], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def _can_name(item: Item, country: str) -> bool:
    """Whether an item can name a country that is not its own and that has another answer."""
    return bool(item.template) and country in item.answers and country not in item.owners[item.answer]


@dataclass(frozen=True)
class Split:
    """Items divided by concept: vectors are computed from train, plans are chosen on dev, and claims are tested on test."""

    train: Items
    """The items from which vectors are computed."""
    dev: Items
    """The items on which plans are chosen."""
    test: Items
    """The items on which claims are tested."""
    seed: int = 0
