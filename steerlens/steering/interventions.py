"""Interventions: an edit for each of several layers, with a name, a locale and the model to which the edits belong."""

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
    """An intervention on a model, with an edit for each of several layers. ``Intervention`` is the base class of steering
    vectors and of other edits by layer.

    Sweeps, the search, the explorer and vector sets accept any intervention. Your own intervention needs the attributes of
    this class and the methods ``edit`` and ``random_like``. In a file, an intervention is stored as ``LayerEdits``, with the
    edit of each layer.
    """

    name: str
    """The name of the intervention: ``EN``, ``LOC``, or your own name."""
    locale: str = ""
    """The locale on whose items the intervention is used; ``""`` means all items."""
    layers: tuple[int, ...]
    """The block indices in ascending order."""
    fingerprint: Fingerprint
    """The fingerprint of the model from which the intervention was taken."""
    score: str = ""
    """The score that the intervention is meant to raise; ``""`` if no score was given."""
    notes: Mapping[str, Any] = MappingProxyType({})
    """Other information about the intervention, as JSON values."""

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
        """Returns a control: the same operation at each layer, with a random direction or map of the same size.

        Args:
            key: a text. The seed of the random draw is made from this text, the layer and ``number``.
            number: the number of the draw.
        """

    @property
    def label(self) -> str:
        """The name and the locale, for example ``EN es-ES``."""
        return f"{self.name} {self.locale}".strip()

    @property
    def step_label(self) -> str:
        """The name of this intervention in the steps of plans."""
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
        """Returns the plan that makes the intervention's edit after one block, or after each of several blocks.

        Args:
            layers: one block index or several block indices. The residual stream is edited at the same hook point at which it
                was read.
            strength: the factor by which the raw difference of means is multiplied. A negative factor reverses the direction.
                For an ablation or a projection, the strength is the share of the full edit that is made.
            tokens: the choice of steered tokens. ``last_onward`` steers the last prompt token and all later tokens. ``all``
                steers every token except special tokens in front of the text (such as BOS). ``prompt`` steers only the prompt,
                and ``generated`` steers only generated tokens.

        Raises:
            LayerError: there is no edit at one of the layers.
            UnknownNameError: there is no such choice of tokens.
            VectorError: the strength is not finite.
        """
        wanted = layers_of(layers, self.layers, f"vector {self.label}")
        steps = [Step(self.edit(layer), layer, strength, tokens, self.step_label) for layer in wanted]  # type: ignore[arg-type]
        return SteeringPlan(tuple(steps), self.fingerprint)

    def called(self, name: str) -> "Intervention":
        """Returns a copy of the intervention with another name. With different names, two interventions of one kind can be
        used together.

        Args:
            name: the name in tables and plans.
        """
        return altered(self, name=name)


@dataclass(frozen=True, eq=False)
class LayerEdits(Intervention):
    """An intervention with any operation: one edit for each layer."""

    edits: Mapping[int, Edit]
    """The edit of each layer, by block index."""
    fingerprint: Fingerprint
    """The fingerprint of the model for which the edits were made."""
    name: str = "custom"
    """The name of the edits, for example ``EN ablated``."""
    locale: str = ""
    """The locale on whose items the edits are used; ``""`` means all items."""
    score: str = ""
    """The score that the edits are meant to raise; ``""`` if no score was given."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Other information about the intervention, as JSON values."""
    source: str = ""
    """The name of this intervention in the steps of plans: the label of the vector from which the edits were made. Descriptions
    of plans use the vector's label. If the source is ``""``, the label of the edits is used."""

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
        """The block indices in ascending order."""
        return tuple(self.edits)

    @property
    def step_label(self) -> str:
        """The name of this intervention in the steps of plans: the label of the vector from which the edits were made."""
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
            key: a text. The seed of the random draw is made from this text, the layer and ``number``.
            number: the number of the draw.
        """
        drawn = {layer: edit.random_like(generator(f"{key}/{layer}/{number}")) for layer, edit in self.edits.items()}
        return replace(self, edits=drawn)


def altered(vector: SomeIntervention, **fields: Any) -> SomeIntervention:
    """Returns a copy of an intervention with some attributes changed.

    Args:
        vector: a steering vector, ``LayerEdits``, or your own intervention, which does not have to be a dataclass.
        fields: the new attributes by name.
    """
    if is_dataclass(vector):
        return cast(SomeIntervention, replace(cast(Any, vector), **fields))
    made = copy(vector)
    vars(made).update(fields)
    return made


def in_common(first: Intervention, second: Intervention) -> dict[str, Any]:
    """Returns the locale, score and notes of a combination of two interventions. An attribute is kept only if the two
    interventions agree.

    If the locales differ, the locale of the result is ``""``, which means all items.

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
    """Returns a random number generator whose seed is made from a text. The generator gives the same numbers on every
    machine."""
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1)
