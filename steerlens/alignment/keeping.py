"""Keeps localization: a loss term that holds the prompts' component along the LOC direction while a method aligns the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.alignment.examples import Encoded, encoded
from steerlens.alignment.learner import Learner
from steerlens.alignment.losses import movement_loss
from steerlens.alignment.objectives import check_positive
from steerlens.data import Items
from steerlens.errors import DataError, SettingsError
from steerlens.models.lens import LensModel
from steerlens.numeric import layer_of
from steerlens.steering import VectorSet


@dataclass(frozen=True)
class Keep:
    """What an alignment should leave unchanged: the component of prompts along the LOC direction after one block.

    ``weight`` times ``movement_loss`` of the last token of implicit cultural prompts is added to the method's loss. No paper
    has this term. It tests whether alignment must erase culture.
    """

    vectors: VectorSet
    """The LOC vector of every aligned locale, made by ``take`` from the train part."""
    layer: int
    """The index of the block after which prompts are compared with the model before training."""
    items: Items
    """Cultural items, for example those of train, whose implicit prompts are compared. Their answers are not read."""
    weight: float = 1.0
    """The factor on the loss. With 1, a movement by the whole LOC vector costs one nat."""
    name: str = "LOC"
    """The name of the vectors."""

    def __post_init__(self) -> None:
        check_positive("keeping prompts where they are", weight=self.weight)

    def prompts(self, model: LensModel, locales: Sequence[str]) -> tuple[Encoded, ...]:
        """Returns the implicit cultural prompts of some locales as tokens.

        Args:
            model: the base model.
            locales: the locales that are aligned.

        Raises:
            FingerprintError: the vectors were taken from another model.
            DataError: the items contain no cultural prompts for one of these locales.
            SettingsError: a locale has no vector with one direction.
            LayerError: the vectors were not taken at the layer.
        """
        self.vectors.fingerprint.check(model.fingerprint, "the vector given to keep")
        found = [item for item in self.items.of(kind="cultural") if item.locale in locales]
        if lacking := [code for code in locales if code not in {item.locale for item in found}]:
            raise DataError(
                f"{self.items!r} contain no cultural items of {', '.join(lacking)}: expected cultural items of every trained "
                "locale, because their component along the vector is kept. Give the items of train."
            )
        for code in locales:
            self.direction(code)
        return tuple(encoded(model.tokenizer, item.prompt().text, item.locale) for item in found)

    def loss(self, learner: Learner, batch: Sequence[Encoded]) -> Float[Tensor, ""]:
        """Returns the mean loss of some prompts, multiplied by ``weight``.

        Args:
            learner: the model that is trained.
            batch: prompts as tokens.
        """
        before = learner.residuals(batch, self.layer, "last", before=True)
        after = learner.residuals(batch, self.layer, "last")
        vectors = torch.stack([self.direction(text.locale) for text in batch]).to(after.device)
        return self.weight * movement_loss(after, before, vectors)

    def direction(self, locale: str) -> Float[Tensor, " d_model"]:
        """Returns the vector of a locale at the layer, in the residual stream's units.

        Args:
            locale: the locale, for example ``es-ES``.

        Raises:
            SettingsError: there is no such vector, or it has no direction.
            LayerError: the vector was not taken at the layer.
        """
        own = self.vectors.of(locale).get(self.name)
        edit: Any = None if own is None else own.edit(layer_of(self.layer, own.layers, f"vector {own.label}"))
        if not hasattr(edit, "direction"):
            raise SettingsError(
                f"no vector {self.name!r} with one direction given for {locale}: expected steering vectors, for example those "
                "of sl.steering.take(model, split.train, sl.steering.LOC)."
            )
        return edit.direction

    def to_dict(self) -> dict[str, Any]:
        """Returns a description of the kept component as JSON values, for a card."""
        return {
            "vectors": self.vectors.digest(),
            "name": self.name,
            "layer": self.layer,
            "items": self.items.digest(),
            "weight": self.weight,
        }
