"""Turns items into questions for a model. A question contains the tokens of the prompt and of each choice, and the divisors
that normalise log probabilities."""

import math
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from steerlens.data import Form, Item, letter_order, locale
from steerlens.data.splits import group_of
from steerlens.errors import PromptError
from steerlens.models.batches import Row
from steerlens.models.lens import LensModel
from steerlens.models.tokens import Text
from steerlens.settings import Scoring


@dataclass(frozen=True)
class Question:
    """An item as tokens. A choice has one or more names (its text and its aliases), and each name has a divisor."""

    item: Item
    row: Row
    """The tokens of the prompt and of the names of the choices, in the item's order of choices."""
    divisors: tuple[float, ...]
    """The number by which the sum of each name's log probabilities is divided."""
    choices: tuple[int, ...]
    """The index of the choice to which each name belongs, in ascending order."""

    def best_names(self, sums: Sequence[float]) -> list[int]:
        """Returns, for each choice, the index of the name with the highest score. If the score of a name is NaN, the index of
        this name is returned.

        Args:
            sums: for each name, the sum of the log probabilities of its tokens.
        """
        names: dict[int, list[int]] = {}
        for name, choice in enumerate(self.choices):
            names.setdefault(choice, []).append(name)

        def rank(name: int) -> tuple[bool, float]:
            score = self.score(name, sums)
            return math.isnan(score), score  # a NaN must not be hidden by another name's score

        return [max(own, key=rank) for own in names.values()]

    def score(self, name: int, sums: Sequence[float]) -> float:
        """Returns the score of a name.

        Args:
            name: the index of the name.
            sums: for each name, the sum of the log probabilities of its tokens.
        """
        return sums[name] / self.divisors[name]


def ask(model: LensModel, item: Item, scoring: Scoring) -> Question:
    """Tokenizes an item's prompt and all names of its choices. The prompt and the names are separated at the first token that
    differs between the names.

    Raises:
        PromptError: there are fewer than two choices, a choice is empty, or the text is longer than the model's context.
    """
    if len(item.choices) < 2:
        raise PromptError(f"item {item.concept!r} in {item.locale} has {len(item.choices)} choices: expected at least two.")
    choices, continuations = _named(item, scoring)
    if scoring.chat:
        continuations = [continuation.strip() for continuation in continuations]
    ids, names = model.tokenizer.split(prompt_of(item, scoring), continuations)
    divisors = {
        "token": [float(len(name)) for name in names],
        "character": [float(len(continuation.strip())) for continuation in continuations],
        "none": [1.0] * len(names),
    }[scoring.normalisation]
    return Question(item, model.row(ids, names), tuple(divisors), tuple(choices))


def prompt_of(item: Item, scoring: Scoring) -> Text:
    """Returns the text of an item's prompt or, with ``chat``, the turns of a conversation. The solved examples of the scoring
    come before the item."""
    text = _put(item, scoring)[0]
    solved = [(asked, own[example.answer]) for example, asked, own in _solved(item, scoring)]
    if not scoring.chat:
        return "".join(f"{asked}{answer}\n\n" for asked, answer in solved) + text
    turns = [turn for asked, answer in solved for turn in (_turn("user", asked), _turn("assistant", answer))]
    return [*turns, _turn("user", text)]


def expected_text(item: Item, scoring: Scoring) -> str:
    """Returns the right text after an item's prompt: the item's answer, or the letter of the answer."""
    return _put(item, scoring)[1][item.answer].strip()


def _put(item: Item, scoring: Scoring) -> tuple[str, list[str]]:
    """Returns the text of the prompt, and for each choice the text that follows the prompt."""
    form: Form = scoring.form if item.explicit else "implicit"
    return _letters(item, form, scoring) if scoring.style == "letters" else _open(item, form)


def _named(item: Item, scoring: Scoring) -> tuple[list[int], list[str]]:
    """Returns for each name the index of its choice and the text that follows the prompt. The names of a choice are its text
    and, if the scoring uses aliases, its aliases."""
    shown = _put(item, scoring)[1]
    if scoring.style == "letters" or not scoring.aliases or not item.aliases:
        return list(range(len(shown))), shown
    space = locale(item.locale).space
    named = [(at, [text, *(space + alias for alias in item.aliases[at])]) for at, text in enumerate(shown)]
    return [at for at, names in named for _ in names], [name for _, names in named for name in names]


def _solved(item: Item, scoring: Scoring) -> Iterator[tuple[Item, str, list[str]]]:
    """Yields the solved examples that come before an item. The examples are in the item's locale and about other
    concepts."""
    for example in scoring.examples:
        if example.locale == item.locale and group_of(example.concept) != group_of(item.concept):
            yield example, *_put(example, scoring)


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content.strip()}


def _open(item: Item, form: Form) -> tuple[str, list[str]]:
    space = locale(item.locale).space
    return item.prompt(form).text, [space + choice for choice in item.choices]


def _letters(item: Item, form: Form, scoring: Scoring) -> tuple[str, list[str]]:
    place, question = locale(item.locale), item.explicit if form == "explicit" else item.question
    order = letter_order(item, scoring.seed)
    letters = string.ascii_uppercase
    listed = "\n".join(f"{letters[at]}. {item.choices[index]}" for at, index in enumerate(order))
    asked = replace(item, question=f"{question}\n{listed}\n{place.choose}").prompt("implicit").text
    return asked, [place.space + letters[order.index(index)] for index in range(len(order))]
