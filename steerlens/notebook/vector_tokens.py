"""Finds the tokens that a direction promotes and suppresses, with the logit lens."""

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.models import LensModel
from steerlens.steering import SteeringVector

PROMOTED, SUPPRESSED = "promoted", "suppressed"


@torch.no_grad()
def vector_tokens(model: LensModel, vector: SteeringVector, layer: int, *, top: int = 12) -> pd.DataFrame:
    """Returns the tokens whose logits a direction raises and lowers most. The direction is unembedded as if no further block
    followed.

    The direction is scaled to the length of a typical residual. The scaled direction and its negative both go through the final
    norm and the unembedding. Half the difference between the two results is the effect of the direction itself, because biases
    cancel out.

    Args:
        model: the model of the vector.
        vector: the direction by layer.
        layer: a block's index.
        top: the number of promoted tokens, and of suppressed tokens.

    Returns:
        Columns side (``promoted``, ``suppressed``), token and logit. The largest changes come first.

    Raises:
        LayerError: the vector does not have this layer.
        ModelError: the architecture computes its logits in a way that cannot be reproduced.
    """
    model.check_unembedding()
    direction = vector.direction(layer)
    scaled = direction * (model.d_model**0.5 / direction.norm().clamp(min=1e-30))
    logits = _logits(model, torch.stack([scaled, -scaled]))
    change = (logits[0] - logits[1]) / 2
    sides = {PROMOTED: change.topk(min(top, len(change))), SUPPRESSED: (-change).topk(min(top, len(change)))}
    rows = [
        (side, model.tokenizer.decode([token]), value if side == PROMOTED else -value)
        for side, (values, tokens) in sides.items()
        for value, token in zip(values.tolist(), tokens.tolist(), strict=True)
    ]
    return pd.DataFrame(rows, columns=["side", "token", "logit"])


def _logits(model: LensModel, states: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
    final = model.backend.final_norm(states.to(model.device, model.dtype)[None])[0]
    return model.backend.unembedding().logits(final).float().cpu()
