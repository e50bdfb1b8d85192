"""Items, the prompts that are made from items, and splits by concept.

An item is one concept in one locale. Splits, folds and resamples divide concepts, not items, so no concept is used for training
in one locale and for testing in another locale.
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
from steerlens.data.splits import SHARES, Shares, concept_of, dealt, group_of, place, sides, sides_by_relation
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
    """The total number of answers that people gave to the survey question. A person who gave several answers is counted several
    times."""
    most: int = 0
    """The number of people who gave the most frequent answer."""


@dataclass(frozen=True, slots=True)  # memory may contain millions of items
class Item:
    """A concept that is asked in one locale, with its choices. Prompts, pairs and scores are made from items."""

    concept: str
    """The concept's id, which is the same in every locale."""
    kind: Kind
    """The kind of the item, ``factual`` or ``cultural``."""
    locale: str
    """The code of the locale."""
    question: str
    """The question. The question of a cultural item does not name the country (implicit)."""
    choices: tuple[str, ...]
    """The texts of the answer choices, ``[choice]``."""
    answer: int
    """The index in ``choices`` of the right answer of a factual item, or of the locale's own answer to a cultural item."""
    explicit: str = ""
    """The question of a cultural item with the country's name. The text is empty for a factual item."""
    owners: tuple[tuple[str, ...], ...] = ()
    """The owners of each choice of a cultural item, ``[choice]``: the locales whose answer the choice is. The tuple is empty for
    a factual item."""
    topic: str = ""
    """The topic of the item, such as ``food``, or an empty text for an item without a topic."""
    relation: str = ""
    """The relation that a generated item asks about, for example ``capital``. A split can hold out complete relations."""
    source: str = ""
    """The source of the question and the answer: ``written``, or a package with its version and key."""
    tags: tuple[str, ...] = ()
    """The labels from the item's data set, for example ``CS`` (culturally sensitive) in Global-MMLU."""
    aliases: tuple[tuple[str, ...], ...] = ()
    """The other correct names of each choice, ``[choice]``. The tuple is empty if no choice has another name."""
    template: str = ""
    """A cultural question with a slot for the country, for example ``¿Qué se desayuna {in}?``, or an empty text."""
    cloze: bool = False
    """Whether the question is a statement that ends before its answer. The prompt of a statement has no word for "Question" or
    "Answer"."""
    difficulty: int = 0
    """The difficulty of the fact. 1: children know the fact. 2: the fact is taught at school. 3: few people know the fact. 0:
    unknown."""
    popularity: float | None = None
    """A number that shows how widely known the subject is, such as the number of inhabitants of a city or a country. The unit
    depends on the relation. ``None`` means unknown."""
    evidence: Evidence | None = None
    """The survey results on the answer of a cultural item, or ``None`` without a survey."""

    def names(self, choice: int) -> tuple[str, ...]:
        """Returns all names of a choice. The name that is shown comes first.

        Args:
            choice: the index of the choice.
        """
        return (self.choices[choice], *(self.aliases[choice] if self.aliases else ()))

    def about(self, country: str) -> "Item":
        """Returns the cultural item with a question that names another locale's country, and with the other locale's answer as
        the right answer. The new item tests whether a model answers for the named country, and not for the country of the
        question's language.

        Args:
            country: the code of the locale whose country is named, for example ``el-GR``. One of the choices must be the answer
                of this locale.

        Raises:
            DataError: the item has no template, or no choice is the answer of the locale ``country``.
            UnknownNameError: the item's locale has no name for the country.
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
        """The index of the choice that is the English locale's answer to a cultural item, or ``None`` if no choice is this
        answer."""
        return next((index for index, owners in enumerate(self.owners) if ENGLISH in owners), None)

    @property
    def shared_with(self) -> tuple[str, ...]:
        """The codes of the other locales with the same answer to a cultural item. The item cannot distinguish its locale from
        these locales."""
        own = self.owners[self.answer] if self.owners else ()
        return tuple(code for code in own if code != self.locale)

    @property
    def answers(self) -> dict[str, str]:
        """The answer of every locale to a cultural item, in the language of the item. The dictionary is empty for a factual
        item."""
        return {
            owner: choice
            for choice, owners in zip(self.choices, self.owners or ((),) * len(self.choices), strict=True)
            for owner in owners
        }

    def prompt(self, form: Form = "implicit") -> Prompt:
        """Returns the open prompt of this item, which does not list the choices. The explicit ``form`` names the country, and the
        implicit form does not.

        Raises:
            DataError: the explicit form is requested, but the item has no explicit question.
        """
        if form == "explicit" and not self.explicit:
            raise DataError(
                f"item {self.concept!r} in {self.locale} has no explicit question: expected a cultural item with a question "
                "that names the country. Use the implicit prompt, or give the item a field 'explicit'."
            )
        question = self.explicit if form == "explicit" else self.question
        text = question if self.cloze else locale(self.locale).prompt(question)
        return Prompt(text, self.concept, self.locale, self.kind, form, self.topic, self.relation)


def letter_order(item: Item, seed: int = 0) -> list[int]:
    """Returns the indices of the choices of ``item``, in the order in which the letter format lists the choices. The order
    depends on ``seed`` and the concept, so the order is the same in all locales."""
    order = list(range(len(item.choices)))
    random.Random(f"{seed}/{item.concept}").shuffle(order)
    return order


@dataclass(frozen=True)
class Items(Sequence[Item]):
    """An ordered collection of items that can be divided by locale, kind and concept."""

    items: Sequence[Item]
    """The items, as a tuple. A very large number of items is stored as a sequence that creates each item when the item is
    used."""
    name: str = "items"
    """The name of the items in tables."""
    notes: Mapping[str, int] = field(default_factory=dict, compare=False)
    """The number of rows that a loader left out, by reason. The notes are not part of the digest."""

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
        """Returns the items of one ``kind`` (``factual`` or ``cultural``) and one ``locale``. ``None`` keeps all kinds or all
        locales.

        Raises:
            UnknownNameError: these items contain no item of the locale.
        """
        if locale is not None and locale not in self.locales:
            raise UnknownNameError("locale", locale, self.locales, "These are the locales that the items contain.")
        return self.where(lambda item: kind in (None, item.kind) and locale in (None, item.locale))

    def only(self, concepts: Iterable[str]) -> "Items":
        """Returns the items with these ``concepts``, which are ids. Ids that no item has are ignored."""
        wanted = set(concepts)
        return self.where(lambda item: item.concept in wanted)

    def where(self, keep: Callable[[Item], bool]) -> "Items":
        """Returns the items for which ``keep`` returns true. Example: ``items.where(lambda item: "CS" in item.tags)``."""
        return replace(self, items=tuple(filter(keep, self.items)))

    def distinctive(self) -> "Items":
        """Returns the items without the cultural items whose answer is the same as the English locale's answer. The removed items
        cannot distinguish a local answer from an English-centric answer. Items whose answer is shared with other locales are
        kept, and ``shared_with`` names these locales."""
        return self.where(lambda item: item.locale == ENGLISH or ENGLISH not in item.shared_with)

    def about(self, country: str) -> "Items":
        """Returns the cultural items that can name another locale's country. In the returned items, the question names the other
        country, and the right answer is the answer of the other locale.

        Three kinds of items are left out: items of the other locale, items whose own answer is the same, and items without a
        template.

        Args:
            country: the code of the locale whose country is named, for example ``el-GR``.

        Raises:
            DataError: no item can name the country.
        """
        named = tuple(item.about(country) for item in self.items if _can_name(item, country))
        if not named:
            raise DataError(
                f"no item of {self.name!r} has both a template and a different answer for {country}: expected cultural items of "
                f"other locales that contain the answers of {country}. For example, give the items of the atlas."
            )
        return replace(self, items=named)

    def spelled_as_in_english(self) -> "Items":
        """Returns the factual items whose answer is the same string as in English (``Madrid``, ``Na``), except for accents. A
        right answer to such an item does not show in which language the model knows the fact."""
        english = {item.concept: plain(item.choices[item.answer]) for item in self.items if item.locale == ENGLISH}
        return self.where(lambda item: item.kind == "factual" and english.get(item.concept) == plain(item.choices[item.answer]))

    def parallel(self) -> "Items":
        """Returns the items of the concepts that every locale of these items has."""
        places: dict[str, int] = {}
        for item in self.items:
            places[item.concept] = places.get(item.concept, 0) + 1
        return self.only(concept for concept, n in places.items() if n == len(self.locales))

    def sample(self, n: int | Mapping[Kind, int | None] | None, *, seed: int = 0) -> "Items":
        """Returns the items of ``n`` concepts of each kind, with all wordings of these concepts. ``seed`` decides which concepts
        are drawn. ``n`` may also be a number for each kind: ``{"factual": 8}`` takes 8 factual and no cultural concepts. ``None``
        takes all concepts. A kind with fewer than ``n`` concepts gives all of them. With the same seed, a smaller sample is part
        of a larger sample."""
        if n is None:
            return self
        numbers = n if isinstance(n, Mapping) else dict.fromkeys(KINDS, n)

        def drawn(concept: str) -> float:
            return place(seed, f"sample/{concept}")  # ``split`` divides by another place

        names = {kind: {concept_of(one) for one in self.of(kind=kind).concepts} for kind in KINDS}
        chosen = {concept for kind in KINDS for concept in sorted(names[kind], key=drawn)[: numbers.get(kind, 0)]}
        return self.where(lambda item: concept_of(item.concept) in chosen)

    def to_frame(self) -> "pd.DataFrame":
        """Returns a table with one row per item. The columns are concept, locale, kind, topic, source, prompt, choices and answer
        (as text)."""
        import pandas as pd

        columns = ["concept", "locale", "kind", "topic", "source", "prompt", "choices", "answer"]
        rows = (
            (i.concept, i.locale, i.kind, i.topic, i.source, i.prompt().text, i.choices, i.choices[i.answer]) for i in self.items
        )
        return pd.DataFrame(rows, columns=columns)

    def prompts(self, *, explicit: bool = True) -> tuple[Prompt, ...]:
        """Returns the implicit prompts of all items. If ``explicit`` is true, the explicit prompts of the items with an explicit
        question follow."""
        implicit = [item.prompt() for item in self.items]
        return (*implicit, *(item.prompt("explicit") for item in self.items if explicit and item.explicit))

    def english_pairs(self, locale: str, kind: Kind = "factual") -> PromptPairs:
        """Returns EN pairs. A pair has the English prompt as the positive side and the locale's prompt as the negative side. Each
        concept that both locales have gives one pair.

        Args:
            locale: the locale that is contrasted with English.
            kind: the kind of the concepts. ``cultural`` makes pairs of implicit cultural prompts. Vectors from these pairs show
                how much an EN vector depends on facts.

        Raises:
            PairsError: no concept has prompts in both locales, or the locale is English.
            UnknownNameError: these items contain no item of the locale.
        """
        return english_pairs((*self.of(locale=ENGLISH).prompts(), *self.of(locale=locale).prompts()), locale, kind)

    def other_country_pairs(self, locale: str, country: str) -> PromptPairs:
        """Returns pairs of an explicit prompt and the same prompt with the name of another country, in the same language. Both
        prompts of a pair name a country, so the prompts differ only in the country and not in their form.

        Args:
            locale: the locale of the questions.
            country: the code of the locale whose country the negative prompts name.

        Raises:
            PairsError: no cultural item of this locale has both prompts.
            UnknownNameError: these items contain no item of the locale.
        """
        own = [item for item in self.of(locale=locale) if item.explicit and _can_name(item, country)]
        positive = tuple(item.prompt("explicit") for item in own)
        return PromptPairs(positive, tuple(item.about(country).prompt() for item in own), f"LOC against {country}", locale)

    def localized_pairs(self, locale: str) -> PromptPairs:
        """Returns LOC pairs of a ``locale``. A pair has the explicit prompt as the positive side and the implicit prompt as the
        negative side. Each cultural concept of the locale gives one pair.

        Raises:
            PairsError: no cultural item of this locale has an explicit question.
            UnknownNameError: these items contain no item of the locale.
        """
        return localized_pairs(self.of(locale=locale).prompts(), locale)

    def named_pairs(self, locale: str, kind: Kind = "factual", country: str = "") -> PromptPairs:
        """Returns pairs of a question with the country's name in front (``España: ¿Qué …?``) and the question without the name.

        The questions may also be factual, although factual questions have no LOC pairs. Vectors from pairs of factual questions
        show how much a LOC vector depends on culture.

        Args:
            locale: the locale of the questions.
            kind: the kind of the questions, ``factual`` or ``cultural``.
            country: the country's name in the language. ``""`` takes the form that most explicit questions of the locale use.

        Raises:
            PairsError: there are no items of this kind, or no explicit question contains the country's name.
            UnknownNameError: these items contain no item of the locale.
        """
        own = self.of(locale=locale)
        named = country or named_country(locale, (item.explicit for item in own))
        return named_pairs({item.concept: item.question for item in own.of(kind=kind)}, kind, locale, named)

    def split(self, *, seed: int = 0, shares: Shares = SHARES, holdout: Holdout = "concept") -> "Split":
        """Divides the items into train, dev and test, at random and by concept. The items of each kind and topic are divided
        approximately in the given shares.

        The part of a concept depends only on the seed and the concept's id, so the part does not change when items are added.
        Concepts whose ids are the same up to ``#`` go to the same part.

        Args:
            seed: the seed of the division.
            shares: the shares of train, dev and test, which add up to 1.
            holdout: the unit that is divided. ``concept`` divides concepts. ``relation`` keeps all facts of a relation together,
                so a vector is tested on relations from which it was not computed. Items without a relation are divided by
                concept.

        Raises:
            DataError: the shares do not add up to 1, or there are fewer than three concepts or relations of a kind.
            UnknownNameError: ``holdout`` is not ``concept`` or ``relation``.
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
        """Divides the items into ``n`` folds by concept, with each kind divided evenly. ``seed`` decides the division. Concepts
        whose ids are the same up to ``#`` go to the same fold.

        Raises:
            DataError: there are fewer concepts of a kind than folds.
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
        """Returns the SHA-256 digest of the complete content of the items, in order."""
        content = json.dumps([asdict(item) for item in self.items], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def _can_name(item: Item, country: str) -> bool:
    """Returns whether an item can name the country of another locale that has a different answer."""
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
