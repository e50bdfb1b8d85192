"""Reads and writes control vectors of llama.cpp. The GGUF file has the architecture ``controlvector`` and one tensor
``direction.{layer}`` for each layer.

The layer number of llama.cpp is the index of the block. For example, ``direction.5`` is added to the residual stream after block
5, as in steerlens. llama.cpp cannot steer after block 0, because its loader refuses ``direction.0``. The format was taken from
the code of ``common_control_vector_load_one`` and ``llama_adapter_cvec`` in llama.cpp at commit 0ce8cd1 (October 2026). Tests in
``tests/exchange`` compare the effects of a vector in llama.cpp and in steerlens on log probabilities. repeng 0.4 writes and reads
the same files with the same layer numbers, including 0.
"""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from steerlens.errors import FileError, ModelError, VectorError
from steerlens.exchange.additions import Addition, notes_of, only_addition
from steerlens.exchange.exported import Exported, said
from steerlens.exchange.incoming import file_errors, incoming_vector, model_fingerprint, refused
from steerlens.fingerprint import Fingerprint
from steerlens.models.gguf_header import read_metadata
from steerlens.steering.vectors import SteeringVector
from steerlens.storage import json_value, readable_errors, write_atomically

ARCHITECTURE = "controlvector"
_DIRECTION = "direction."
_PLAIN = ("F32", "F16", "F64")
"""The dtypes of directions that steerlens can read. llama.cpp reads only F32."""
_NOTED: dict[str, type] = {
    f"{ARCHITECTURE}.model_hint": str,
    "steerlens.strength": float,
    "steerlens.layer_range": list,
    "steerlens.tokens": str,
    "steerlens.plan": str,
}
"""The keys of a file's metadata that are stored as notes of the vector, with the types of the values."""
_MOST = 1 << 30
"""The largest size in bytes of a file that is read. This size is enough for directions of 200 layers with a width of
1,000,000."""


def write_llama_cpp(plan: Any, path: Path) -> Exported:
    """Writes a plan as a control vector for llama.cpp. The result contains the command that steers with the file.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the file, such as ``x.gguf``.

    Raises:
        VectorError: the plan does more than add vectors, its steps steer different tokens, or it steers after block 0.
        ModelError: the package gguf is not installed.
        FileError: the file cannot be written, or its path contains ``:`` or ``,``. llama.cpp splits paths at these characters.
    """
    added = only_addition(plan, "llama.cpp")
    if 0 in added.layers:
        raise VectorError(
            f"plan ({plan}) steers after block 0, but the control vectors of llama.cpp can steer only from block 1 on. Steer "
            "at layer 1 or later, or run the plan in PyTorch with plan.torch_hooks(model)."
        )
    if set(":,") & set(str(path)):
        raise FileError(
            f"{path} given: expected a path without ':' and ',', because llama.cpp splits paths at these characters. "
            "Give another path."
        )
    first, last = added.layers[0], added.layers[-1]
    scaled = f"{shlex.quote(str(path))}:{added.strength!r}"
    command = f"llama-cli -m model.gguf --control-vector-scaled {scaled} --control-vector-layer-range {first} {last}"
    notes = said(notes_of(plan, added, "llama.cpp"))
    _write(plan, added, path, {"command": command, "notes": " ".join(notes)})
    return Exported(path, "llama.cpp", command, notes)


def write_repeng(plan: Any, path: Path) -> Exported:
    """Writes a plan as a control vector for repeng, which reads the file with ``ControlVector.import_gguf``.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the file, such as ``x.gguf``.

    Raises:
        VectorError: the plan does more than add vectors, or its steps steer different tokens.
        ModelError: the package gguf is not installed.
        FileError: the file cannot be written.
    """
    added = only_addition(plan, "repeng")
    use = (
        f"vector = repeng.ControlVector.import_gguf({str(path)!r})\n"
        f"model = repeng.ControlModel(hf_model, {added.layers})\n"
        f"model.set_control(vector, {added.strength!r})"
    )
    notes = said(notes_of(plan, added, "repeng"))
    _write(plan, added, path, {"notes": " ".join(notes)})
    return Exported(path, "repeng", use, notes)


def from_gguf(path: str | Path, model: Any = None, name: str = "") -> SteeringVector:
    """Reads a control vector of llama.cpp or repeng.

    At strength 1, the vector adds the directions in the file, as ``--control-vector`` does. If steerlens wrote the file,
    ``notes`` contains the plan's strength, tokens and layer range, and the file names the model for which the plan was made.

    Args:
        path: a GGUF file, such as ``x.gguf``.
        model: the ``LensModel`` to which the vector belongs. A file that steerlens wrote names its model, so ``model`` is
            optional for this file. A given model must be the model that the file names.
        name: the name of the vector. ``""`` uses the name of the file.

    Raises:
        FileError: the file is missing, truncated, too large, or has another architecture. The error is also raised if the file
            contains NaN or infinity, dtypes other than F32, F16 and F64, layers that the model does not have, or directions of
            another width than the model's.
        FingerprintError: the file names a model that is not the given model.
        ModelError: the package gguf is not installed.
        VectorError: the file does not name a model, and no model was given.
    """
    path = Path(path)
    metadata, directions = _read(path)
    own = metadata.get("steerlens.fingerprint")
    if own is None:
        fingerprint = model_fingerprint(model, str(path))
    else:
        fingerprint = _fingerprint(own, path)
        if model is not None:
            fingerprint.check(model_fingerprint(model, str(path)), str(path))
    notes = {key.partition(".")[2]: metadata[key] for key, kinds in _NOTED.items() if isinstance(metadata.get(key), kinds)}
    with file_errors(path):
        return incoming_vector(directions, fingerprint, str(path), name or path.stem, notes)


def _write(plan: Any, added: Addition, path: Path, texts: dict[str, str]) -> None:
    gguf = _package()

    def write(part: Path) -> None:
        writer = gguf.GGUFWriter(part, ARCHITECTURE)
        writer.add_string(f"{ARCHITECTURE}.model_hint", plan.fingerprint.name or "unknown")
        writer.add_uint32(f"{ARCHITECTURE}.layer_count", len(added.layers))
        writer.add_float64("steerlens.strength", added.strength)
        writer.add_array("steerlens.layer_range", [added.layers[0], added.layers[-1]])
        writer.add_string("steerlens.tokens", added.tokens)
        writer.add_string("steerlens.plan", str(plan))
        writer.add_string("steerlens.fingerprint", json.dumps(plan.fingerprint.to_dict()))
        for key, text in texts.items():
            if text:
                writer.add_string(f"steerlens.{key}", text)
        for layer, direction in added.directions.items():
            writer.add_tensor(f"{_DIRECTION}{layer}", np.ascontiguousarray(direction.numpy()))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    write_atomically(path, write)


def _read(path: Path) -> tuple[dict[str, Any], dict[int, np.ndarray]]:
    """Returns the metadata of a control vector, and its directions by block index."""
    gguf = _package()
    with readable_errors(path, "read"):
        size = path.stat().st_size
    if size > _MOST:
        raise refused(path, f"has {size:,} bytes", f"a control vector of at most {_MOST:,} bytes")
    try:
        metadata = read_metadata(path)
        architecture = metadata.get("general.architecture")
        tensors = gguf.GGUFReader(path).tensors if architecture == ARCHITECTURE else []
        return metadata, _directions(path, architecture, tensors)
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}. Check the path and its permissions.") from error
    except Exception as error:  # a reader of GGUF can raise any error, depending on the bytes
        raise FileError(
            f"{path} cannot be read as GGUF ({type(error).__name__}: {error}). The file may be truncated, or may not be a GGUF "
            "file. Copy the whole file, or write it again."
        ) from error


def _directions(path: Path, architecture: Any, tensors: Any) -> dict[int, np.ndarray]:
    if architecture != ARCHITECTURE:
        raise refused(path, f"is a GGUF file of architecture {architecture!r}", f"{ARCHITECTURE!r}, a control vector")
    found: dict[int, np.ndarray] = {}
    for tensor in tensors:
        number = tensor.name.removeprefix(_DIRECTION)
        if number == tensor.name or not (number.isascii() and number.isdecimal()):
            raise refused(
                path, f"contains a tensor {tensor.name!r}", "only tensors with names direction.N, where N is the index of a block"
            )
        if int(number) in found:
            raise refused(path, f"contains layer {int(number)} twice", "each layer once")
        if tensor.tensor_type.name not in _PLAIN:
            kinds = ", ".join(_PLAIN)
            raise refused(path, f"contains {tensor.name} in {tensor.tensor_type.name}", f"numbers of one of the types {kinds}")
        found[int(number)] = np.asarray(tensor.data)
    return found


def _fingerprint(text: Any, path: Path) -> Fingerprint:
    try:
        return Fingerprint.from_dict(json_value(text))
    except (TypeError, ValueError, FileError) as error:
        raise FileError(
            f"{path} contains a description of its model that cannot be read ({error}). Write the file again."
        ) from error


def _package() -> Any:
    try:
        import gguf
    except ModuleNotFoundError as error:
        raise ModelError(
            "writing and reading GGUF files needs the package gguf, which is not installed. Install it with: pip install "
            "'steerlens[demo]'"
        ) from error
    return gguf
