"""What nnsight (https://nnsight.net, version 0.8) adds in a trace: a vector for each decoder layer.

nnsight has no file of its own for vectors: an intervention is Python inside a trace, which says the tokens too.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from steerlens.exchange.additions import only_addition


def to_nnsight(plan: Any) -> dict[int, Float[Tensor, " d_model"]]:
    """Returns what a plan adds after each block, its strength included, to be added to ``layers[index].output`` in a trace.

    The indexed positions in the trace choose the steered tokens: ``output[:, 1:]`` is all but BOS, ``output[:, -1:]`` the
    prompt's last token and, in a generation with a cache, each that follows.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.

    Returns:
        By block index, float32 ``[d_model]`` on the CPU.

    Raises:
        VectorError: the plan does something else than to add, or is at several choices of tokens.
    """
    return only_addition(plan, "a trace of nnsight").vectors
