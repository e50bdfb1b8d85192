"""The vectors that a plan adds to the residual stream, with one vector for each steered layer. Other tools can only add
vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import VectorError
from steerlens.settings import STEERED_TOKENS, SteeredTokens

WORDS: dict[SteeredTokens, str] = {
    "all": "all tokens except the tokens in front of the prompt",
    "prompt": "only the tokens of the prompt",
    "last_onward": "only the prompt's last token and all tokens after it",
    "generated": "only the generated tokens",
}
"""A description of each choice of steered tokens, which is used in messages."""


@dataclass(frozen=True, eq=False)
class Addition:
    """A part of a plan: the vectors that are added, their layers, and the tokens at which the vectors are added."""

    directions: Mapping[int, Float[Tensor, " d_model"]]
    """The directions by block index, in ascending order, as float32 on the CPU. The direction times ``strength`` is added after
    the block."""
    strength: float
    """The factor by which every direction is multiplied."""
    tokens: SteeredTokens
    """The tokens at which the vectors are added."""

    @property
    def layers(self) -> list[int]:
        """The block indices in ascending order."""
        return list(self.directions)

    @property
    def vectors(self) -> dict[int, Float[Tensor, " d_model"]]:
        """The added vectors by block index. An added vector is the direction times the strength."""
        return {layer: self.strength * direction for layer, direction in self.directions.items()}


def additions(plan: Any, tool: str) -> list[Addition]:
    """Returns the vectors that a plan adds, as one ``Addition`` for each choice of steered tokens in the plan's steps.

    Steps at the same layer and the same tokens are added up. If all steps have the same strength and different layers, the
    strength is kept separate from the directions. Otherwise the directions include the strengths, and the strength of the
    ``Addition`` is 1.

    Args:
        plan: a ``SteeringPlan``.
        tool: the name of the tool, which is used in error messages.

    Raises:
        VectorError: the plan has no steps, or does more than add vectors.
    """
    if not plan.steps:
        raise VectorError(
            f"the plan for {tool} has no steps: expected a plan that adds a vector. Make such a plan with vector.at(layer)."
        )
    for step in plan.steps:
        if step.edit.operation != "add":
            raise VectorError(
                f"{tool} can add vectors and nothing else, but step ({step}) of the plan is of operation "
                f"{step.edit.operation!r}. Leave this step out, or run the plan in PyTorch with plan.torch_hooks(model), which "
                "supports every operation."
            )
    chosen = [tokens for tokens in STEERED_TOKENS if any(step.tokens == tokens for step in plan.steps)]
    return [_together([step for step in plan.steps if step.tokens == tokens], tokens) for tokens in chosen]


def only_addition(plan: Any, tool: str) -> Addition:
    """Returns the vectors that a plan adds, for a tool that can use only one choice of steered tokens.

    Args:
        plan: a ``SteeringPlan``.
        tool: the name of the tool, which is used in error messages.

    Raises:
        VectorError: the plan has no steps, does more than add vectors, or its steps steer different tokens.
    """
    several = additions(plan, tool)
    if len(several) > 1:
        kinds = ", ".join(repr(one.tokens) for one in several)
        raise VectorError(
            f"the steps of plan ({plan}) steer different tokens ({kinds}), but {tool} can use only one choice of tokens. "
            "Export the steps of each choice as a separate plan, or use all vectors at the same tokens."
        )
    return several[0]


def notes_of(plan: Any, addition: Addition, tool: str) -> tuple[str, ...]:
    """Returns notes on the differences between the plan and a tool that adds its vectors at every token.

    Args:
        plan: the ``SteeringPlan``.
        addition: the vectors that the plan adds.
        tool: the tool's name.
    """
    notes = []
    if addition.tokens != "all":
        notes.append(
            f"{tool} adds the vector at every token, but the plan steers {WORDS[addition.tokens]}. Effects that were measured "
            f"for the plan may therefore be different in {tool}. Measure the plan with tokens='all'."
        )
    if plan.fingerprint.front:
        notes.append(
            f"{tool} also steers the tokens in front of the prompt (token ids {list(plan.fingerprint.front)}, such as BOS). "
            "The plan does not steer these tokens."
        )
    return tuple(notes)


def _together(steps: Sequence[Any], tokens: SteeredTokens) -> Addition:
    strengths, layers = {step.strength for step in steps}, [step.layer for step in steps]
    if len(strengths) == 1 and len(set(layers)) == len(layers):
        return Addition({step.layer: step.edit.direction for step in _ascending(steps)}, strengths.pop(), tokens)
    summed: dict[int, Tensor] = {}
    for step in _ascending(steps):
        added = step.strength * step.edit.direction.double()
        summed[step.layer] = summed.get(step.layer, torch.zeros_like(added)) + added
    return Addition({layer: vector.float() for layer, vector in summed.items()}, 1.0, tokens)


def _ascending(steps: Sequence[Any]) -> list[Any]:
    return sorted(steps, key=lambda step: int(step.layer))
