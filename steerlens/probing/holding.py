"""What is held out together: concepts, locales, topics or relations; and which prompts are told apart at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from steerlens.activations import ResidualStack
from steerlens.data import Prompt
from steerlens.errors import DataError, UnknownNameError
from steerlens.probing.folds import Folds

HoldOut = Literal["concept", "locale", "topic", "relation"]
ALL = "all"
"""The row of all locales together: one probe for all of them, not the mean of theirs."""


@dataclass(frozen=True, eq=False)
class Group:
    """Prompts that one probe is fitted to, and the folds."""

    stack: ResidualStack
    folds: Folds
    parts: dict[str, Folds]
    """The folds that the rows of a table are about, by locale."""

    @property
    def concepts(self) -> list[str]:
        """Each prompt's concept."""
        return concepts_of(self.stack.prompts)


def implicit(stack: ResidualStack) -> ResidualStack:
    """The factual and the implicit cultural prompts: an explicit one names a country, which gives it away.

    Raises:
        PromptError: there are none.
    """
    return stack.where(lambda prompt: prompt.form != "explicit" and prompt.kind in ("factual", "cultural"))


def concepts_of(prompts: Sequence[Prompt]) -> list[str]:
    """Each prompt's concept; a free text is its own."""
    return [prompt.concept or prompt.text for prompt in prompts]


def labels_of(prompts: Sequence[Prompt]) -> list[int]:
    """1 for factual, 0 for cultural."""
    return [int(prompt.kind == "factual") for prompt in prompts]


def by_locale(stack: ResidualStack) -> dict[str, ResidualStack]:
    """Each locale's prompts, and under ``all`` those of all locales where there are several."""
    locales = tuple(dict.fromkeys(prompt.locale for prompt in stack.prompts))
    groups = {name: stack.of([p for p in stack.prompts if p.locale == name]) for name in locales}
    return {**groups, ALL: stack} if len(locales) > 1 else groups


def groups(stack: ResidualStack, hold_out: HoldOut, n_folds: int, seed: int) -> list[Group]:
    """The groups of an implicit stack, with folds that hold out what is asked for.

    Raises:
        UnknownNameError: no such thing to hold out.
        DataError: too few concepts, topics or locales, or prompts that carry no topic.
    """
    if hold_out not in get_args(HoldOut):
        raise UnknownNameError("thing to hold out", hold_out, get_args(HoldOut))
    if hold_out == "locale":
        prompts = stack.prompts
        folds = Folds.across(labels_of(prompts), concepts_of(prompts), [prompt.locale for prompt in prompts], n_folds, seed)
        return [Group(stack, folds, {**{name: folds.named(name) for name in dict.fromkeys(folds.names)}, ALL: folds})]
    found = []
    for name, own in by_locale(stack).items():
        try:
            folds = Folds.by_concept(labels_of(own.prompts), _held(own.prompts, hold_out), n_folds, seed, what=f"{hold_out}s")
        except DataError as error:
            raise DataError(f"locale {name}: {error}") from error
        found.append(Group(own, folds, {name: folds}))
    return found


def _held(prompts: Sequence[Prompt], hold_out: HoldOut) -> list[str]:
    """What each prompt's fold is decided by."""
    if hold_out == "concept":
        return concepts_of(prompts)
    if any(not prompt.topic for prompt in prompts):
        bare = next(prompt.text for prompt in prompts if not prompt.topic)
        raise DataError(
            f"some prompts carry no topic, as {bare!r}, so no {hold_out} can be held out. "
            "Capture prompts of items that have one (items.prompts())."
        )
    return [prompt.topic if hold_out == "topic" else f"{prompt.topic}/{prompt.relation}" for prompt in prompts]
