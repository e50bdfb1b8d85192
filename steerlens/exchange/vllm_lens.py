"""Reads and writes steering vectors of vllm-lens (https://github.com/UKGovernmentBEIS/vllm-lens, version 1.3), as JSON and as
objects.

A vector has ``activations [layer, d_model]``, ``layer_indices`` and a ``scale``, and is added to the output of the decoder layers
in ``layer_indices``. As in steerlens, the vectors are added after the blocks, and a layer number is the index of a block. A
request takes a list of vectors as ``apply_steering_vectors``. In JSON, a tensor is the base64 text of its bytes, plain or
compressed with zstd. steerlens writes plain float32, and reads plain and compressed tensors.
"""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import ModelError, VectorError
from steerlens.exchange.additions import notes_of, only_addition
from steerlens.exchange.exported import Exported, said
from steerlens.exchange.incoming import file_errors, incoming_vector, model_fingerprint
from steerlens.numeric import finite_number, float_tensor, layer_of
from steerlens.steering.vectors import SteeringVector
from steerlens.storage import read_json, write_text

_TYPES: dict[tuple[str, str], torch.dtype] = {
    ("float32", "torch.float32"): torch.float32,
    ("float64", "torch.float64"): torch.float64,
    ("float16", "torch.float16"): torch.float16,
    ("int16", "torch.bfloat16"): torch.bfloat16,
}
"""The dtypes that can be read. The keys are the values of ``dtype`` and ``original_dtype`` in JSON."""


def to_vllm_lens(plan: Any) -> list[dict[str, Any]]:
    """Returns a plan as JSON values for vllm-lens, as a list with one steering vector.

    ``SamplingParams(extra_args={"apply_steering_vectors": json.dumps(it)})`` steers with the list ``it``. Over HTTP, use the
    field ``apply_steering_vectors`` of ``vllm_xargs``. The vector is added at every token.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.

    Raises:
        VectorError: the plan does more than add vectors, or its steps steer different tokens.
    """
    added = only_addition(plan, "vllm-lens")
    said(notes_of(plan, added, "vllm-lens"))
    stacked = np.stack([direction.numpy() for direction in added.directions.values()]).astype("<f4")
    tensor = {
        "data": base64.b64encode(stacked.tobytes()).decode("ascii"),
        "dtype": "float32",
        "original_dtype": "torch.float32",
        "shape": list(stacked.shape),
    }
    vector = {"activations": tensor, "layer_indices": added.layers, "scale": added.strength}
    return [{**vector, "norm_match": False, "position_indices": None}]


def write_vllm_lens(plan: Any, path: Path) -> Exported:
    """Writes a plan as JSON for vllm-lens.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the path of the file, such as ``x.json``.

    Raises:
        VectorError: the plan does more than add vectors, or its steps steer different tokens.
        FileError: the file cannot be written.
    """
    write_text(path, json.dumps(to_vllm_lens(plan)))
    use = (
        f"vectors = open({str(path)!r}).read()\n"
        'params = SamplingParams(extra_args={"apply_steering_vectors": vectors})  # over HTTP: vllm_xargs'
    )
    return Exported(path, "vllm-lens", use, notes_of(plan, only_addition(plan, "vllm-lens"), "vllm-lens"))


def from_vllm_lens(source: Any, model: Any, name: str = "vllm-lens") -> SteeringVector:
    """Reads steering vectors of vllm-lens as one vector. At strength 1, the vector adds the same numbers as vllm-lens does with
    its scales.

    Args:
        source: the path of a JSON file, the content of a JSON file (a vector or a list of vectors), or ``SteeringVector`` objects
            of vllm-lens.
        model: the ``LensModel`` from which the vectors were taken.
        name: the name of the vector.

    Raises:
        FileError: the file is missing, not JSON, or contains values that cannot be used.
        LayerError: the model does not have one of the layers.
        ModelError: a tensor is compressed, and the package zstandard is not installed.
        VectorError: there are no steering vectors or no model, or a vector has another width, another dtype or numbers that are
            not finite. The error is also raised for vectors that use ``norm_match`` or have a separate vector for each position.
    """
    if isinstance(source, str | Path):
        content = read_json(Path(source), "Write the file again, or give the list of vectors instead of a path.")
        with file_errors(source):
            return _joined(content, model, str(source), name)
    return _joined(source, model, "the vector of vllm-lens", name)


def _joined(given: Any, model: Any, whose: str, name: str) -> SteeringVector:
    """Returns one vector or several vectors of vllm-lens as one steering vector, which is their sum."""
    fingerprint = model_fingerprint(model, whose)
    several = given if isinstance(given, Sequence) and not isinstance(given, str | bytes) else [given]
    summed: dict[int, Tensor] = {}
    for one in several:
        fields = _fields(one, whose)
        layers = [
            layer_of(layer, range(fingerprint.n_layers), f"{fingerprint.name}, the model of {whose}")
            for layer in fields["layer_indices"]
        ]
        added = _activations(fields["activations"], (len(layers), fingerprint.d_model), whose)
        scale = finite_number(fields["scale"], "scale", whose)
        for layer, direction in zip(layers, added, strict=True):
            summed[layer] = summed.get(layer, torch.zeros(fingerprint.d_model)) + scale * direction
    return incoming_vector(summed, fingerprint, whose, name, {})


def _fields(one: Any, whose: str) -> dict[str, Any]:
    """Returns the fields of a vector from JSON or from an object. Raises an error if the added vector depends on the residual
    stream or on the position."""
    names = {"activations": None, "layer_indices": None, "scale": 1.0, "norm_match": False, "position_indices": None}
    held = one if isinstance(one, Mapping) else {key: getattr(one, key) for key in names if hasattr(one, key)}
    fields: dict[str, Any] = {key: held.get(key, other) for key, other in names.items()}
    if fields["activations"] is None or not isinstance(fields["layer_indices"], Sequence) or not fields["layer_indices"]:
        raise VectorError(f"{whose} lacks activations or layer_indices: expected both fields, as in SteeringVector of vllm-lens.")
    if len(set(map(repr, fields["layer_indices"]))) != len(fields["layer_indices"]):
        raise VectorError(f"{whose} names layers {fields['layer_indices']}: expected each layer once.")
    if fields["norm_match"] is not False or fields["position_indices"] is not None:
        raise VectorError(
            f"{whose} has norm_match={fields['norm_match']!r} and position_indices={fields['position_indices']!r}: expected "
            "False and None. With other values, the added vector depends on the residual stream or on the position, but "
            "steerlens reads only fixed vectors."
        )
    return fields


def _activations(given: Any, shape: tuple[int, int], whose: str) -> Float[Tensor, "layer d_model"]:
    """Returns the activations of a vector as a float32 tensor."""
    own = list(getattr(given, "shape", [])) if not isinstance(given, Mapping) else given.get("shape")
    if own != list(shape):
        raise VectorError(
            f"{whose} has activations of shape {own}: expected {list(shape)}, one vector [d_model] for each layer. One vector "
            "per position is not supported."
        )
    if not isinstance(given, Mapping):
        return float_tensor(given, whose)
    kind = _TYPES.get((str(given.get("dtype")), str(given.get("original_dtype", "torch.float32"))))
    if kind is None:
        raise VectorError(
            f"{whose} contains numbers of type {given.get('dtype')!r} ({given.get('original_dtype')!r}): expected float32, "
            "float64, float16 or bfloat16."
        )
    size = math.prod(shape) * kind.itemsize
    data = _bytes(given, size, whose)
    if len(data) != size:
        raise VectorError(
            f"{whose} contains {len(data)} bytes for shape {list(shape)}: expected {size} bytes. Copy all of the data again."
        )
    return float_tensor(torch.frombuffer(bytearray(data), dtype=kind).reshape(shape), whose)


def _bytes(given: Mapping[str, Any], size: int, whose: str) -> bytes:
    """Returns the bytes of a tensor in JSON. At most ``size + 1`` bytes of compressed data are decompressed."""
    text, compression = given.get("data"), given.get("compression")
    if not isinstance(text, str) or compression not in (None, "zstd"):
        raise VectorError(
            f"{whose} contains no base64 text, or names the compression {compression!r}: expected base64 text, either "
            "compressed with zstd or not compressed."
        )
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:  # includes binascii.Error
        raise VectorError(f"{whose} contains data that is not base64 ({error}). Copy all of the data again.") from error
    if compression is None:
        return raw
    try:
        import zstandard
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{whose} is compressed with zstd. Reading this data needs the package zstandard, which is not installed. "
            "Install it with: pip install zstandard"
        ) from error
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(io.BytesIO(raw)) as reader:
            return bytes(reader.read(size + 1))
    except zstandard.ZstdError as error:
        raise VectorError(f"{whose} contains data that is not zstd ({error}). Copy all of the data again.") from error
