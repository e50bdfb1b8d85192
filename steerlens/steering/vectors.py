"""Steering vectors: one direction per layer, with information on their origin."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import UnknownNameError, VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.numeric import check_finite, divisor_of, finite_number, float_tensor, layers_of, whole_number
from steerlens.steering.directions import Ablate, Add, Project
from steerlens.steering.edits import Edit
from steerlens.steering.interventions import Intervention, LayerEdits, generator, in_common
from steerlens.storage import load_tensors, restored, save_tensors

KIND = "steering vector"
CONCEPTS = "concepts"
"""The name of the note that contains the ids of the concepts from which a vector was taken."""


@dataclass(frozen=True, eq=False)
class SteeringVector(Intervention):
    """A steering vector: one direction per layer, in the units of the residual stream. Strength 1 adds the difference of
    means itself.

    Vectors of one model with the same layers can be added and subtracted, and multiplied and divided by a number. The name of
    the result contains the names of the vectors from which it was computed, and the result has no digest of prompts. A sum
    keeps the locale if the two vectors have the same locale, and keeps the score if the two vectors have the same score. If
    the locales differ, the sum has no locale and is used on all items. If the scores differ, the sum has no score. A negated
    vector has no score.
    """

    directions: Float[Tensor, "layer d_model"]
    """The directions ``[layer, d_model]``, in float32 on the CPU. Other tensors and arrays of numbers are converted. The
    directions are constants without gradients."""
    layers: tuple[int, ...]
    """The block index of each direction, in ascending order."""
    fingerprint: Fingerprint
    """The fingerprint of the model from which the vector was taken."""
    name: str = "custom"
    """The name of the vector: ``EN``, ``LOC``, or your own name."""
    locale: str = ""
    """The locale on whose items the vector is used; ``""`` means all items."""
    n: int = 0
    """The number of pairs over which the mean was computed."""
    positions: str = "last"
    """The token position at which the residuals were read."""
    prompts_sha256: str = ""
    """The SHA-256 of the prompts from which the vector was taken."""
    score: str = ""
    """The score that the vector is meant to raise; ``""`` if no score was given."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Other information about the vector, as JSON values."""
    positive: Float[Tensor, " layer"] | None = None
    """The component of the positive prompts' mean residual along the unit direction of each layer; ``None`` if it was not
    measured."""

    def __post_init__(self) -> None:
        directions, n = float_tensor(self.directions, self.label), whole_number(self.n)
        layers = layers_of(self.layers, range(self.fingerprint.n_layers), self.fingerprint.name or "the model")
        if list(layers) != list(self.layers):
            raise VectorError(f"{self.label} has layers {list(self.layers)}: expected each layer only once, in ascending order.")
        if n is None or n < 0:
            raise VectorError(f"{self.label} has n={self.n!r}: expected the number of pairs, a whole number of 0 or more.")
        expected = (len(layers), self.fingerprint.d_model)
        if tuple(directions.shape) != expected:
            raise VectorError(f"{self.label} has shape {tuple(directions.shape)}: expected [layer, d_model] = {expected}.")
        finite = torch.isfinite(directions).all(dim=1)
        if not finite.all():
            bad = [layer for layer, good in zip(layers, finite.tolist(), strict=True) if not good]
            raise VectorError(
                f"{self.label} contains NaN or infinity at layers {bad}: expected finite numbers. Take the vector again. If "
                "the weights are in float16, load the model in bfloat16 or float32 first."
            )
        for name, own in {"directions": directions, "layers": layers, "n": n, "positive": self._component()}.items():
            object.__setattr__(self, name, own)

    def _component(self) -> Tensor | None:
        """Checks ``positive`` and returns it as a tensor."""
        if self.positive is None:
            return None
        positive = float_tensor(self.positive, f"positive of {self.label}")
        if tuple(positive.shape) != (len(self.layers),):
            raise VectorError(
                f"positive of {self.label} has shape {tuple(positive.shape)}: expected [{len(self.layers)}], one number for "
                "each layer."
            )
        check_finite(positive, f"positive of {self.label}")
        return positive

    def __repr__(self) -> str:
        span = f"layers {self.layers[0]} to {self.layers[-1]}"
        return f"SteeringVector({self.label}, {span}, n={self.n}, model={self.fingerprint.name!r})"

    def direction(self, layer: SupportsIndex) -> Float[Tensor, " d_model"]:
        """Returns the direction at one layer.

        Args:
            layer: a block's index.

        Raises:
            LayerError: the vector was not taken at this layer.
        """
        return self.directions[self.layers.index(self.layer(layer))]

    def edit(self, layer: SupportsIndex) -> Add:
        """Returns the edit that adds the direction of one layer.

        Args:
            layer: a block's index.

        Raises:
            LayerError: the vector was not taken at this layer.
        """
        return Add(self.direction(layer))

    def __add__(self, other: "SteeringVector | int") -> "SteeringVector":
        """Returns the sum of the two vectors. ``0 + vector`` returns the vector, so that ``sum()`` works.

        Raises:
            FingerprintError: the two vectors belong to different models.
            VectorError: the two vectors have different layers, or ``other`` is not a vector.
        """
        if whole_number(other) == 0:
            return self
        added = self._same_kind(other, "to add to")
        if added.layers != self.layers:
            raise VectorError(
                f"{self.label} has layers {self.layers}, but {added.label} has layers {added.layers}: expected the same layers."
            )
        read_at = ", ".join(dict.fromkeys((self.positions, added.positions)))
        both = {"n": self.n + added.n, "positions": read_at, **in_common(self, added)}
        return self._made(self.directions + added.directions, f"{self.name} + {added.name}", **both)

    __radd__ = __add__

    def __sub__(self, other: "SteeringVector") -> "SteeringVector":
        """Returns this vector minus the other vector. The errors are the same as for ``+``."""
        subtracted = self._same_kind(other, "to subtract from")
        return replace(self + -subtracted, name=f"{self.name} - {subtracted.name}")

    def __mul__(self, factor: SupportsFloat) -> "SteeringVector":
        """Returns the vector multiplied by a number.

        Raises:
            VectorError: the factor is not a finite number.
        """
        times = finite_number(factor, "factor", self.label)
        return self._made(times * self.directions, f"{times:g} {self.name}", score=self.score if times > 0 else "")

    __rmul__ = __mul__

    def __truediv__(self, divisor: SupportsFloat) -> "SteeringVector":
        """Returns the vector divided by a number.

        Raises:
            VectorError: the divisor is 0, or not a finite number.
        """
        return self * (1 / divisor_of(divisor, self.label))

    def __neg__(self) -> "SteeringVector":
        """Returns the vector that points in the opposite direction. The result has no score that it is meant to raise."""
        return self._made(-self.directions, f"-{self.name}", score="")

    def _made(self, directions: Float[Tensor, "layer d_model"], name: str, **others: Any) -> "SteeringVector":
        return replace(self, directions=directions, name=name, prompts_sha256="", positive=None, **others)

    def _same_kind(self, given: Any, doing: str) -> "SteeringVector":
        """Checks that the given object is a steering vector of the same model, and returns it."""
        if not isinstance(given, SteeringVector):
            raise VectorError(
                f"{type(given).__name__} given {doing} vector {self.label}: expected a steering vector. A plan can be added "
                "only to a plan. To make a plan from this vector, use vector.at(layer)."
            )
        given.fingerprint.check(self.fingerprint, f"vector {given.label}")
        return given

    def cosine(self, other: "SteeringVector") -> Float[Tensor, " layer"]:
        """Returns the cosine between the two vectors at each layer that the vectors share, in ascending order of layers. The
        cosine is 0 if a vector is zero.

        Args:
            other: a vector of the same model.

        Raises:
            FingerprintError: the two vectors belong to different models.
            LayerError: the two vectors share no layer.
            VectorError: ``other`` is not a vector.
        """
        known = self._same_kind(other, "to compare with")
        common = layers_of([x for x in self.layers if x in known.layers], self.layers, f"both {self.label} and {known.label}")
        own, theirs = (torch.stack([vector.direction(layer) for layer in common]) for vector in (self, known))
        return torch.cosine_similarity(own, theirs, dim=1)

    def rescaled(self, like: "SteeringVector | SupportsFloat") -> "SteeringVector":
        """Returns the vector with another length at each layer. Two vectors of the same length differ only in direction.

        Args:
            like: the vector whose norm at each layer is used, or one norm for all layers.

        Raises:
            FingerprintError: ``like`` belongs to another model.
            LayerError: ``like`` lacks a layer of this vector.
            VectorError: the norm is not finite, or is less than 0.
        """
        if isinstance(like, SteeringVector):
            norms = torch.stack([self._same_kind(like, "").direction(layer).norm() for layer in self.layers])
        elif (norm := finite_number(like, "norm", self.label)) < 0:
            raise VectorError(
                f"norm {norm:g} given for {self.label}: expected 0 or more. To reverse the direction, negate the vector."
            )
        else:
            norms = torch.full((len(self.layers),), norm)
        directions = torch.nn.functional.normalize(self.directions, dim=1) * norms[:, None]
        return replace(self, directions=directions, positive=None)

    def ablation(self) -> LayerEdits:
        """Returns the edits that remove the residual's component along this vector (Arditi et al., arXiv 2406.11717).

        Raises:
            VectorError: the direction of a layer is zero.
        """
        return self._edits("ablated", lambda layer: Ablate(self.direction(layer)))

    def projection(self, to: str | SupportsFloat = "positive") -> LayerEdits:
        """Returns the edits that set the residual's component along this vector to one value for all prompts.

        Args:
            to: the value of the component. ``positive`` or ``negative`` takes the component of the mean residual of the
                positive or negative prompts. A number is given in the units of the residual stream.

        Raises:
            UnknownNameError: ``to`` is a text other than ``positive`` and ``negative``.
            VectorError: ``to`` is a text and the vector does not contain the mean of the positive prompts, or the direction
                of a layer is zero.
        """
        if isinstance(to, str) and to not in ("positive", "negative"):
            raise UnknownNameError("class to project to", to, ("positive", "negative"), "You can also give a number.")
        name = to if isinstance(to, str) else f"{finite_number(to, 'value', self.label):g}"
        return self._edits(f"set to {name}", lambda layer: Project(self.direction(layer), self._mean(layer, to)))

    def _mean(self, layer: int, to: str | SupportsFloat) -> float:
        """Returns the value to which a projection sets the component at one layer."""
        if not isinstance(to, str):
            return finite_number(to, "value", self.label)
        if self.positive is None:
            raise VectorError(
                f"{self.label} does not contain the mean of the {to} prompts along its direction. Take the vector with "
                "difference_of_means, or give this mean as a number."
            )
        mean = float(self.positive[self.layers.index(layer)])
        return mean - (float(self.direction(layer).norm()) if to == "negative" else 0.0)

    def _edits(self, what: str, edit: Callable[[int], Edit]) -> LayerEdits:
        edits: dict[int, Edit] = {}
        for layer in self.layers:
            try:
                edits[layer] = edit(layer)
            except VectorError as error:
                raise VectorError(f"{self.label} at layer {layer}: {error}") from error
        name = f"{self.name} {what}"
        return LayerEdits(edits, self.fingerprint, name, self.locale, self.score, dict(self.notes), self.label)

    def random_like(self, key: str, number: int = 0) -> "SteeringVector":
        """Returns a control: random directions with this vector's norm at each layer. The directions are uniform over the
        sphere.

        Args:
            key: a text. The seed of the random draw is made from this text, the layer and ``number``.
            number: the number of the draw.
        """
        pairs = zip(self.layers, self.directions, strict=True)
        drawn = [Add(own).random_like(generator(f"{key}/{layer}/{number}")).direction for layer, own in pairs]
        return replace(self, directions=torch.stack(drawn), positive=None)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values of everything except the tensors."""
        names = ("name", "locale", "n", "positions", "prompts_sha256", "score", "notes")
        own = {name: getattr(self, name) for name in names}
        return {"layers": list(self.layers), "fingerprint": self.fingerprint.to_dict(), **own}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The vector's tensors by field, for saving to a file."""
        return {"directions": self.directions} | ({} if self.positive is None else {"positive": self.positive})

    def save(self, path: str | Path) -> Path:
        """Writes the vector and the information on its origin to one safetensors file.

        Args:
            path: the file, such as ``EN-es-ES.safetensors``.

        Raises:
            FileError: the file cannot be written.
        """
        return save_tensors(path, KIND, self.tensors, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> "SteeringVector":
        """Reads a vector that ``save`` wrote.

        Args:
            path: the path of the file.

        Raises:
            FileError: the file is missing or truncated, is not a steering vector, has another format version, or contains
                NaN.
        """
        tensors, header = load_tensors(path, KIND)
        return restored(cls, header, str(path), every=True, **{"positive": None, **tensors})
