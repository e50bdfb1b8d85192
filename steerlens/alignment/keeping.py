"""A loss term that protects localization. While a method aligns the model, the term keeps the component of the prompts' residuals
along the LOC direction unchanged."""

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
    """The part of the residual stream that an alignment should leave unchanged. This part is the component of the prompts'
    residuals along the LOC direction, after one block.

    ``movement_loss`` at the last token of implicit cultural prompts is multiplied by ``weight`` and added to the method's loss.
    No paper uses this term. Training with the term shows whether alignment always erases culture.
    """

    vectors: VectorSet
    """The LOC vector of every aligned locale, which ``take`` computes from the train part of the items."""
    layer: int
    """The index of the block after which the prompts' residuals are compared with those of the model before training."""
    items: Items
    """Cultural items, for example those of the train part. Their implicit prompts are compared, and their answers are not
    used."""
    weight: float = 1.0
    """The factor by which this loss term is multiplied. With factor 1, the loss increases by one nat if every prompt moves by its
    complete LOC vector."""
    name: str = "LOC"
    """The name that the LOC vectors have in ``vectors``."""

    def __post_init__(self) -> None:
        check_positive("Keep", weight=self.weight)

    def prompts(self, model: LensModel, locales: Sequence[str]) -> tuple[Encoded, ...]:
        """Returns the implicit cultural prompts of the given locales as tokens.

        Args:
            model: the base model.
            locales: the locales that are aligned.

        Raises:
            FingerprintError: the vectors were taken from another model.
            DataError: the items contain no cultural prompts for one of these locales.
            SettingsError: a locale has no vector with this name, or its vector does not have exactly one direction.
            LayerError: the vectors were not taken at the layer.
        """
        self.vectors.fingerprint.check(model.fingerprint, "the vector given to keep")
        found = [item for item in self.items.of(kind="cultural") if item.locale in locales]
        if lacking := [code for code in locales if code not in {item.locale for item in found}]:
            raise DataError(
                f"{self.items!r} contain no cultural items of {', '.join(lacking)}: expected cultural items of every trained "
                "locale, because the prompts of these items are compared with the model before training. Give the items of train."
            )
        for code in locales:
            self.direction(code)
        return tuple(encoded(model.tokenizer, item.prompt().text, item.locale) for item in found)

    def loss(self, learner: Learner, batch: Sequence[Encoded]) -> Float[Tensor, ""]:
        """Returns the mean loss of the given prompts, multiplied by ``weight``.

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
            SettingsError: the locale has no vector with this name, or the vector does not have exactly one direction.
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
        """Returns JSON values that describe the component that should stay unchanged. The card of the adapter contains these
        values."""
        return {
            "vectors": self.vectors.digest(),
            "name": self.name,
            "layer": self.layer,
            "items": self.items.digest(),
            "weight": self.weight,
        }
