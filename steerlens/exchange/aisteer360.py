"""Writes steering vectors for AI Steerability 360 (https://github.com/IBM/AISteer360), as its JSON file ``.svec``.

In the file, ``directions`` maps block indices to vectors ``[1, d_model]``. A control of the toolkit adds these vectors to the
output of the layers (``hook_point="layer_output"``). As in steerlens, the vectors are added after the blocks, and a layer number
is the index of a block. The file contains neither the strength nor the choice of steered tokens. Both are arguments of the
control. The format is described by ``state_control/_common/steering_vector.py`` and ``token_scope.py`` of the toolkit.
"""

import json
from pathlib import Path
from typing import Any

from steerlens.errors import FileError, VectorError
from steerlens.exchange.additions import WORDS, only_addition
from steerlens.exchange.exported import Exported, said
from steerlens.settings import SteeredTokens
from steerlens.storage import write_text

_ENDING = ".svec"
_SCOPES: dict[SteeredTokens, str] = {
    "all": 'token_scope="all"',
    "last_onward": 'token_scope="last_k", last_k=1',
    "generated": 'token_scope="after_prompt"',
}
"""The toolkit's arguments for each choice of steered tokens. ``last_k=1`` steers the last token of every pass. With a key-value
cache, this token is the prompt's last token or a generated token."""


def to_aisteer360(plan: Any) -> dict[str, Any]:
    """Returns the directions of a plan without the strength, as JSON values in the form of the toolkit's ``.svec`` file.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.

    Raises:
        VectorError: the plan does more than add vectors, its steps steer different tokens, or it steers only the prompt's tokens.
    """
    added = only_addition(plan, "AI Steerability 360")
    if added.tokens not in _SCOPES:
        raise VectorError(
            f"plan ({plan}) steers {WORDS[added.tokens]}, but AI Steerability 360 has no token_scope for this choice. Use the "
            "vector with tokens='all', 'last_onward' or 'generated'."
        )
    return {
        "model_type": plan.fingerprint.name or "unknown",
        "directions": {str(layer): [direction.tolist()] for layer, direction in added.directions.items()},
    }


def write_aisteer360(plan: Any, path: Path) -> Exported:
    """Writes the directions of a plan as the toolkit's file. The result contains the code of the control that steers with the
    file.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.
        path: the path of the file, such as ``x.svec``.

    Raises:
        VectorError: the plan does more than add vectors, its steps steer different tokens, or it steers only the prompt's tokens.
        FileError: the file's name does not end in ``.svec``, or the file cannot be written.
    """
    if path.suffix != _ENDING:
        raise FileError(
            f"{path} given: the file name must end in {_ENDING}, because AI Steerability 360 adds this ending to any other "
            "name and would not find the file."
        )
    content, added = to_aisteer360(plan), only_addition(plan, "AI Steerability 360")
    write_text(path, json.dumps(content))
    use = (
        f"vector = SteeringVector.load({str(path)!r})\n"
        f"control = ActivationAdapter(transform=AdditiveTransform(vector, strength={added.strength!r}), "
        f"layer_ids={added.layers}, {_SCOPES[added.tokens]})"
    )
    notes = []
    if added.tokens == "all" and plan.fingerprint.front:
        notes.append(
            f"token_scope='all' also steers the {len(plan.fingerprint.front)} tokens in front of the prompt. The plan does "
            "not steer these tokens."
        )
    if added.tokens == "last_onward":
        notes.append(
            "last_k=1 steers the same tokens as the plan only if a key-value cache is used and the padding is in front of the "
            "prompts."
        )
    return Exported(path, "AI Steerability 360", use, said(notes))
