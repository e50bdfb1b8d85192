"""The identity of the model in a folder. A vector can be used in vLLM and with ``steerlens.load`` if the model has the same
identity in the two cases. The weights inside vLLM are not read."""

import hashlib
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steerlens.errors import ModelError, SteerlensError
from steerlens.models.cache import cache_folder
from steerlens.models.devices import weights_digest
from steerlens.models.loading import load
from steerlens.models.quiet import quiet_transformers
from steerlens.storage import read_json, write_text

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """The folder of a model in the layout of Hugging Face, and the dtype of its weights in vLLM."""

    folder: Path
    dtype: torch.dtype

    @cached_property
    def config(self) -> Any:
        """The configuration of the text model."""
        from transformers import AutoConfig

        with quiet_transformers():
            return AutoConfig.from_pretrained(self.folder).get_text_config()

    @property
    def architecture(self) -> str:
        """The kind of model, such as ``gemma3_text``."""
        return str(self.config.model_type)

    @property
    def n_layers(self) -> int:
        """The number of blocks."""
        return int(self.config.num_hidden_layers)

    @property
    def d_model(self) -> int:
        """The width of the residual stream."""
        return int(self.config.hidden_size)

    def weights_digest(self) -> str:
        """Returns a digest of the weights. ``steerlens.load`` gives the same digest for the same files and dtype, so vectors from
        ``steerlens.load`` can be used in vLLM, and vectors from vLLM in ``steerlens.load``.

        The digest includes tensors that TransformerLens makes from the weights, so the model is read into the CPU's memory
        once. The digest is then stored in the cache folder. If the model does not fit into memory, or if TransformerLens cannot
        run it, the digest is computed from the files. Vectors from ``steerlens.load`` then do not match this digest, and raise
        an error. Use ``plan.moved_to(model)`` to use these vectors.

        Raises:
            ModelError: the folder contains no weights in safetensors.
        """
        kept = cache_folder() / f"weights-{self._stamp()}.json"
        if kept.is_file():
            return str(read_json(kept, "Delete it.")["weights"])
        try:
            self._check_memory()
            digest = load(self.folder, "cpu", self.dtype).backend.weights_digest()
        except SteerlensError as error:
            _log.warning(
                "vectors from steerlens.load cannot be used with %s in vLLM, because the weights could not be read and "
                "compared: %s",
                self.folder,
                error,
            )
            return weights_digest({f"file: {name}": partial(_tensor, path, name) for path, name, _ in self._tensors()})
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_text(kept, json.dumps({"weights": digest, "folder": str(self.folder)}))
        return digest

    def _check_memory(self) -> None:
        import psutil

        needed = 2 * self.dtype.itemsize * sum(math.prod(shape) for _, _, shape in self._tensors())
        free = int(psutil.virtual_memory().available)
        if needed > free:
            raise ModelError(
                f"reading the weights takes {needed >> 20} MiB of the CPU's memory, but only {free >> 20} MiB are free."
            )

    def _files(self) -> list[Path]:
        found = sorted(self.folder.glob("*.safetensors"))
        if not found:
            raise ModelError(f"folder {self.folder} has no weights in safetensors: expected files with names *.safetensors.")
        return found

    def _tensors(self) -> Iterator[tuple[Path, str, list[int]]]:
        """Yields the file, the name and the shape of each tensor."""
        from safetensors import safe_open

        for path in self._files():
            with safe_open(path, "pt") as file:
                for name in list(file.keys()):
                    yield path, name, file.get_slice(name).get_shape()

    def _stamp(self) -> str:
        """Returns a text that identifies the files, and the versions of the libraries that read the files."""
        places = [(path, path.stat()) for path in (*self._files(), self.folder / "config.json")]
        files = [(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in places]
        versions = [version(package) for package in ("torch", "transformers", "transformer-lens")]
        return hashlib.sha256(repr((files, self.dtype, versions)).encode()).hexdigest()[:24]


def _tensor(path: Path, name: str) -> Tensor:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor
