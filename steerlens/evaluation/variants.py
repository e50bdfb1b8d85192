"""Variants: the conditions under which items are answered (unsteered, explicit prompt, methods and controls). Each variant has
a label for its rows of the table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from steerlens.data import Item, Items
from steerlens.errors import SettingsError
from steerlens.evaluation.methods import EXPLICIT, ExplicitPrompt, Method, Prepared
from steerlens.models.lens import LensModel
from steerlens.steering import UNSTEERED, Controls

Label = dict[str, Any]
LABEL_COLUMNS = ("method", "of", "control", "draw")
"""The columns that identify a row's method."""


def together(variants: Sequence[tuple[Label, Prepared]]) -> list[list[int]]:
    """Returns groups of variants that are run together, as lists of their numbers. The variants of a group have the same
    model, prompt form, hooks and items."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for number, (label, own) in enumerate(variants):
        alike = (id(own.model), own.form, tuple(map(id, own.hooks)), label["method"] == EXPLICIT)
        groups.setdefault(alike, []).append(number)
    return list(groups.values())


def asked_of(items: Iterable[Item], label: Label) -> list[Item]:
    """Returns the items on which a variant is measured. The variant ``explicit prompt`` is measured on items with an explicit
    prompt, and every other variant on all items."""
    return [item for item in items if item.explicit or label["method"] != EXPLICIT]


def _label(method: str, of: str = "", control: str = "", draw: int = 0) -> Label:
    return {"method": method, "of": of, "control": control, "draw": draw}


def variants_of(
    model: LensModel, methods: Mapping[str, Method], codes: Sequence[str], code: str, controls: Controls | None, *, explicit: bool
) -> list[tuple[Label, Prepared]]:
    """Returns all variants for a locale's items: unsteered, the explicit prompt, every method, and the controls of every
    method."""
    found = [(_label(UNSTEERED), Prepared(model))]
    if explicit:
        found.append((_label(EXPLICIT), ExplicitPrompt().prepared(model, code)))
    for name, method in methods.items():
        prepared = {own: method.prepared(model, own) for own in codes}
        found.append((_label(name), prepared[code]))
        plans = {own: one.plan for own, one in prepared.items() if one.plan is not None}
        if controls is not None and len(plans) == len(codes):
            drawn_by = controls.of(plans)
            for control, drawn in drawn_by.items():
                labels = (_label(f"{name}: {control}", name, control, at) for at in range(len(drawn[code])))
                found += [(label, replace(prepared[code], plan=plan)) for label, plan in zip(labels, drawn[code], strict=True)]
    return found


def check_tokens(model: LensModel, other: LensModel, name: str, items: Items) -> None:
    """Raises an error if a checkpoint tokenizes prompts differently, because scores per token would not be comparable.

    Raises:
        SettingsError: the two models tokenize a prompt differently.
    """
    if other is model or other.tokenizer.digest() == model.tokenizer.digest():
        return
    for item in items:
        text = item.prompt()
        if model.tokenizer.ids(text) != other.tokenizer.ids(text):
            raise SettingsError(
                f"method {name!r} is {other.name}, which splits {text.text!r} into other tokens than {model.name}: expected a "
                "checkpoint or an adapter of the same model. Use a separate plane for the other model."
            )
