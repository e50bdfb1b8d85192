"""Steering specs of EasySteer (https://github.com/ZJU-REAL/EasySteer), version 2 of its API, as JSON.

``vllm serve --steering-config spec.json`` and the field ``steering`` of a request take a spec: a list of vectors, each with its
payload, its scale and the tokens to which it applies. The payload is the wire form of EasySteer's ``DirectionVector``: tensors
``layer.{block index}`` in base64 with a digest. The layer is a decoder layer's index, and the vector is added to its output, as
here. This was read from EasySteer's documentation and from ``vllm/model_hooks/steering/payloads.py`` of its vLLM (wire version
1).
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
"""EasySteer's version of its wire form."""


def to_easysteer(plan: Any) -> dict[str, Any]:
    """Returns a plan as EasySteer's ``SteeringSpec``, as JSON values.

    EasySteer supports all four choices of tokens, and each vector has its own. The tokens in front of a prompt are excluded by
    their positions: give EasySteer prompts that begin with the same tokens.

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
    """Writes a plan as EasySteer's JSON.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the file, such as ``spec.json``.

    Raises:
        VectorError: the plan does more than add vectors.
        FileError: the file cannot be written.
    """
    write_text(path, json.dumps(to_easysteer(plan)))
    return Exported(path, "EasySteer", f"vllm serve MODEL --steering-config {shlex.quote(str(path))}")


def _apply(tokens: str, n_front: int) -> dict[str, Any]:
    """Returns EasySteer's ``ApplySpec`` for a choice of tokens."""
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
    """Returns the wire form of EasySteer's ``DirectionVector``."""
    raw = {f"layer.{layer}": direction.numpy().astype("<f4") for layer, direction in added.directions.items()}
    digest = hashlib.sha256(f"direction:{_VERSION}".encode())
    tensors = {}
    for name, array in sorted(raw.items()):
        digest.update(name.encode() + str(array.shape).encode() + array.tobytes())
        tensors[name] = {"shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode("ascii")}
    return {"version": _VERSION, "kind": "direction", "tensors": tensors, "extra": {}, "sha256": digest.hexdigest()}
