"""Finds the labels of prompts, and the groups that are held out together: concepts, locales, topics or relations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from steerlens.activations import ResidualStack
from steerlens.data import KINDS, Prompt
from steerlens.data.splits import group_of
from steerlens.errors import DataError, UnknownNameError
from steerlens.probing.folds import Folds

HoldOut = Literal["concept", "locale", "topic", "relation"]
"""The part of the data that a probe is tested on but not trained on: concepts, a locale with its concepts, a topic, or a
relation."""
ALL = "all"
"""The name for the rows of all locales together. One probe is fitted to all these rows, so its score is not the mean over the
locales."""


@dataclass(frozen=True, eq=False)
class Group:
    """The prompts to which one probe is fitted, and the folds of its cross-validation."""

    stack: ResidualStack
    """The residuals of the prompts."""
    folds: Folds
    """The folds of the prompts."""
    parts: dict[str, Folds]
    """The folds from which the rows of a table are computed, by locale."""
    concepts: list[str]
    """The concept of each prompt, or the group that the user gave for the prompt."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Prompts with their labels, and the groups of prompts that are held out together."""

    stack: ResidualStack
    """The residuals of the prompts."""
    labels: Mapping[Prompt, int]
    """The label of each prompt, 1 or 0: factual or cultural, or the user's own labels."""
    groups: Mapping[Prompt, str]
    """The concept of each prompt, or the group that the user gave for the prompt."""
    names: tuple[str, str] = ("factual", "cultural")
    """The names of labels 1 and 0, for errors."""

    def labels_of(self, prompts: Sequence[Prompt]) -> list[int]:
        """Returns each prompt's label."""
        return [self.labels[prompt] for prompt in prompts]

    def groups_of(self, prompts: Sequence[Prompt]) -> list[str]:
        """Returns each prompt's group."""
        return [self.groups[prompt] for prompt in prompts]

    def parts(self) -> dict[str, ResidualStack]:
        """Returns each locale's prompts, and all prompts together. If each locale has only one of the given labels, returns only
        all prompts together."""
        parts = by_locale(self.stack)
        both = any(len(set(self.labels_of(own.prompts))) == 2 for name, own in parts.items() if name != ALL)
        return parts if both or self.names == KINDS or ALL not in parts else {ALL: parts[ALL]}


def labelled(stack: ResidualStack, labels: Sequence[Any] | None = None, groups: Sequence[str] | None = None) -> Labelled:
    """Returns the prompts of a stack with their labels. If no labels are given, the labels are the kinds factual and cultural.

    Args:
        stack: residuals of the prompts.
        labels: a label for each prompt of the stack: 1 and 0, or ``True`` and ``False``. ``None`` takes the kind as the label,
            and leaves out explicit prompts, because a country's name reveals the kind.
        groups: a group name for each prompt. All prompts of a group are held out together. ``None`` takes the concept as the
            group, and a text without a concept is a separate group.

    Raises:
        DataError: the number of labels or groups differs from the number of prompts, a label is neither 1 nor 0, or a prompt has
            both labels.
        PromptError: there are no factual and cultural prompts, and no labels were given.
    """
    for what, given in (("labels", labels), ("groups", groups)):
        if given is not None and len(given) != len(stack.prompts):
            raise DataError(f"{len(given)} {what} were given for {len(stack.prompts)} prompts: expected the same number of both.")
    held = dict(zip(stack.prompts, groups if groups is not None else concepts_of(stack.prompts), strict=True))
    if labels is None:
        told = implicit(stack)
        return Labelled(told, dict(zip(told.prompts, labels_of(told.prompts), strict=True)), held)
    wrong = [label for label in labels if label not in (0, 1)]
    if wrong:
        raise DataError(f"label {wrong[0]!r} was given: expected only 1 and 0, or only True and False.")
    found: dict[Prompt, int] = {}
    for prompt, label in zip(stack.prompts, map(int, labels), strict=True):
        if found.setdefault(prompt, label) != label:
            raise DataError(f"prompt {prompt.text!r:.60} is labelled both 1 and 0: expected one label for each prompt.")
    return Labelled(stack, found, held, ("positive", "negative"))


def implicit(stack: ResidualStack) -> ResidualStack:
    """Returns the factual and the implicit cultural prompts. Explicit prompts are left out, because they name a country, which
    reveals the kind.

    Raises:
        PromptError: there are no factual and implicit cultural prompts.
    """
    return stack.where(lambda prompt: prompt.form != "explicit" and prompt.kind in ("factual", "cultural"))


def concepts_of(prompts: Sequence[Prompt]) -> list[str]:
    """Returns each prompt's concept. The concept of a free text is the text itself."""
    return [group_of(prompt.concept) or prompt.text for prompt in prompts]


def labels_of(prompts: Sequence[Prompt]) -> list[int]:
    """Returns 1 for each factual prompt and 0 for each cultural prompt."""
    return [int(prompt.kind == "factual") for prompt in prompts]


def by_locale(stack: ResidualStack) -> dict[str, ResidualStack]:
    """Returns each locale's prompts and, if there are several locales, the prompts of all locales under ``all``."""
    locales = tuple(dict.fromkeys(prompt.locale for prompt in stack.prompts))
    groups = {name: stack.of([p for p in stack.prompts if p.locale == name]) for name in locales}
    if locales == ("",):  # free texts without a locale
        return {ALL: stack}
    return {**groups, ALL: stack} if len(locales) > 1 else groups


def groups(told: Labelled, hold_out: HoldOut, n_folds: int, seed: int) -> list[Group]:
    """Returns the prompts to which each probe is fitted, with folds that hold out the requested part of the data.

    Args:
        told: the prompts with their labels.
        hold_out: the kind of group that is held out.
        n_folds: the number of folds. If a label has fewer groups, there are fewer folds.
        seed: the seed of the folds.

    Raises:
        UnknownNameError: ``hold_out`` is not a known kind of group.
        DataError: there are too few concepts, topics or locales, or prompts have no topic.
    """
    if hold_out not in get_args(HoldOut):
        raise UnknownNameError("thing to hold out", hold_out, get_args(HoldOut))
    if hold_out == "locale":
        prompts, own_groups = told.stack.prompts, told.groups_of(told.stack.prompts)
        places = [prompt.locale for prompt in prompts]
        folds = Folds.across(told.labels_of(prompts), own_groups, places, n_folds, seed, names=told.names)
        named = {name: folds.named(name) for name in dict.fromkeys(folds.names)}
        return [Group(told.stack, folds, {**named, ALL: folds}, own_groups)]
    found = []
    for name, own in told.parts().items():
        held = told.groups_of(own.prompts) if hold_out == "concept" else _held(own.prompts, hold_out)
        try:
            folds = Folds.by_concept(told.labels_of(own.prompts), held, n_folds, seed, what=f"{hold_out}s", names=told.names)
        except DataError as error:
            raise DataError(f"locale {name}: {error}") from error
        found.append(Group(own, folds, {name: folds}, told.groups_of(own.prompts)))
    return found


def _held(prompts: Sequence[Prompt], hold_out: HoldOut) -> list[str]:
    """Returns the group of each prompt. All prompts of a group are held out together."""
    if any(not prompt.topic for prompt in prompts):
        bare = next(prompt.text for prompt in prompts if not prompt.topic)
        raise DataError(
            f"some prompts have no topic (for example {bare!r}), so no {hold_out} can be held out. Capture prompts of items "
            "that have a topic (items.prompts())."
        )
    return [prompt.topic if hold_out == "topic" else f"{prompt.topic}/{prompt.relation}" for prompt in prompts]
