"""Sparse autoencoders of the residual stream, read from files of other tools. Each of their features has a direction."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import VectorError
from steerlens.fingerprint import Fingerprint
from steerlens.numeric import check_finite, float_tensor, layer_of, whole_number

_SAME = {"gpt2-small": "gpt2"}
"""The hub's name of models that have another name in TransformerLens."""
_AT_ONCE = 256
"""The number of residuals whose features are computed at once."""


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """A sparse autoencoder of the residual stream after one block, with ReLU, JumpReLU or TopK features.

    A feature has a row of the decoder, in the units of the residual stream, and an activation from the encoder. The autoencoder
    is only for the model on which it was trained. Its files contain only the name of that model.
    """

    encoder: Float[Tensor, "d_model feature"]
    """The weights of the encoder. Like all tensors here, they are float32, on the CPU."""
    encoder_bias: Float[Tensor, " feature"]
    decoder: Float[Tensor, "feature d_model"]
    decoder_bias: Float[Tensor, " d_model"]
    layer: int
    """The block index of the residual stream *after* which it was trained."""
    model_name: str
    """The name, in its files, of the model on which it was trained; ``""`` if they do not say."""
    threshold: Float[Tensor, " feature"] | None = None
    """The threshold of each feature (JumpReLU): an activation that is not above it is 0. ``None`` means 0."""
    k: int | None = None
    """The number of features of a token that are not 0 (TopK); ``None`` allows any number."""
    by_norm: bool = False
    """Whether activations are multiplied by the norm of their decoder row, as in the training of some TopK autoencoders."""
    subtracts_bias: bool = False
    """Whether the decoder's bias is subtracted from the residual before it is encoded."""
    centred: bool = False
    """Whether it was trained on residuals whose components have mean 0, as in a model loaded with
    ``center_writing_weights``."""
    name: str = "autoencoder"
    """Its name in tables and notes: the hub's repository and commit, the path in Gemma Scope, or the folder's name."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Other information in its files, as JSON values."""

    def __post_init__(self) -> None:
        own: dict[str, Any] = {}
        for name in ("encoder", "encoder_bias", "decoder", "decoder_bias", "threshold"):
            given = getattr(self, name)
            if given is not None:
                own[name] = float_tensor(given, f"{name} of {self.name}")
                check_finite(own[name], f"{name} of {self.name}")
        if own["encoder"].ndim != 2:
            raise VectorError(f"encoder of {self.name} has shape {tuple(own['encoder'].shape)}: expected [d_model, feature].")
        d_model, n = own["encoder"].shape
        shapes = {"encoder_bias": (n,), "decoder": (n, d_model), "decoder_bias": (d_model,), "threshold": (n,)}
        for name, shape in shapes.items():
            if name in own and tuple(own[name].shape) != shape:
                raise VectorError(
                    f"{name} of {self.name} has shape {tuple(own[name].shape)}: expected {shape}, because the encoder has "
                    f"d_model {d_model} and {n} features."
                )
        if self.k is not None and not 1 <= (whole_number(self.k) or 0) <= n:
            raise VectorError(
                f"k={self.k!r} given for {self.name}: expected a whole number from 1 to {n}, the number of features."
            )
        for name, tensor in own.items():
            object.__setattr__(self, name, tensor)

    def __repr__(self) -> str:
        return f"SparseAutoencoder({self.name}, {len(self)} features, layer {self.layer}, model={self.model_name!r})"

    def __len__(self) -> int:
        return len(self.decoder)

    @property
    def d_model(self) -> int:
        """The width of the residual stream."""
        return len(self.encoder)

    def feature(self, index: SupportsIndex) -> int:
        """Returns the index of a feature as a plain number.

        Args:
            index: the index, from 0.

        Raises:
            VectorError: there is no such feature.
        """
        number = whole_number(index)
        if number is None or not 0 <= number < len(self):
            raise VectorError(f"feature {index!r} given for {self.name}: expected a whole number from 0 to {len(self) - 1}.")
        return number

    @torch.no_grad()
    def activations(self, residuals: Float[Tensor, "prompt d_model"]) -> Float[Tensor, "prompt feature"]:
        """Returns the activations of the features for some residuals.

        Args:
            residuals: residuals after the autoencoder's block, in the model's own units.

        Raises:
            VectorError: the residuals have another width.
        """
        given = float_tensor(residuals, "residuals")
        if given.ndim != 2 or given.shape[1] != self.d_model:
            raise VectorError(
                f"residuals of shape {tuple(given.shape)} given: expected [prompt, d_model] with d_model {self.d_model}."
            )
        return torch.cat([self._encoded(part) for part in a_few_at_once(given)])

    def _encoded(self, residuals: Tensor) -> Tensor:
        if self.centred:
            residuals = residuals - residuals.mean(dim=1, keepdim=True)
        if self.subtracts_bias:
            residuals = residuals - self.decoder_bias
        before = residuals @ self.encoder + self.encoder_bias
        if self.by_norm:
            before = before * self.decoder.norm(dim=1)
        if self.k is not None:
            best = before.topk(self.k, dim=1)
            before = torch.zeros_like(before).scatter(1, best.indices, best.values)
        active = before.relu()
        return active if self.threshold is None else active * (before > self.threshold)

    def check(self, model: Fingerprint, *, check_name: bool = True) -> None:
        """Refuses a model on which the autoencoder was not trained, judged by its name, width and layers.

        Args:
            model: the fingerprint of the model.
            check_name: whether the model must have the autoencoder's model name.

        Raises:
            VectorError: the name or the width differs.
            LayerError: the model does not have the autoencoder's layer.
        """
        if check_name and (not self.model_name or _plain(self.model_name) != _plain(model.name)):
            raise VectorError(
                f"{self.name} was trained on {self.model_name or 'a model that its files do not name'}, but "
                f"{model.name or 'a model without a name'} was given: expected the same model name (folders in the name are "
                "ignored). If the given model is the right one under another name, give check_name=False."
            )
        if model.d_model != self.d_model:
            raise VectorError(
                f"{self.name} has d_model {self.d_model}, but {model.name or 'the model'} has {model.d_model}: expected the "
                "same. Give the model that the autoencoder was trained on."
            )
        layer_of(self.layer, range(model.n_layers), f"{model.name or 'the model'}, which was given for {self.name}")

    @classmethod
    def load(
        cls, path: str | Path, *, layer: int | None = None, model_name: str | None = None, centred: bool | None = None
    ) -> "SparseAutoencoder":
        """Reads an autoencoder that SAELens saved, or one of Gemma Scope.

        Layouts: a folder with ``cfg.json`` and ``sae_weights.safetensors`` (SAELens); ``params.npz`` (Gemma Scope, arXiv
        2408.05147); a folder with ``params.safetensors`` and ``config.json`` (Gemma Scope 2).

        Args:
            path: the folder, or the file ``params.npz``.
            layer: the block index after which it was trained, if neither files nor path contain it.
            model_name: the model on which it was trained, if neither files nor path contain it.
            centred: whether it was trained on residuals with mean 0, if the files do not say so, as those of old SAELens.

        Raises:
            FileError: files are missing or damaged; the autoencoder belongs to another hook point than the residual stream
                between two blocks, has an unknown architecture or scaled input, does not say its layer or whether its residuals
                were centred, or contradicts an argument.
        """
        from steerlens.steering.autoencoder_files import read_autoencoder

        return cls(**read_autoencoder(Path(path), layer, model_name, centred))


def a_few_at_once(residuals: Float[Tensor, "prompt d_model"]) -> Iterator[Float[Tensor, "some d_model"]]:
    """Yields residuals in parts, since a row of features may contain a million numbers.

    Args:
        residuals: the residuals, at least one.
    """
    for at in range(0, len(residuals), _AT_ONCE):
        yield residuals[at : at + _AT_ONCE]


def _plain(name: str) -> str:
    """A model's name without the folder or owner before it."""
    own = name.rstrip("/").rpartition("/")[2].lower()
    return _SAME.get(own, own)
