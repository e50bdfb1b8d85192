"""The vectors that a plan adds to the residual stream, in the only form that other tools support: one vector for each of some
layers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from steerlens.errors import VectorError
from steerlens.settings import STEERED_TOKENS, SteeredTokens

WORDS: dict[SteeredTokens, str] = {
    "all": "all tokens except those in front of the prompt",
    "prompt": "the prompt's tokens alone",
    "last_onward": "the tokens from the prompt's last one onward alone",
    "generated": "the generated tokens alone",
}
"""The choices of steered tokens in words."""


@dataclass(frozen=True, eq=False)
class Addition:
    """Vectors for some layers, and the tokens at which they are added."""

    directions: Mapping[int, Float[Tensor, " d_model"]]
    """The directions by block index, ascending: what is added after that block, before it is multiplied by ``strength``.
    Float32, on the CPU."""
    strength: float
    """The factor on every direction."""
    tokens: SteeredTokens
    """The tokens at which the vectors are added."""

    @property
    def layers(self) -> list[int]:
        """The block indices, ascending."""
        return list(self.directions)

    @property
    def vectors(self) -> dict[int, Float[Tensor, " d_model"]]:
        """The added vectors by block index: the direction times the strength."""
        return {layer: self.strength * direction for layer, direction in self.directions.items()}


def additions(plan: Any, tool: str) -> list[Addition]:
    """Returns the vectors that a plan adds: one ``Addition`` for each choice of tokens of its steps.

    Steps at one layer and at the same tokens are added up. If all steps have the same strength and no two of them are at one
    layer, the strength is kept separate from the directions. Otherwise it is part of the directions, and the strength is 1.

    Args:
        plan: a ``SteeringPlan``.
        tool: the name of the tool, for errors.

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
                "makes every edit."
            )
    chosen = [tokens for tokens in STEERED_TOKENS if any(step.tokens == tokens for step in plan.steps)]
    return [_together([step for step in plan.steps if step.tokens == tokens], tokens) for tokens in chosen]


def only_addition(plan: Any, tool: str) -> Addition:
    """Returns the vectors that a plan adds, for a tool with one choice of tokens.

    Args:
        plan: a ``SteeringPlan``.
        tool: the name of the tool, for errors.

    Raises:
        VectorError: as for ``additions``, or the steps are at different tokens.
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
        addition: the vectors that it adds.
        tool: the tool's name.
    """
    notes = []
    if addition.tokens != "all":
        notes.append(
            f"{tool} adds the vector at every token, but the plan steers {WORDS[addition.tokens]}. What was measured for the "
            f"plan may therefore not be true in {tool}. Measure the plan with tokens='all'."
        )
    if plan.fingerprint.front:
        notes.append(
            f"{tool} also steers the tokens in front of the prompt (token ids {list(plan.fingerprint.front)}, as BOS), which "
            "the plan does not steer."
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
