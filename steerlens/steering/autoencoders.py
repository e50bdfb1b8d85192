"""Sparse autoencoders of the residual stream, which are read from files of other tools. Each feature of an autoencoder has a
direction."""

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
"""The Hugging Face name of each model that TransformerLens calls by another name, by the name in TransformerLens."""
_AT_ONCE = 256
"""The number of residuals whose features are computed in one batch."""


@dataclass(frozen=True, eq=False)
class SparseAutoencoder:
    """A sparse autoencoder of the residual stream after one block, with ReLU, JumpReLU or TopK features.

    Each feature has a row of the decoder, in the units of the residual stream, and an activation from the encoder. An
    autoencoder can be used only with the model on which it was trained. The files of an autoencoder contain the name of the
    model, but not the model's weights.
    """

    encoder: Float[Tensor, "d_model feature"]
    """The weights of the encoder. All tensors of an autoencoder are float32, on the CPU."""
    encoder_bias: Float[Tensor, " feature"]
    decoder: Float[Tensor, "feature d_model"]
    decoder_bias: Float[Tensor, " d_model"]
    layer: int
    """The index of the block. The autoencoder was trained on the residual stream *after* this block."""
    model_name: str
    """The name of the model on which the autoencoder was trained, from its files; ``""`` if the files contain no name."""
    threshold: Float[Tensor, " feature"] | None = None
    """The threshold of each feature (JumpReLU). An activation that is not above the threshold is set to 0. ``None`` means a
    threshold of 0."""
    k: int | None = None
    """The number of features that are not 0 at a token (TopK); ``None`` allows any number."""
    by_norm: bool = False
    """Whether the activation of a feature is multiplied by the norm of the feature's decoder row, as in the training of some
    TopK autoencoders."""
    subtracts_bias: bool = False
    """Whether the decoder's bias is subtracted from the residual before the residual is encoded."""
    centred: bool = False
    """Whether the autoencoder was trained on residuals whose components have mean 0, as in a model that was loaded with
    ``center_writing_weights``."""
    name: str = "autoencoder"
    """The name of the autoencoder in tables and notes: the hub's repository and commit, the path in Gemma Scope, or the
    folder's name."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Other information from the autoencoder's files, as JSON values."""

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
        """The width of the residual stream (d_model)."""
        return len(self.encoder)

    def feature(self, index: SupportsIndex) -> int:
        """Returns the index of a feature as a plain number.

        Args:
            index: the index of the feature, from 0.

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
            residuals: residuals after the autoencoder's block, without any scaling.

        Raises:
            VectorError: the residuals are not ``[prompt, d_model]`` with the autoencoder's d_model.
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
        """Raises an error if the name, the width or the layers of a model show that the autoencoder was not trained on this
        model.

        Args:
            model: the fingerprint of the model.
            check_name: whether the model must have the autoencoder's model name.

        Raises:
            VectorError: the model's name or width differs from the name or width in the autoencoder.
            LayerError: the model does not have the autoencoder's layer.
        """
        if check_name and (not self.model_name or _plain(self.model_name) != _plain(model.name)):
            raise VectorError(
                f"{self.name} was trained on {self.model_name or 'a model that its files do not name'}, but "
                f"{model.name or 'a model without a name'} was given: expected the same model name (folders in the name are "
                "ignored). If the given model is the right model under another name, give check_name=False."
            )
        if model.d_model != self.d_model:
            raise VectorError(
                f"{self.name} has d_model {self.d_model}, but {model.name or 'the model'} has {model.d_model}: expected the "
                "same d_model. Give the model on which the autoencoder was trained."
            )
        layer_of(self.layer, range(model.n_layers), f"{model.name or 'the model'}, which was given for {self.name}")

    @classmethod
    def load(
        cls, path: str | Path, *, layer: int | None = None, model_name: str | None = None, centred: bool | None = None
    ) -> "SparseAutoencoder":
        """Reads an autoencoder of SAELens or Gemma Scope.

        Three file layouts can be read: a folder with ``cfg.json`` and ``sae_weights.safetensors`` (SAELens), a file
        ``params.npz`` (Gemma Scope, arXiv 2408.05147), and a folder with ``params.safetensors`` and ``config.json`` (Gemma
        Scope 2).

        Args:
            path: the folder, or the file ``params.npz``.
            layer: the index of the block after which the autoencoder was trained, if neither the files nor the path contain
                this index.
            model_name: the name of the model on which the autoencoder was trained, if neither the files nor the path contain
                this name.
            centred: whether the autoencoder was trained on residuals with mean 0, if the files do not contain this
                information (as in old versions of SAELens).

        Raises:
            FileError: files are missing or damaged; the autoencoder belongs to another hook point than the residual stream
                after a block; the autoencoder has an unknown architecture or a scaled input; the layer is not known, or it is
                not known whether residuals were centred; or the files contradict an argument.
        """
        from steerlens.steering.autoencoder_files import read_autoencoder

        return cls(**read_autoencoder(Path(path), layer, model_name, centred))


def a_few_at_once(residuals: Float[Tensor, "prompt d_model"]) -> Iterator[Float[Tensor, "some d_model"]]:
    """Yields residuals in parts, because the features of one residual can be a million numbers.

    Args:
        residuals: the residuals, at least one.
    """
    for at in range(0, len(residuals), _AT_ONCE):
        yield residuals[at : at + _AT_ONCE]


def _plain(name: str) -> str:
    """Returns a model's name without the folder or owner in front of the name."""
    own = name.rstrip("/").rpartition("/")[2].lower()
    return _SAME.get(own, own)
