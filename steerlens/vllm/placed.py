"""A plan at the tokens of one request: what vllm-lens calls after every steered block, in vLLM's own processes."""

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
    """A plan, and where the prompt of one request begins and ends.

    vLLM gives the tokens of a request in pieces: the prompt in one or several, then one token at a time. vllm-lens 1.3.0 takes
    every piece for the beginning of the text when it adds vectors at given positions, so this counts the tokens itself.
    """

    plan: SteeringPlan
    prompt: int
    """The number of the prompt's tokens, including those in front of it."""
    front: int = 0
    """The number of first tokens that are in front of the prompt, such as BOS."""

    def __call__(self, context: Any, residual: Float[Tensor, "pos d_model"]) -> Float[Tensor, "pos d_model"]:
        """Returns the residual stream after a block as the plan leaves it.

        Args:
            context: what vllm-lens keeps for this request: ``layer_idx``, the block, and ``saved``, a dictionary. The number of
                tokens that were seen after each block is kept there.
            residual: the residual stream after the block at the next tokens of the request.
        """
        layer = int(context.layer_idx)
        first = int(context.saved.get(str(layer), 0))
        context.saved[str(layer)] = first + len(residual)
        roles = self.roles(first, first + len(residual)).to(residual.device)
        return self.plan.edit(layer, residual[None], roles[None])[0]

    def roles(self, first: int, end: int) -> Int[Tensor, " pos"]:
        """Returns what the tokens from ``first`` to before ``end`` are, as ``steerlens.models.roles`` numbers them."""
        at = torch.arange(first, end)
        roles = torch.where(at < self.prompt, PROMPT, GENERATED)
        roles[at == self.prompt - 1] = LAST
        roles[at < self.front] = FRONT
        return roles

    def check(self, saved: Mapping[str, Mapping[str, int]] | None, given: int, written: int) -> None:
        """Makes sure that every token of a request went through the plan once at each of its layers.

        vllm-lens leaves a step out when something fails in it, and says so in the log only. vLLM runs a request again from its
        beginning when memory is short, and the tokens were then counted twice.

        Args:
            saved: what vllm-lens gives of the request: by the hook's number, the tokens that were seen at each layer.
            given: the number of tokens of the request: the prompt's, and those after it whose log probabilities are asked for.
            written: the number of tokens that were generated.

        Raises:
            ModelError: a layer saw another number of tokens.
        """
        seen = (saved or {}).get("0", {})
        least = given + written - 1  # the last token that is written enters no pass, or one that nobody reads
        wrong = {layer: seen.get(str(layer), 0) for layer in self.plan.layers if seen.get(str(layer), 0) - least not in (0, 1)}
        if wrong:
            raise ModelError(
                f"plan ({self.plan}) was expected to steer {least} tokens of a request, but vLLM steered these numbers of "
                f"tokens by layer: {wrong}. If a number is larger, vLLM ran the request again from its beginning: give vLLM "
                "more memory, or fewer requests at once (max_num_seqs=). If a number is smaller, vllm-lens could not run the "
                "plan: the log of vllm-lens says why."
            )


def extra_args(placed: PlacedPlan | None, layers: Sequence[int] = ()) -> dict[str, Any]:
    """Returns the parameters of a request to vllm-lens other than vLLM's own.

    Args:
        placed: the plan at the request's tokens; ``None`` for an unsteered one.
        layers: the blocks whose residual stream is given back.
    """
    given: dict[str, Any] = {"output_residual_stream": list(layers)} if layers else {}
    if placed is not None and placed.plan.layers:
        from vllm_lens import Hook

        given["apply_hooks"] = [Hook(fn=placed, layer_indices=list(placed.plan.layers))]
    return given
