"""A plan for the tokens of one request. vllm-lens calls the plan after every steered block, in the processes of vLLM."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import ModelError
from steerlens.models.roles import FRONT, GENERATED, LAST, PROMPT
from steerlens.steering import SteeringPlan


@dataclass(frozen=True, eq=False)
class PlacedPlan:
    """A plan, with the positions at which the prompt of one request begins and ends.

    vLLM runs the tokens of a request in pieces: the prompt in one or more pieces, then one token at a time. If vectors are added
    at given positions, vllm-lens 1.3.0 counts the positions from the beginning of each piece, and not from the beginning of the
    text. For this reason, ``PlacedPlan`` counts the tokens itself.
    """

    plan: SteeringPlan
    prompt: int
    """The number of the prompt's tokens, including the tokens in front, such as BOS."""
    front: int = 0
    """The number of tokens in front of the prompt, such as BOS."""

    def __call__(self, context: Any, residual: Float[Tensor, "pos d_model"]) -> Float[Tensor, "pos d_model"]:
        """Returns the residual stream after a block, changed by the plan.

        Args:
            context: the data of vllm-lens for this request. ``layer_idx`` is the block, and the dictionary ``saved`` stores the
                number of tokens that each block has processed.
            residual: the residual stream after the block at the next tokens of the request.
        """
        layer = int(context.layer_idx)
        first = int(context.saved.get(str(layer), 0))
        context.saved[str(layer)] = first + len(residual)
        roles = self.roles(first, first + len(residual)).to(residual.device)
        return self.plan.edit(layer, residual[None], roles[None])[0]

    def roles(self, first: int, end: int) -> Int[Tensor, " pos"]:
        """Returns the roles of the tokens from ``first`` up to, but not including, ``end``. ``steerlens.models.roles`` defines
        the numbers."""
        at = torch.arange(first, end)
        roles = torch.where(at < self.prompt, PROMPT, GENERATED)
        roles[at == self.prompt - 1] = LAST
        roles[at < self.front] = FRONT
        return roles

    def check(self, saved: Mapping[str, Mapping[str, int]] | None, given: int, written: int) -> None:
        """Checks that the plan was run exactly once for every token of a request, at each steered layer.

        If an error occurs in a step, vllm-lens leaves the step out and only logs the error. If memory is short, vLLM runs a
        request again from its beginning, and its tokens are counted twice.

        Args:
            saved: the data of vllm-lens for the request. The data contain the number of tokens that were processed at each layer,
                by the number of the hook.
            given: the number of tokens in the request. This number includes the tokens of the prompt, and later tokens if their
                log probabilities are requested.
            written: the number of generated tokens.

        Raises:
            ModelError: a steered layer did not process exactly the expected number of tokens.
        """
        seen = (saved or {}).get("0", {})
        least = given + written - 1  # no pass whose result is used has the last generated token as input
        wrong = {layer: seen.get(str(layer), 0) for layer in self.plan.layers if seen.get(str(layer), 0) - least not in (0, 1)}
        if wrong:
            raise ModelError(
                f"plan ({self.plan}) was expected to steer {least} tokens of a request, but vLLM steered these numbers of "
                f"tokens by layer: {wrong}. If a number is larger, vLLM ran the request again from its beginning. Give vLLM "
                "more memory, or fewer requests at once (max_num_seqs=). If a number is smaller, vllm-lens could not run the "
                "plan. The log of vllm-lens says why."
            )


def extra_args(placed: PlacedPlan | None, layers: Sequence[int] = ()) -> dict[str, Any]:
    """Returns the parameters of a request that vllm-lens reads, in addition to the parameters of vLLM.

    Args:
        placed: the plan for the tokens of the request, or ``None`` for an unsteered request.
        layers: the indices of the blocks whose residual stream is returned.
    """
    given: dict[str, Any] = {"output_residual_stream": list(layers)} if layers else {}
    if placed is not None and placed.plan.layers:
        from vllm_lens import Hook

        given["apply_hooks"] = [Hook(fn=placed, layer_indices=list(placed.plan.layers))]
    return given
