"""Relates steering vectors to the features of sparse autoencoders: finds the features that a vector activates, and turns a
feature into a vector."""

from dataclasses import dataclass
from typing import Any, ClassVar, SupportsFloat, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.activations import ResidualStack
from steerlens.errors import SettingsError, VectorError
from steerlens.models.lens import LensModel
from steerlens.numeric import check_finite, finite_number, float_tensor, whole_number
from steerlens.provenance import provenance
from steerlens.steering.autoencoders import SparseAutoencoder, a_few_at_once
from steerlens.steering.vectors import SteeringVector
from steerlens.tables import ResultTable


@dataclass(frozen=True, eq=False)
class Features(ResultTable):
    """The features that a steering vector activates most.

    Columns: feature (its index), cosine, before, after, change (after minus before), active_before, active_after. ``cosine`` is
    the cosine between the vector and the feature's row of the decoder. ``before`` is the feature's mean activation over the
    residuals. ``after`` is the mean activation when the vector is added to the residuals. ``active_before`` and
    ``active_after`` are the shares of residuals at which the feature is not 0. If no residuals were given, all columns except
    feature and cosine are NaN.
    """

    columns: ClassVar[tuple[str, ...]] = (*("feature", "cosine", "before", "after", "change", "active_before", "active_after"),)


def features(
    vector: SteeringVector,
    autoencoder: SparseAutoencoder,
    n: int | None = 20,
    *,
    residuals: "ResidualStack | Float[Tensor, 'prompt d_model'] | None" = None,
    strength: SupportsFloat = 1.0,
    check_name: bool = True,
) -> Features:
    """Returns the features that a vector activates most, with the strongest feature first.

    With residuals, features are ordered by how much their mean activation rises when the vector is added. Without residuals,
    features are ordered by the cosine of their decoder row with the vector. With ``n=None``, all features are returned, and
    the features that the vector reduces most come last.

    Args:
        vector: a vector that has the autoencoder's layer.
        autoencoder: an autoencoder of the same model, read with ``SparseAutoencoder.load``.
        n: the number of features; ``None`` takes all features.
        residuals: residuals after the autoencoder's block, as a stack that has this layer or as a tensor.
        strength: the factor by which the vector is multiplied before it is added.
        check_name: whether the name of the vector's model must be the model name in the autoencoder. Only names can be
            compared, because the autoencoder does not contain the model's weights.

    Raises:
        VectorError: the model has another name or width, the vector is zero, or the residuals have another shape.
        LayerError: the vector or the stack does not have the autoencoder's layer.
        FingerprintError: the stack belongs to another model than the vector.
        SettingsError: the number of features is below 1.
    """
    import pandas as pd

    autoencoder.check(vector.fingerprint, check_name=check_name)
    direction = vector.direction(autoencoder.layer)
    if not bool(direction.any()):
        raise VectorError(f"{vector.label} is zero at layer {autoencoder.layer}: expected a vector that is not zero.")
    if n is not None and (whole_number(n) or 0) < 1:
        raise SettingsError(f"n={n!r} features given: expected a whole number of at least 1, or None for all features.")
    times = finite_number(strength, "strength", vector.label)
    found = {"cosine": torch.cosine_similarity(autoencoder.decoder, direction[None], dim=1)}
    if residuals is not None:
        found |= _changes(autoencoder, _residuals_of(residuals, vector, autoencoder), times * direction)
    frame = pd.DataFrame({"feature": range(len(autoencoder)), **{name: own.numpy() for name, own in found.items()}})
    by = "cosine" if residuals is None else "change"
    best = frame.sort_values(by, ascending=False, kind="stable").head(len(autoencoder) if n is None else n)
    table = best.reindex(columns=list(Features.columns)).reset_index(drop=True)
    own = {"name": autoencoder.name, "model_name": autoencoder.model_name, "layer": autoencoder.layer}
    meta = provenance(model=vector.fingerprint.to_dict(), autoencoder=own, vector=vector.label, strength=times)
    return Features(table, meta)


def _residuals_of(given: Any, vector: SteeringVector, autoencoder: SparseAutoencoder) -> Float[Tensor, "prompt d_model"]:
    if isinstance(given, ResidualStack):
        given.fingerprint.check(vector.fingerprint, "this stack of residuals")
        return given.at(autoencoder.layer)
    tensor = float_tensor(given, "residuals")
    if tensor.ndim != 2 or tensor.shape[1] != autoencoder.d_model or not len(tensor):
        raise VectorError(
            f"residuals of shape {tuple(tensor.shape)} given: expected [prompt, d_model] with at least one prompt and d_model "
            f"{autoencoder.d_model}."
        )
    check_finite(tensor, "residuals")
    return tensor


def _changes(
    autoencoder: SparseAutoencoder, residuals: Float[Tensor, "prompt d_model"], added: Float[Tensor, " d_model"]
) -> dict[str, Float[Tensor, " feature"]]:
    """Returns the columns that need residuals. The sums are accumulated over a few residuals at a time."""
    sums = torch.zeros(4, len(autoencoder), dtype=torch.float64)
    for part in a_few_at_once(residuals):
        for at, own in enumerate((part, part + added)):
            active = autoencoder.activations(own)
            sums[at] += active.double().sum(dim=0)
            sums[2 + at] += (active > 0).sum(dim=0)
    before, after, active_before, active_after = sums / len(residuals)
    shares = {"active_before": active_before, "active_after": active_after}
    return {"before": before, "after": after, "change": after - before, **shares}


def feature_vector(
    autoencoder: SparseAutoencoder,
    feature: SupportsIndex,
    model: LensModel,
    *,
    name: str = "",
    locale: str = "",
    score: str = "",
    check_name: bool = True,
) -> SteeringVector:
    """Returns a feature's row of the decoder as a steering vector of a model, at the autoencoder's layer.

    With strength 1, the vector adds the same as the feature at an activation of 1. Active features often have activations of
    10 or 100. To measure the activations in your own residuals, use ``features(vector, autoencoder, residuals=…)``.

    Args:
        autoencoder: an autoencoder read with ``SparseAutoencoder.load``.
        feature: the index of the feature.
        model: the model that will be steered.
        name: the name of the vector; ``""`` uses ``feature`` and its index.
        locale: the locale on whose items the vector is used; ``""`` means all items.
        score: the score that the vector is meant to raise; ``""`` means no score.
        check_name: whether the model's name must be the model name in the autoencoder. Only names can be compared, because
            the autoencoder does not contain the model's weights.

    Raises:
        VectorError: there is no such feature, its row is zero, or the model has another name or width.
        LayerError: the model does not have the autoencoder's layer.
    """
    autoencoder.check(model.fingerprint, check_name=check_name)
    index = autoencoder.feature(feature)
    direction = autoencoder.decoder[index]
    if not bool(direction.any()):
        raise VectorError(
            f"feature {index} of {autoencoder.name} has only zeros in the decoder, so it has no direction. Choose another "
            "feature."
        )
    if autoencoder.by_norm:  # with by_norm, an activation of 1 adds the unit direction
        direction = direction / direction.norm()
    return SteeringVector(
        direction[None].clone(),
        (autoencoder.layer,),
        model.fingerprint,
        name or f"feature {index}",
        locale,
        positions="row of a decoder",
        score=score,
        notes={**autoencoder.notes, "autoencoder": autoencoder.name, "feature": index, "trained_on": autoencoder.model_name},
    )
