"""Writes steering specs for EasySteer (https://github.com/ZJU-REAL/EasySteer), version 2 of its API, as JSON.

``vllm serve --steering-config spec.json`` and the field ``steering`` of a request take a spec. A spec is a list of vectors, and
each vector has a payload, a scale and the tokens that it steers. The payload is the wire format of EasySteer's
``DirectionVector``: tensors ``layer.{block index}`` in base64 with a digest. The number in a tensor's name is the index of a
decoder layer. The vector is added to the output of this layer, as in steerlens. The format is described by EasySteer's
documentation and by ``vllm/model_hooks/steering/payloads.py`` of its vLLM (wire version 1).
"""

import base64
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

from steerlens.exchange.additions import Addition, additions
from steerlens.exchange.exported import Exported
from steerlens.storage import write_text

_VERSION = 1
"""The version of EasySteer's wire format."""


def to_easysteer(plan: Any) -> dict[str, Any]:
    """Returns a plan as a ``SteeringSpec`` of EasySteer, in JSON values.

    EasySteer supports all four choices of steered tokens, and the choice can be different for each vector. The tokens in front of
    a prompt, such as BOS, are excluded by their positions. Give EasySteer only prompts that begin with these tokens.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.

    Raises:
        VectorError: the plan does more than add vectors.
    """
    n_front = len(plan.fingerprint.front)
    vectors = [
        {
            "data": _payload(added),
            "algorithm": "direct",
            "scale": added.strength,
            "layers": added.layers,
            "normalize": False,
            "apply": _apply(added.tokens, n_front),
            "name": f"steerlens-{number}",
        }
        for number, added in enumerate(additions(plan, "EasySteer"))
    ]
    return {"vectors": vectors, "conflict": "sequential"}


def write_easysteer(plan: Any, path: Path) -> Exported:
    """Writes a plan as JSON for EasySteer.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the path of the file, such as ``spec.json``.

    Raises:
        VectorError: the plan does more than add vectors.
        FileError: the file cannot be written.
    """
    write_text(path, json.dumps(to_easysteer(plan)))
    return Exported(path, "EasySteer", f"vllm serve MODEL --steering-config {shlex.quote(str(path))}")


def _apply(tokens: str, n_front: int) -> dict[str, Any]:
    """Returns the ``ApplySpec`` of EasySteer for a choice of steered tokens."""
    prompt: dict[str, Any] = {"prompt": "all"}
    if n_front:
        prompt["exclude_prompt_positions"] = list(range(n_front))
    generation = {"generation": "all"}
    each = {
        "all": {**prompt, **generation},
        "prompt": prompt,
        "last_onward": {"prompt_positions": [-1], **generation},
        "generated": generation,
    }
    return each[tokens]


def _payload(added: Addition) -> dict[str, Any]:
    """Returns the wire format of EasySteer's ``DirectionVector``."""
    raw = {f"layer.{layer}": direction.numpy().astype("<f4") for layer, direction in added.directions.items()}
    digest = hashlib.sha256(f"direction:{_VERSION}".encode())
    tensors = {}
    for name, array in sorted(raw.items()):
        digest.update(name.encode() + str(array.shape).encode() + array.tobytes())
        tensors[name] = {"shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode("ascii")}
    return {"version": _VERSION, "kind": "direction", "tensors": tensors, "extra": {}, "sha256": digest.hexdigest()}
