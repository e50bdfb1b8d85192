"""Makes vectors for traces of nnsight (https://nnsight.net, version 0.8), with one vector for each steered decoder layer.

nnsight has no file format for vectors. An intervention is Python code inside a trace, and this code also chooses the tokens.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from steerlens.exchange.additions import only_addition


def to_nnsight(plan: Any) -> dict[int, Float[Tensor, " d_model"]]:
    """Returns the vectors that a plan adds after each block, multiplied by the strength. Add each vector to
    ``layers[index].output`` in a trace.

    The index on ``output`` in the trace chooses the steered tokens. For example, ``output[:, 1:]`` is all tokens except BOS.
    ``output[:, -1:]`` is the prompt's last token and, in a generation with a cache, each later token.

    Args:
        plan: a ``SteeringPlan`` that adds vectors.

    Returns:
        The vectors by block index, as float32 tensors ``[d_model]`` on the CPU.

    Raises:
        VectorError: the plan does more than add vectors, or its steps steer different tokens.
    """
    return only_addition(plan, "a trace of nnsight").vectors
