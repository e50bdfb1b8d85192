"""Interventions: an edit for each of some layers, with the name, the locale and the model that they belong to."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, is_dataclass, replace
from types import MappingProxyType
from typing import Any, SupportsFloat, SupportsIndex, TypeVar, cast

import torch

from steerlens.errors import VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.numeric import Layers, layer_of, layers_of
from steerlens.settings import SteeredTokens
from steerlens.steering.edits import Edit
from steerlens.steering.plans import SteeringPlan
from steerlens.steering.steps import Step

SomeIntervention = TypeVar("SomeIntervention", bound="Intervention")


class Intervention(ABC):
    """An intervention on a model at one of several layers: the base class of steering vectors and of other edits by layer.

    Sweeps, the search, the explorer and vector sets take any intervention. Your own intervention needs these attributes, ``edit``
    and ``random_like``; in a file it is kept as ``LayerEdits``, with the edit of each layer.
    """

    name: str
    """``EN``, ``LOC`` or the user's own."""
    locale: str = ""
    """The locale whose items it is for; all items for ``""``."""
    layers: tuple[int, ...]
    """The block indices, ascending."""
    fingerprint: Fingerprint
    """The model that it was taken from."""
    score: str = ""
    """The score that it is meant to raise; ``""`` if nobody said so."""
    notes: Mapping[str, Any] = MappingProxyType({})
    """Anything else worth keeping, as JSON values."""

    @abstractmethod
    def edit(self, layer: SupportsIndex) -> Edit:
        """Returns the edit at one layer.

        Args:
            layer: a block's index.

        Raises:
            LayerError: there is none at this layer.
        """

    @abstractmethod
    def random_like(self, key: str, number: int = 0) -> "Intervention":
        """Returns a control: the same operation and size at each layer, with a direction or map drawn at random.

        Args:
            key: a seed of the draw, used together with the layer.
            number: the number of the draw.
        """

    @property
    def label(self) -> str:
        """The name and the locale, as ``EN es-ES``."""
        return f"{self.name} {self.locale}".strip()

    @property
    def step_label(self) -> str:
        """What the steps of plans are called."""
        return self.label

    def layer(self, layer: SupportsIndex) -> int:
        """Returns the layer as a plain number.

        Args:
            layer: a block's index.

        Raises:
            LayerError: there is no edit at this layer.
        """
        return layer_of(layer, self.layers, f"vector {self.label}")

    def at(self, layers: Layers, strength: SupportsFloat = 1.0, tokens: SteeredTokens = "last_onward") -> SteeringPlan:
        """Returns the plan that makes this edit after one block, or after each of several.

        Args:
            layers: a block's index or several; vectors are added at the same place where they were read.
            strength: the factor on the raw difference of means; a negative factor reverses the direction. For an ablation or a
                projection, it is the share of the edit.
            tokens: ``last_onward`` from the last prompt token, ``all`` except those in front of the text, ``prompt`` only, or
                ``generated`` only.

        Raises:
            LayerError: there is no edit at one of the layers.
            UnknownNameError: no such choice of tokens.
            VectorError: a strength that is not finite.
        """
        wanted = layers_of(layers, self.layers, f"vector {self.label}")
        steps = [Step(self.edit(layer), layer, strength, tokens, self.step_label) for layer in wanted]  # type: ignore[arg-type]
        return SteeringPlan(tuple(steps), self.fingerprint)

    def called(self, name: str) -> "Intervention":
        """Returns the same intervention under another name, so that two of one kind can be used together.

        Args:
            name: its name in tables and plans.
        """
        return altered(self, name=name)


@dataclass(frozen=True, eq=False)
class LayerEdits(Intervention):
    """Edits of any operation, one for each layer."""

    edits: Mapping[int, Edit]
    """By block index."""
    fingerprint: Fingerprint
    """The model that they were made for."""
    name: str = "custom"
    """What they are called, as ``EN ablated``."""
    locale: str = ""
    """The locale whose items they are for; all items for ``""``."""
    score: str = ""
    """The score that they are meant to raise; ``""`` if nobody said so."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Anything else worth keeping, as JSON values."""
    source: str = ""
    """The label of the vector that they were made from, for the words of plans; their own label for ``""``."""

    def __post_init__(self) -> None:
        layers = layers_of(self.edits, range(self.fingerprint.n_layers), self.fingerprint.name or "the model")
        wrong = {layer: edit.d_model for layer, edit in self.edits.items() if edit.d_model != self.fingerprint.d_model}
        if wrong:
            raise VectorError(
                f"edits of {self.label} have widths {wrong} by layer: expected the model's d_model, {self.fingerprint.d_model}."
            )
        object.__setattr__(self, "edits", {layer: self.edits[layer] for layer in layers})

    def __repr__(self) -> str:
        kinds = ", ".join(dict.fromkeys(edit.operation for edit in self.edits.values()))
        return f"LayerEdits({self.label}, {kinds}, layers {self.layers[0]} to {self.layers[-1]}, model={self.fingerprint.name!r})"

    @property
    def layers(self) -> tuple[int, ...]:  # type: ignore[override]
        """The block indices, ascending."""
        return tuple(self.edits)

    @property
    def step_label(self) -> str:
        """The label of the vector that the edits were made from."""
        return self.source or self.label

    def edit(self, layer: SupportsIndex) -> Edit:
        """Returns the edit at one layer.

        Args:
            layer: a block's index.

        Raises:
            LayerError: there is none at this layer.
        """
        return self.edits[self.layer(layer)]

    def random_like(self, key: str, number: int = 0) -> "LayerEdits":
        """Returns a control: each edit with a direction or map drawn at random, of the same size.

        Args:
            key: a seed of the draw, used together with the layer.
            number: the number of the draw.
        """
        drawn = {layer: edit.random_like(generator(f"{key}/{layer}/{number}")) for layer, edit in self.edits.items()}
        return replace(self, edits=drawn)


def altered(vector: SomeIntervention, **fields: Any) -> SomeIntervention:
    """Returns a copy of an intervention with some attributes changed.

    Args:
        vector: a steering vector, edits by layer, or an intervention of the user's own, which need not be a dataclass.
        fields: the attributes by name.
    """
    if is_dataclass(vector):
        return cast(SomeIntervention, replace(cast(Any, vector), **fields))
    made = copy(vector)
    vars(made).update(fields)
    return made


def in_common(first: Intervention, second: Intervention) -> dict[str, Any]:
    """Returns the attributes of two combined interventions: those that both have.

    The result is for all items where the locales differ.

    Args:
        first: one of them.
        second: the other one.
    """
    return {
        "locale": first.locale if first.locale == second.locale else "",
        "score": first.score if first.score == second.score else "",
        "notes": dict(first.notes) if first.notes == second.notes else {},
    }


def generator(key: str) -> torch.Generator:
    """Returns the random numbers that belong to a text, the same on every machine."""
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1)
