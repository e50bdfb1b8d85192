"""Steps of a plan: one edit after one block, with its strength and its tokens."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from steerlens.errors import FileError, SteerlensError, UnknownNameError, VectorError
from steerlens.numeric import finite_number, whole_number
from steerlens.settings import STEERED_TOKENS, SteeredTokens
from steerlens.steering.edits import Edit, restored_edit
from steerlens.steering.tokens import steered_tokens


@dataclass(frozen=True, eq=False)
class Step:
    """A step of a plan: one edit after one block. Numbers from NumPy and PyTorch are converted to Python numbers."""

    edit: Edit
    layer: int
    """The index of the block after which the edit is made."""
    strength: float = 1.0
    """The strength of the edit. If the edit adds a direction, the strength is the factor by which the direction is multiplied.
    If the edit removes or sets a component, the strength is the share of the full edit that is made."""
    tokens: SteeredTokens = "last_onward"
    label: str = ""
    """The name of the edit's vector or map."""

    def __post_init__(self) -> None:
        if self.tokens not in STEERED_TOKENS:
            raise UnknownNameError("choice of tokens", self.tokens, STEERED_TOKENS)
        of, layer = self.label or "a vector", whole_number(self.layer)
        if layer is None or layer < 0:
            raise VectorError(f"layer {self.layer!r} given for {of}: expected the index of a block, a whole number of 0 or more.")
        object.__setattr__(self, "layer", layer)
        object.__setattr__(self, "strength", finite_number(self.strength, "strength", of))

    def __str__(self) -> str:
        where = "" if self.tokens == "last_onward" else f" at {self.tokens} tokens"
        return f"{self.edit.described(self.label or 'vector', self.strength)} at layer {self.layer}{where}"

    def __call__(
        self, residual: Float[Tensor, "batch pos d_model"], roles: Int[Tensor, "batch pos"]
    ) -> Float[Tensor, "batch pos d_model"]:
        """Returns the residual stream with this step applied. The arguments are not changed."""
        return self.edit(residual, self.strength, steered_tokens(roles, self.tokens))

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON values of everything except the tensors."""
        own = {name: getattr(self, name) for name in ("layer", "strength", "tokens", "label")}
        return {**own, "operation": self.edit.operation, "edit": self.edit.header}


@dataclass(frozen=True)
class SavedStep:
    """A step in a file, without its tensors."""

    layer: int
    strength: float
    tokens: SteeredTokens
    label: str
    operation: str
    edit: dict[str, Any]


def restored_step(saved: SavedStep, tensors: dict[str, torch.Tensor], whose: str) -> Step:
    """Returns the step that a file describes.

    Args:
        saved: the step without its tensors.
        tensors: the edit's tensors by field.
        whose: the file and the place in the file, for error messages.

    Raises:
        FileError: the operation is unknown, or a field has a wrong value.
    """
    edit = restored_edit(saved.operation, saved.edit, tensors, whose)
    try:
        return Step(edit, saved.layer, saved.strength, saved.tokens, saved.label)
    except SteerlensError as error:
        raise FileError(f"{whose} cannot be used: {error}") from error
