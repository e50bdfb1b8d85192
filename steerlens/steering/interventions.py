"""Interventions: one edit for each of some layers, with the name, the locale and the model to which they belong."""

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

    Sweeps, the search, the explorer and vector sets accept any intervention. Your own intervention needs these attributes,
    ``edit`` and ``random_like``. In a file it is stored as ``LayerEdits``, with the edit of each layer.
    """

    name: str
    """``EN``, ``LOC`` or the user's own."""
    locale: str = ""
    """The locale whose items it is for; all items for ``""``."""
    layers: tuple[int, ...]
    """The block indices, ascending."""
    fingerprint: Fingerprint
    """The model from which it was taken."""
    score: str = ""
    """The score that it is meant to raise; ``""`` if none was given."""
    notes: Mapping[str, Any] = MappingProxyType({})
    """Any other information, as JSON values."""

    @abstractmethod
    def edit(self, layer: SupportsIndex) -> Edit:
        """Returns the edit at one layer.

        Args:
            layer: a block's index.

        Raises:
            LayerError: there is no edit at this layer.
        """

    @abstractmethod
    def random_like(self, key: str, number: int = 0) -> "Intervention":
        """Returns a control: the same operation with the same size at each layer, with a random direction or map.

        Args:
            key: a seed of the draw, used together with the layer.
            number: the number of the draw.
        """

    @property
    def label(self) -> str:
        """The name and the locale, for example ``EN es-ES``."""
        return f"{self.name} {self.locale}".strip()

    @property
    def step_label(self) -> str:
        """The name of the steps of plans with this intervention."""
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
            layers: a block's index or several; vectors are added at the same place at which they were read.
            strength: the factor on the raw difference of means; a negative factor reverses the direction. For an ablation or a
                projection, it is the share of the edit.
            tokens: ``last_onward`` steers from the last prompt token onward, ``all`` every token except those in front of the
                text, ``prompt`` only the prompt, ``generated`` only generated tokens.

        Raises:
            LayerError: there is no edit at one of the layers.
            UnknownNameError: there is no such choice of tokens.
            VectorError: the strength is not finite.
        """
        wanted = layers_of(layers, self.layers, f"vector {self.label}")
        steps = [Step(self.edit(layer), layer, strength, tokens, self.step_label) for layer in wanted]  # type: ignore[arg-type]
        return SteeringPlan(tuple(steps), self.fingerprint)

    def called(self, name: str) -> "Intervention":
        """Returns the same intervention with another name, so that two interventions of one kind can be used together.

        Args:
            name: the name in tables and plans.
        """
        return altered(self, name=name)


@dataclass(frozen=True, eq=False)
class LayerEdits(Intervention):
    """Edits of any operation, one for each layer."""

    edits: Mapping[int, Edit]
    """The edits by block index."""
    fingerprint: Fingerprint
    """The model for which they were made."""
    name: str = "custom"
    """Their name, for example ``EN ablated``."""
    locale: str = ""
    """The locale whose items they are for; all items for ``""``."""
    score: str = ""
    """The score that they are meant to raise; ``""`` if none was given."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Any other information, as JSON values."""
    source: str = ""
    """The label of the vector from which they were made, for descriptions of plans; ``""`` uses their own label."""

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
        """The label of the vector from which the edits were made."""
        return self.source or self.label

    def edit(self, layer: SupportsIndex) -> Edit:
        """Returns the edit at one layer.

        Args:
            layer: a block's index.

        Raises:
            LayerError: there is no edit at this layer.
        """
        return self.edits[self.layer(layer)]

    def random_like(self, key: str, number: int = 0) -> "LayerEdits":
        """Returns a control: each edit with a random direction or map of the same size.

        Args:
            key: a seed of the draw, used together with the layer.
            number: the number of the draw.
        """
        drawn = {layer: edit.random_like(generator(f"{key}/{layer}/{number}")) for layer, edit in self.edits.items()}
        return replace(self, edits=drawn)


def altered(vector: SomeIntervention, **fields: Any) -> SomeIntervention:
    """Returns a copy of an intervention with some attributes changed.

    Args:
        vector: a steering vector, edits by layer, or your own intervention, which need not be a dataclass.
        fields: the new attributes by name.
    """
    if is_dataclass(vector):
        return cast(SomeIntervention, replace(cast(Any, vector), **fields))
    made = copy(vector)
    vars(made).update(fields)
    return made


def in_common(first: Intervention, second: Intervention) -> dict[str, Any]:
    """Returns the attributes of a combination of two interventions: those that both share.

    If the locales differ, the result is for all items.

    Args:
        first: the first intervention.
        second: the second intervention.
    """
    return {
        "locale": first.locale if first.locale == second.locale else "",
        "score": first.score if first.score == second.score else "",
        "notes": dict(first.notes) if first.notes == second.notes else {},
    }


def generator(key: str) -> torch.Generator:
    """Returns the random number generator that belongs to a text. It is the same on every machine."""
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1)
